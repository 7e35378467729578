"""A sentence for each column of Table I that a variant does not improve, with the reason."""

from squeezed.reporting.claims.claim import TIME_MARGIN
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.measures import accuracy_drop, ratio_to_baseline, speedup
from squeezed.reporting.vocabulary import variant_name
from squeezed.reporting.wording import percent, points, times, with_interval

SIZE_GAIN = 0.98
"""A size counts as improved below this ratio to the baseline."""

_MASKED = ("pruned",)
_EIGHT_BIT = ("quantized", "pruned_quantized", "linear_quantized")

_REASONS = {
    ("pruned", "model_size_bytes"): "a zero is stored like any other 32-bit weight; it shows only "
    "after gzip",
    ("pruned", "onnx_size_bytes"): "a zero is stored like any other 32-bit weight; it shows only "
    "after gzip",
    ("pruned", "time"): "masked weights give a dense kernel nothing to skip",
    ("pruned_quantized", "time"): "the 8-bit kernels are dense too, and the machine may lack "
    "8-bit instructions",
    ("quantized", "time"): "at this size converting between 8 and 32 bits costs what the 8-bit "
    "kernels save, or the machine lacks 8-bit instructions",
    ("linear_quantized", "time"): "the convolutions, where the time goes, stay in 32 bits",
    ("quantized", "nonzero_parameters"): "8 bits change how a weight is stored, not how many "
    "there are",
    ("linear_quantized", "nonzero_parameters"): "8 bits change how a weight is stored, not how "
    "many there are",
    ("quantized", "remaining_multiply_accumulates"): "the same products are computed, in 8 bits",
    ("linear_quantized", "remaining_multiply_accumulates"): "the same products are computed, "
    "partly in 8 bits",
    ("ablated", "time"): "the removed convolution is the last and works on the fewest positions, "
    "so that it takes little of the time",
}

SIZES = {
    "model_size_bytes": "model file",
    "model_gzipped_bytes": "gzipped model file",
    "onnx_size_bytes": "ONNX file",
    "onnx_gzipped_bytes": "gzipped ONNX file",
    "nonzero_parameters": "nonzero weights",
    "remaining_multiply_accumulates": "useful multiply–accumulates",
}


def reasons_for(experiment: Experiment) -> list[str]:
    """Return a sentence for each variant and column that is not better than the baseline's."""
    sentences = []
    for variant in experiment.compressed:
        parts = [*_sizes(experiment, variant), *_time(experiment, variant)]
        parts += _accuracy(experiment, variant)
        if parts:
            sentences.append(f"{variant_name(variant)}: {'; '.join(parts)}.")
    return sentences


def _sizes(experiment: Experiment, variant: str) -> list[str]:
    found: dict[str, list[str]] = {}
    for key, name in SIZES.items():
        ratio = ratio_to_baseline(experiment, variant, "evaluation", key)
        if ratio is not None and ratio.value > SIZE_GAIN:
            reason = _REASONS.get((variant, key), "")
            found.setdefault(reason, []).append(f"{name} {times(ratio.value)}")
    return [
        ", ".join(names) + (f" ({reason})" if reason else "") for reason, names in found.items()
    ]


def _time(experiment: Experiment, variant: str) -> list[str]:
    ratio = speedup(experiment, variant)
    if ratio is None or (ratio.low if ratio.low is not None else ratio.value) >= TIME_MARGIN:
        return []
    reason = _REASONS.get((variant, "time"), "")
    text = f"speed {with_interval(ratio, times)}"
    return [f"{text} ({reason})" if reason else text]


def _accuracy(experiment: Experiment, variant: str) -> list[str]:
    drop = accuracy_drop(experiment, variant)
    if drop is None or _clearly_better(drop):
        return []
    flipped = metric(experiment, variant, "evaluation", "flipped_share")
    tail = f", {percent(flipped.value)} of the predictions flipped" if flipped else ""
    sure = drop.low is not None and drop.low > 0
    what = "accuracy is lower" if sure else "accuracy is not shown to differ"
    change = Estimate(
        -drop.value,
        None if drop.high is None else -drop.high,
        None if drop.low is None else -drop.low,
    )
    return [f"{what}, {with_interval(change, points)}{tail}"]


def _clearly_better(drop: Estimate) -> bool:
    return drop.high is not None and drop.high < 0
