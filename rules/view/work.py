"""How much work a job is: passes of one image through the network, and what goes beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

GRADIENT = 3
"""A pass with its gradient costs about as much as three without."""
SEARCHED = 4
"""How often a search for the amount of pruning recovers, about."""
RIVALS = 2
"""What the gate tries against an attack takes about as long as this many of it."""
ADVERSARIAL_STEPS = 5
"""Of a training against the network's own adversarial images, for each batch."""
DEPLOYED = 0.1
"""A pass through the deployed engine against one through the twin, in large batches."""
LAYERS = 8
"""Layers that are re-initialised one after the other, about."""
CORRUPTION_S = 0.27e-6
"""Seconds for a pixel of a corrupted image, on one core of a Zen processor with AVX-512."""
TSNE_S = 3e-3
"""Seconds for an image of a run of t-SNE, there."""


@dataclass(frozen=True)
class Work:
    """What a job does, of which its time is a sum."""

    passes: float = 0.0
    """Images through the network, once each and without gradient."""
    seconds: float = 0.0
    """What does not depend on the network."""

    def __add__(self, other: "Work") -> "Work":
        """Do both."""
        return Work(self.passes + other.passes, self.seconds + other.seconds)


Counts = Mapping[str, float]
"""A data set's summary: `n_train`, `n_validation`, `n_test`, `image_height`, `image_width`."""


def work_of(rule: str, experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    """Return the work of a job; none of a rule that takes the same time whatever is configured.

    Args:
        rule: its name.
        experiment: the completed section of its experiment.
        wildcards: the job's.
        counts: of the experiment's data set.
    """
    counted = _WORK.get(rule)
    return counted(experiment, wildcards, counts) if counted else Work()


def _images(section: Mapping[str, Any], counts: Counts) -> float:
    return min(section["images"], counts["n_test"])


def _attack_passes(attack: Mapping[str, Any]) -> float:
    """Of one image; an ensemble's are those of its members."""
    members = [part for part in attack.values() if isinstance(part, dict)] or [attack]
    again = attack.get("near_classes", 0) * _gradients(attack.get("ddn", {}))
    refining = (1 + attack.get("transferred", False)) * attack.get("refining_steps", 0)
    return GRADIENT * float(sum(map(_gradients, members)) + again + refining)


def _gradients(method: Mapping[str, Any]) -> float:
    steps = method.get("steps", method.get("iterations", 0) * method.get("search_steps", 1))
    return float(steps * max(1, 2 * method.get("noise_draws", 0)))


def _training(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    recipe = experiment["variants"][wildcards["variant"]]
    own = next((recipe[key] for key in ("recovery", "training") if key in recipe), recipe)
    times = SEARCHED if recipe.get("amount") == "auto" else 1
    against_itself = own.get("augmentation", {}).get("adversarial", 0)
    gradients = 1 + (ADVERSARIAL_STEPS if against_itself else 0)
    epoch = GRADIENT * gradients * counts["n_train"] + counts["n_validation"]
    return Work(times * own.get("epochs", 0) * epoch)


def _timing(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    section = experiment["evaluation"]
    passes = section["timed_images"] * (section["repeats"] + 1) + section["latency_runs"]
    return Work(DEPLOYED * len(experiment["variants"]) * len(section["engines"]) * passes)


def _corruption(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    section = experiment["corruptions"]
    images = _images(section, counts) * len(section["kinds"]) * len(section["severities"])
    pixels = counts["image_height"] * counts["image_width"]
    return Work(DEPLOYED * images, images * pixels * CORRUPTION_S)


def _one_attack(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    attack = experiment["attacks"][wildcards["attack"]]
    return Work(_images(attack, counts) * _attack_passes(attack))


def _attack_timing(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    section = experiment["attack_timing"]
    attack = experiment["attacks"][section["attack"]]
    runs = len(experiment["variants"]) * (section["repeats"] + 1)
    return Work(runs * _images(section, counts) * _attack_passes(attack))


def _variations(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    section = experiment["attack_variations"]
    attack = experiment["attacks"][section["attack"]]
    each = [_attack_passes({**attack, **change}) for change in section["changes"].values()]
    return Work(_images(section, counts) * sum(each))


def _diagnostics(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    section = experiment["diagnostics"]
    attack = experiment["attacks"][section["attack"]]
    each = GRADIENT * section["iterations"] + section["square_queries"]
    each += RIVALS * _attack_passes(attack)
    attacked = _images(attack, counts)
    return Work(_images(section, counts) * each + attacked * section["noise_draws"])


def _maps(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    section = experiment["cam"]
    images = _images(section, counts) * (GRADIENT + 2 * section["steps"])
    random = section["randomisation_images"] * LAYERS * GRADIENT
    return Work(len(section["methods"]) * (images + random))


def _tsne(experiment: Any, wildcards: Mapping[str, str], counts: Counts) -> Work:
    images = _images(experiment["embedding"], counts)
    return Work(seconds=images * (experiment["tsne"]["random_runs"] + 1) * TSNE_S)


_WORK: dict[str, Callable[[Any, Mapping[str, str], Counts], Work]] = {
    "make_network": _training,
    "evaluate": lambda e, w, c: Work(DEPLOYED * c["n_test"] * len(e["evaluation"]["engines"])),
    "time_inference": _timing,
    "corrupt": _corruption,
    "meet_unfamiliar": lambda e, w, c: Work(DEPLOYED * 2 * _images(e["unfamiliar"], c)),
    "attack": _one_attack,
    "time_attack": _attack_timing,
    "vary_attack": _variations,
    "diagnose_robustness": _diagnostics,
    "embed": lambda e, w, c: Work(_images(e["embedding"], c)),
    "map_tsne": _tsne,
    "map_cam": _maps,
}
