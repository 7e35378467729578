"""The words of the report: a variant's name, and what it is, from its recipe."""

from collections.abc import Mapping, Sequence

from squeezed.configuration.recipes import Recipe


def in_words(name: str) -> str:
    """Return a variant's or an attack's name in words: `pruned_40` is Pruned 40."""
    return name.replace("_", " ").capitalize()


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """Join words as a sentence does: `a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def describe(recipes: Mapping[str, Recipe], name: str) -> str:
    """Return in words how a variant is made; nothing where its recipe is not known."""
    if name not in recipes:
        return ""
    recipe = recipes[name]
    parts = [_WORDS.get(recipe.step, _own_step)(recipe), _recovery(recipe)]
    if recipe.parent not in (None, "baseline") and recipe.step != "distil":
        parts.append(f"of {in_words(str(recipe.parent))}")
    return ", ".join(filter(None, parts))


def _recovery(recipe: Recipe) -> str:
    epochs = (recipe.settings.get("recovery") or {}).get("epochs")
    return f"retrained {epochs} {'epoch' if epochs == 1 else 'epochs'}" if epochs else ""


def _trained(recipe: Recipe) -> str:
    return "the network as trained" if recipe.parent is None else "trained on"


def _pruned(recipe: Recipe) -> str:
    amount = recipe.settings.get("amount")
    share = (
        f"{100 * amount:g} %" if isinstance(amount, int | float) else "as much as accuracy bears"
    )
    if recipe.settings.get("remove"):
        return f"channels removed: {share}"
    by = {"slice": " in slices", "filter": " in whole filters"}
    granularity = by.get(str(recipe.settings.get("granularity")), "")
    return f"{share} of the weights set to zero{granularity}"


def _ablated(recipe: Recipe) -> str:
    if recipe.settings.get("cut_after"):
        return f"cut after {recipe.settings['cut_after']}"
    count = recipe.settings.get("convolutions", 1)
    return f"the last {f'{count} convolutions' if count > 1 else 'convolution'} cut out"


def _quantized(recipe: Recipe) -> str:
    scales = {"channel": "one scale per channel", "tensor": "one scale per layer"}
    alone = "in the fully connected layers alone"
    parts = [
        "8 bits",
        str(recipe.settings.get("scheme", "")),
        scales.get(str(recipe.settings.get("granularity")), ""),
        alone if recipe.settings.get("layers") == "linear" else "",
    ]
    return ", ".join(filter(None, parts))


def _distilled(recipe: Recipe) -> str:
    return f"a smaller network taught by {in_words(str(recipe.parent))}"


def _factorized(recipe: Recipe) -> str:
    for key, words in (("energy", "of the energy kept"), ("rank_share", "of the rank kept")):
        value = recipe.settings.get(key)
        if isinstance(value, int | float):
            return f"low rank, {100 * value:g} % {words}" if value <= 1 else f"low rank, {value}"
    return "low rank"


def _imported(recipe: Recipe) -> str:
    path = recipe.settings.get("path")
    return f"made elsewhere, imported from {path}" if path else "made elsewhere"


def _own_step(recipe: Recipe) -> str:
    simple = {k: v for k, v in recipe.settings.items() if isinstance(v, int | float | str)}
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in simple.items())
    return f"made by {recipe.step}" + (f" ({told})" if told else "")


_WORDS = {
    "train": _trained,
    "prune": _pruned,
    "ablate": _ablated,
    "quantize": _quantized,
    "distil": _distilled,
    "factorize": _factorized,
    "import": _imported,
}
