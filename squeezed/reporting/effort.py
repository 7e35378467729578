"""What an experiment's effort leaves open: the least difference that so many images can show."""

from squeezed.configuration.completion import THOROUGH
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.vocabulary import listed

DECIDING_IMAGES = 6
"""With fewer images on which two variants differ, no exact McNemar test decides: 2 · 0.5⁶ < 0.05 is
the first power of one half that is small enough."""


def left_open(experiment: Experiment, test_images: int | None) -> list[str]:
    """Return in a sentence what cannot be decided because of the effort; nothing for the highest.

    Args:
        experiment: with its settings; nothing is said where they have no effort.
        test_images: how many the data set has, if known.
    """
    settings = experiment.settings
    effort = settings.get("effort", THOROUGH)
    if effort == THOROUGH:
        return []
    counts = {}
    attack = settings.get("attacks", {}).get(settings.get("diagnostics", {}).get("attack"), {})
    counts["robust accuracy"] = attack.get("images")
    if settings.get("corruptions", {}).get("kinds"):
        counts["accuracy under a corruption"] = settings["corruptions"].get("images")
    parts = []
    for measure, configured in counts.items():
        if configured:
            images = min(configured, test_images or configured)
            least = min(1.0, DECIDING_IMAGES / images)
            parts.append(f"{100 * least:.0f} points of {measure} ({images} images)")
    said = f"The effort of this run is {effort}"
    if not parts:
        return [f"{said}: figures have fewer images and repeats than a thorough run's."]
    return [
        f"{said}: differences between two variants below {listed(parts, 'or')} cannot be shown, "
        f"however consistent; effort {THOROUGH} takes more images, steps and repeats."
    ]
