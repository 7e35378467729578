"""Whether a prepared data set can bear what an experiment wants to learn from it."""

from collections.abc import Iterator, Mapping
from typing import Any

MEMBERS = 2
"""Images of a class among those embedded: one, and a neighbour of its own class."""

SMALLEST_MAP = 4
"""Images of a t-SNE of the lowest perplexity, 1."""

USUAL_PERPLEXITY, USUAL_NEIGHBOURS = 30, 10
"""What is taken where nothing was chosen and there are images enough."""


def unfit(summary: Mapping[str, Any], experiment: Mapping[str, Any]) -> list[str]:
    """Return what an analysis would refuse after all training, one sentence each.

    To be asked before anything is trained; an empty list means that all can be done.

    Args:
        summary: the data set's (`squeezed.data.summary.summarise`).
        experiment: its section of the configuration, complete.
    """
    return [*_unfit_to_train(summary, experiment), *_unfit_to_embed(summary, experiment)]


def perplexity_for(chosen: float | None, images: int) -> float:
    """Return the perplexity of a map: the chosen one, or the usual one if the images bear it."""
    return min(USUAL_PERPLEXITY, _most_perplexity(images)) if chosen is None else chosen


def neighbours_for(chosen: int | None, images: int, *, in_map: bool = False) -> int:
    """Return how many neighbours to look at: as chosen, or the usual number if there are as many.

    Args:
        chosen: the setting, None where nothing was chosen.
        images: that are embedded.
        in_map: for the scores of a map, of which trustworthiness takes no more than half.
    """
    return min(USUAL_NEIGHBOURS, _most_neighbours(images, in_map)) if chosen is None else chosen


def _most_perplexity(images: int) -> int:
    # Each image's affinities span 3 × perplexity others.
    return (images - 1) // 3


def _most_neighbours(images: int, in_map: bool) -> int:
    return (images - 1) // 2 if in_map else images - 1


def _unfit_to_train(summary: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[str]:
    name = summary["name"]
    if summary["n_classes"] < 2:
        yield f"the data set {name} has a single class: two are needed to tell apart"
    for split in ("train", "validation", "test"):
        if not summary[f"n_{split}"]:
            yield f"the data set {name} has no image in its split {split}"
    shorter = min(summary["image_height"], summary["image_width"])
    for section, training in _trainings(experiment):
        padding = training["augmentation"]["crop_padding"]
        if padding >= shorter:
            yield (
                f"{section}.augmentation.crop_padding is {padding}, but images are shifted by less "
                f"than their side, and those of {name} have {shorter} pixels: set at most "
                f"{shorter - 1}"
            )


def _unfit_to_embed(summary: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[str]:
    name, embedding, tsne = summary["name"], experiment["embedding"], experiment["tsne"]
    counts = dict(zip(summary["class_names"], summary["n_test_of_each_class"], strict=True))
    if embedding["classes"]:
        counts = {c: counts[c] for c in embedding["classes"] if c in counts}
        if len(counts) < 2:
            yield f"embedding.classes has {len(counts)} of the classes of {name}: two are needed"
            return
    rare = [c for c, count in counts.items() if count < MEMBERS]
    if rare:
        more = f" (and {len(rare) - 1} other classes)" if rare[1:] else ""
        yield (
            f"class {rare[0]}{more} of {name} has fewer than {MEMBERS} test images, and so no "
            "neighbour of its own class can be found: add test images, or name the other classes "
            "in embedding.classes"
        )
    elif embedding["images"] < MEMBERS * len(counts):
        yield (
            f"embedding.images is {embedding['images']}, but {MEMBERS} of each of {len(counts)} "
            f"classes are needed: set at least {MEMBERS * len(counts)}, or fewer classes in "
            "embedding.classes"
        )
    images = min(embedding["images"], sum(counts.values()))
    if images < SMALLEST_MAP:
        yield f"{images} test images of {name} are embedded, and a map needs {SMALLEST_MAP}"
        return
    too_many = {}
    perplexity, most = tsne["perplexity"], _most_perplexity(images)
    if perplexity is not None:
        too_many["tsne.perplexity"] = int(3 * perplexity) >= images, most
    for key, section in (("tsne", tsne), ("embedding", embedding)):
        neighbours, most = section["neighbours"], _most_neighbours(images, key == "tsne")
        if neighbours is not None:
            too_many[f"{key}.neighbours"] = neighbours > most, most
    for key, (is_too_many, most) in too_many.items():
        if is_too_many:
            yield (
                f"{key} needs more than the {images} test images of {name} that are embedded: set "
                f"it to at most {most}"
            )


def _trainings(section: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each training section with its place in the experiment."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            place = f"{where}.{key}" if where else key
            if "augmentation" in value:
                yield place, value
            yield from _trainings(value, place)
