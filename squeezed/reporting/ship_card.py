"""The card of the variant to ship: its file, how to run it, the rule, its harm, its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from squeezed.reporting.class_changes import worst_class
from squeezed.reporting.estimates import Estimate
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.harms import calibration_change, corruption_change
from squeezed.reporting.measures import distance_ratio, negated
from squeezed.reporting.recommendation import RULE, Recommendation, flips, recommend
from squeezed.reporting.vocabulary import listed
from squeezed.reporting.wording import percent, points, times, with_interval

EVALUATION, GATE = "evaluation", "diagnostics"


@dataclass(frozen=True)
class ShipCard:
    """Everything that a person needs to ship a variant, or why none is named."""

    recommendation: Recommendation
    rule: str
    file: str = ""
    """Of the first seed, relative to the project's folder; empty without a recommendation."""
    sha256: str = ""
    """Of the file as it was evaluated; empty where it was not recorded."""
    snippet: str = ""
    """Python that runs the file on an image, with ONNX Runtime alone."""
    harms: tuple[tuple[str, str], ...] = ()
    """(what, the change with its interval and n)."""
    limits: tuple[str, ...] = ()


def ship_card(
    experiment: Experiment, summary: Mapping[str, Any], class_words: Mapping[str, str]
) -> ShipCard:
    """Return the card.

    Args:
        experiment: whose variants.
        summary: what the preparation wrote of the data set; empty where it is not known.
        class_words: words for class names.
    """
    found = recommend(experiment)
    if found.variant is None:
        return ShipCard(found, RULE)
    seed = next(s for s in experiment.seeds if experiment.record(s, found.variant, EVALUATION))
    record = experiment.record(seed, found.variant, EVALUATION) or {}
    digests = (record.get("provenance") or {}).get("inputs_sha256") or {}
    file = f"models/{experiment.name}/seed{seed}/{found.variant}.onnx"
    return ShipCard(
        found,
        RULE,
        file,
        str(digests.get("graph", "")),
        snippet_of(file, summary.get("preprocessing") or {}),
        tuple(_harms(experiment, found.variant, class_words)),
        tuple(limits_of(experiment, found.variant, seed)),
    )


def snippet_of(file: str, preprocessing: Mapping[str, Any]) -> str:
    """Return five lines of Python that print the class of `image.png`.

    The pixels are those that were evaluated: resized and cut out alike.

    Args:
        file: the graph.
        preprocessing: `resize` and `crop` of the data set, in pixels; None or left out for none.
    """
    resize, crop = preprocessing.get("resize"), preprocessing.get("crop")
    opened = 'PIL.Image.open("image.png").convert("RGB")'
    image, cut = f"image = {opened}", ""
    if resize is not None:
        size = f"[int({resize} * side / min(whole.size)) for side in whole.size]"
        image = f"image = (whole := {opened}).resize({size}, PIL.Image.Resampling.BILINEAR)"
    if crop is not None:
        down, across = (f"round((image.{side} - {crop}) / 2):" for side in ("height", "width"))
        cut = f"[{down}, {across}][:{crop}, :{crop}]"
    return "\n".join(
        (
            "import json, numpy, onnxruntime, PIL.Image",
            f'model = onnxruntime.InferenceSession("{file}")',
            image,
            f'pixels = numpy.asarray(image, "float32"){cut}.transpose(2, 0, 1)[None] / 255',
            'print(json.loads(model.get_modelmeta().custom_metadata_map["classes"])'
            '[model.run(None, {"images": pixels})[0].argmax()])',
        )
    )


def _harms(experiment: Experiment, variant: str, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is known to be lost, each with its interval and what it is over."""
    found = [("Predictions changed", _told(flips(experiment, variant), percent))]
    worst = worst_class(experiment, variant)
    if worst is not None:
        name = words.get(worst.name, worst.name.replace("_", " "))
        found.append((f"Worst class, “{name}”", _told(worst.change, points)))
    elif experiment.frame(experiment.seeds[0], variant, "classes.csv") is not None:
        found.append(("Worst class", "none loses recall"))
    # One sign: minus is worse, so that an error that grows counts as a loss.
    found.append(("Calibration", _told(negated(calibration_change(experiment, variant)), points)))
    found.append(("Corrupted images", _told(corruption_change(experiment, variant), points)))
    found.append(("Change that fools it", _told(distance_ratio(experiment, variant), times)))
    return [(what, told) for what, told in found if told]


def _told(estimate: Estimate | None, form: Any) -> str:
    if estimate is None:
        return ""
    over = f" ({estimate.basis})" if estimate.basis else ""
    return f"{with_interval(estimate, form)}{over}"


def limits_of(experiment: Experiment, variant: str, seed: int) -> list[str]:
    """Return in sentences what the figures of a variant, in the file of a seed, do not tell."""
    n = max(experiment.values(variant, EVALUATION, "n_images").values(), default=0)
    seeds = experiment.seeds
    limits = [
        f"Measured on {int(n):,} test images of “{experiment.dataset}”; other images may fare "
        "otherwise."
    ]
    if len(seeds) == 1:
        limits.append("One training run: another seed may give another variant.")
    else:
        limits.append(f"The file is that of seed {seed}; figures are over {len(seeds)} seeds.")
    untested = [
        words
        for analysis, words in (
            (GATE, "robustness"),
            ("corruptions", "corrupted images"),
            ("inference_timing", "speed"),
        )
        if not any(experiment.record(seed, variant, analysis) for seed in seeds)
    ]
    if untested:
        limits.append(f"Not measured: {listed(untested)}.")
    return limits
