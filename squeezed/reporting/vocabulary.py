"""The words and colours of the report: one name and one colour for each variant, everywhere."""

VARIANT_NAMES = {
    "baseline": "Baseline",
    "pruned": "Pruned",
    "quantized": "Quantized",
    "ablated": "Ablated",
    "pruned_quantized": "Pruned + quantized",
    "linear_quantized": "Linear quantized",
}
"""Every variant in the order in which tables and figures show it, with its name in words."""

VARIANT_DESCRIPTIONS = {
    "baseline": "the network as trained, 32-bit weights",
    "pruned": "the smallest weights set to zero, then retrained for some epochs",
    "quantized": "weights and activations in 8 bits",
    "ablated": "the last convolution cut out, the fully connected layers retrained",
    "pruned_quantized": "the pruned network in 8 bits",
    "linear_quantized": "8 bits in the fully connected layers alone, as the paper's "
    "file sizes imply",
}

COMPRESSED = tuple(name for name in VARIANT_NAMES if name != "baseline")

# Okabe and Ito's colour-blind-safe palette; the page's dark mode lightens some of them.
VARIANT_COLOURS = {
    "baseline": "#666666",
    "pruned": "#d55e00",
    "quantized": "#0072b2",
    "ablated": "#b65d93",
    "pruned_quantized": "#00875f",
    "linear_quantized": "#3f97cf",
}


def in_order(variants: set[str] | list[str]) -> list[str]:
    """Return variants in the order of the report; unknown names come last, by alphabet."""
    known = [name for name in VARIANT_NAMES if name in variants]
    return known + sorted(set(variants) - set(known))


def variant_name(variant: str) -> str:
    """Return a variant's name in words."""
    return VARIANT_NAMES.get(variant, variant.replace("_", " ").capitalize())


def listed(words: list[str], conjunction: str = "and") -> str:
    """Join words as a sentence does: `a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
