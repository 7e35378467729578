"""A sentence for each figure that a variant does not improve, with the reason by its properties."""

from squeezed.configuration.recipes import chain_of, properties_of
from squeezed.reporting.estimates import metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.margins import SIZE_MARGIN, TIME_MARGIN
from squeezed.reporting.measures import accuracy_drop, negated, ratio_to_baseline, speedup
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import percent, points, times, with_interval

PARTLY_EIGHT_BIT = "partly_eight_bit"
"""Beside the recipes' own properties: 8 bits in the fully connected layers alone."""

REASONS = {
    ("masked", "size"): "a zero is stored like any other weight; it shows only after gzip",
    ("masked", "time"): "masked weights give a dense kernel nothing to skip",
    (PARTLY_EIGHT_BIT, "time"): "the convolutions, where the time goes, stay in 32 bits",
    ("eight_bit", "time"): "at this size converting between 8 and 32 bits costs what the 8-bit "
    "kernels save, or the machine lacks 8-bit instructions",
    ("eight_bit", "weights"): "8 bits change how a weight is stored, not how many there are",
    ("eight_bit", "products"): "the same products are computed, in 8 bits where they can be",
    ("fewer_channels", "time"): "too few channels are gone for the kernels, which take them in "
    "blocks",
    ("fewer_layers", "time"): "the removed layers are the last and work on the fewest positions, "
    "so that they take little of the time",
    ("low_rank", "time"): "each layer became two, and each call of a kernel costs time of its own",
}
"""By property and kind of figure; of several properties the first one here tells."""

SIZES = {
    "onnx_size_bytes": ("deployed file", "size"),
    "onnx_gzipped_bytes": ("gzipped file", "gzipped"),
    "nonzero_parameters": ("nonzero weights", "weights"),
    "remaining_multiply_accumulates": ("useful multiply–accumulates", "products"),
}


def reasons_for(experiment: Experiment) -> list[str]:
    """Return a sentence for each variant and figure that is not better than the baseline's."""
    sentences = []
    for variant in experiment.compressed:
        parts = [*_sizes(experiment, variant), *_time(experiment, variant)]
        parts += _accuracy(experiment, variant)
        if parts:
            sentences.append(f"{in_words(variant)}: {'; '.join(parts)}.")
    return sentences


def _reason(experiment: Experiment, variant: str, kind: str) -> str:
    """Return the reason in brackets; nothing where the recipe is not known or tells none."""
    recipes = experiment.recipes
    if variant not in recipes:
        return ""
    properties = set(properties_of(recipes, variant))
    if any(recipe.settings.get("layers") == "linear" for recipe in chain_of(recipes, variant)):
        properties.add(PARTLY_EIGHT_BIT)
    told = [reason for (name, of), reason in REASONS.items() if name in properties and of == kind]
    return f" ({told[0]})" if told else ""


def _sizes(experiment: Experiment, variant: str) -> list[str]:
    found: dict[str, list[str]] = {}
    for key, (name, kind) in SIZES.items():
        ratio = ratio_to_baseline(experiment, variant, "evaluation", key)
        if ratio is not None and ratio.value * SIZE_MARGIN > 1:
            reason = _reason(experiment, variant, kind)
            found.setdefault(reason, []).append(f"{name} {times(ratio.value)}")
    return [", ".join(names) + reason for reason, names in found.items()]


def _time(experiment: Experiment, variant: str) -> list[str]:
    ratio = speedup(experiment, variant)
    if ratio is None or ratio.ends[0] >= TIME_MARGIN:
        return []
    return [f"speed {with_interval(ratio, times)}{_reason(experiment, variant, 'time')}"]


def _accuracy(experiment: Experiment, variant: str) -> list[str]:
    change = negated(accuracy_drop(experiment, variant))
    if change is None or change.ends[0] > 0:
        return []
    flipped = metric(experiment, variant, "evaluation", "flipped_share")
    tail = f", {percent(flipped.value)} of the predictions flipped" if flipped else ""
    what = "accuracy is lower" if change.ends[1] < 0 else "accuracy is not shown to differ"
    return [f"{what}, {with_interval(change, points)}{tail}"]
