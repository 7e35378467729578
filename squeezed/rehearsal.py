"""The rehearsal: every recipe and every analysis, tried on an untrained network and a few images.

What the configuration and the architecture decide is found here, before anything is trained. A step
that cannot work is refused in one sentence, and so is a layer that was named and is not there. A
map that a variant has not is said to be left out.
"""

import copy
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch

from squeezed.configuration.recipes import BASELINE, GRAPH, Recipe, recipes_of
from squeezed.data.dataset import Dataset
from squeezed.data.few import FewOfEach
from squeezed.data.fitness import unfit
from squeezed.explain.objects import read_masks
from squeezed.explain.rehearsal import Missing, missing
from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track
from squeezed.graphs.export import export_network
from squeezed.graphs.twin import build_twin
from squeezed.networks import create_classifier
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard
from squeezed.steps.resolve import step_of
from squeezed.steps.step import Workshop
from squeezed.training.batches import smallest_share

IMAGES = 4
"""Of each split: a rehearsal asks whether something works, not how well."""
BATCH, REPEATS = 8, 3
"""Images of a pass that is timed, and how often it is, for the estimate of a run."""
SHORT = {"epochs": 0, "calibration_images": IMAGES}
"""What is set to other values for a rehearsal, wherever it stands in a recipe."""
SMALL_STEP = 1e-9
"""The learning rate of a rehearsed epoch: weights stay where they are, so that nothing diverges."""


@dataclass(frozen=True)
class Rehearsed:
    """What became of one variant in the rehearsal."""

    recipe: Recipe
    network: tuple[Classifier, NetworkCard] | None
    """None where its step makes a graph."""
    graph: onnx.ModelProto


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found."""

    notes: list[str]
    """A sentence on each map that has to be left out, with the variants that have none."""
    pass_ms_per_image: float
    """Milliseconds of a batch through the baseline's twin, for each of its images."""


def rehearse(
    experiment: Mapping[str, Any], dataset: Dataset, summary: Mapping[str, Any]
) -> Rehearsal:
    """Try everything that an experiment wants of its data and its architecture.

    Args:
        experiment: its `architecture`, completed `variants`, `embedding`, `tsne` and `cam`.
        dataset: the experiment's.
        summary: the data set's (`squeezed.data.summary`).

    Returns:
        What was found, the time of a pass measured in it.

    Raises:
        UserError: if the data set cannot bear the experiment, masks do not fit it, a variant cannot
            be made, features of one cannot be read, or no variant has a map at `cam.layer`.
    """
    for problem in unfit(summary, experiment):
        raise UserError(problem)
    if experiment["cam"]["object"] == "masks":
        read_masks(experiment["cam"]["masks"], (len(dataset.test), *dataset.image_size))
    found: dict[str, Missing] = {}
    of_graph: dict[int, Missing] = {}
    pass_ms = 0.0
    for made in rehearsed(experiment, dataset):
        graph = id(made.graph)  # variants of one structure share one, which lives until the end
        if graph not in of_graph:
            of_graph[graph] = _missing(made.graph, experiment)
        found[made.recipe.name] = of_graph[graph]
        if made.recipe.name == BASELINE:
            pass_ms = pass_ms_per_image(made.graph, dataset.image_size)
    for name, one in found.items():
        # Every variant's features are compared with the baseline's: none can do without.
        if one.features is not None:
            raise UserError(f"the variant {name!r} cannot be embedded: {one.features}")
    if experiment["cam"]["layer"] is not None:
        _check_map_layer(found)
    without: dict[str, list[str]] = {}
    for name, one in found.items():
        for sentence in one.maps.values():
            without.setdefault(sentence, []).append(name)
    notes = [f"{', '.join(names)}: {sentence}" for sentence, names in without.items()]
    return Rehearsal(notes, pass_ms)


def pass_ms_per_image(graph: onnx.ModelProto, image_size: tuple[int, int]) -> float:
    """Return how long an image takes through a graph's twin on this machine, without gradient.

    Args:
        graph: the baseline's; weights do not matter.
        image_size: (height, width) in pixels.

    Returns:
        Milliseconds for each image of a batch of `BATCH`: the median of `REPEATS` after one that
        does not count.
    """
    twin = build_twin(graph)
    images = torch.rand(BATCH, 3, *image_size)
    times = []
    with torch.no_grad():
        for _ in range(REPEATS + 1):
            began = time.perf_counter()
            twin(images)
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[1:]) / BATCH


def _missing(graph: onnx.ModelProto, experiment: Mapping[str, Any]) -> Missing:
    """Return what the explanations have to do without on a graph."""
    embedding, cam = experiment["embedding"]["layer"], experiment["cam"]
    return missing(build_twin(graph), embedding, cam["layer"], cam["methods"])


def _check_map_layer(found: Mapping[str, Missing]) -> None:
    """Refuse a layer for Grad-CAM that was named, and that no variant has.

    One that some have is no mistake: ablation may have taken it away, and that is said in a note.
    """
    reasons = [one.maps.get("grad_cam") for one in found.values()]
    if all(reasons):
        raise UserError(str(reasons[0]))


def rehearsed(experiment: Mapping[str, Any], dataset: Dataset) -> Iterator[Rehearsed]:
    """Make each variant of an experiment, untrained, parents before children.

    Args:
        experiment: its `architecture` and its completed `variants`.
        dataset: the experiment's.

    Raises:
        UserError: if a recipe cannot be made, naming the variant.
    """
    recipes = recipes_of(experiment)
    # None where all variants are imported: there is nothing to build.
    architecture = experiment["architecture"]
    if architecture is not None and architecture["weights"] is not None:
        # What pretrained weights do not fit is said now; the rehearsal itself is of random ones.
        trained = recipes[BASELINE].settings.get("epochs", 1) > 0
        create_classifier(architecture, dataset, seed=0, trained=trained)
    workshop = Workshop(
        dataset=FewOfEach(dataset, IMAGES),
        seed=0,
        device="cpu",
        threads=1,
        resume_path=None,
        architecture=architecture and {**architecture, "weights": None},
    )
    made: dict[str, Rehearsed] = {}
    for name, recipe in track(recipes.items(), "recipes rehearsed", total=len(recipes)):
        try:
            made[name] = _make(_shortened(recipe, len(dataset.train)), made, workshop)
        except UserError as error:
            raise UserError(f"the variant {name!r} cannot be made: {error}") from error
        yield made[name]


def _make(recipe: Recipe, made: Mapping[str, Rehearsed], workshop: Workshop) -> Rehearsed:
    function, settings = step_of(recipe)
    parent = made[recipe.parent] if recipe.parent else None
    if recipe.makes == GRAPH:
        graph = parent.graph if parent else None
        return Rehearsed(recipe, None, function(graph, settings, workshop).graph)
    model, card = parent.network if parent and parent.network else (None, None)
    result = function(model, card, settings, workshop)
    structure = (result.card.architecture, result.card.arguments, result.card.edits)
    if parent and card and structure == (card.architecture, card.arguments, card.edits):
        graph = parent.graph  # other weights in the same places: nothing new to export
    else:
        graph = export_network(result.model, result.card.image_size)
    return Rehearsed(recipe, (result.model, result.card), graph)


def _shortened(recipe: Recipe, images: int) -> Recipe:
    """Return a recipe that trains and calibrates as little as it can.

    Where it trains, that is one epoch, in the smallest batches that its training on `images` has.
    """

    def shorten(settings: dict[str, Any]) -> dict[str, Any]:
        shortened = {
            key: shorten(value) if isinstance(value, dict) else SHORT.get(key, value)
            for key, value in settings.items()
        }
        if "augmentation" in settings and settings["epochs"]:
            shortened |= {
                "epochs": 1,
                "processes": 1,
                "batch_size": smallest_share(images, settings["batch_size"], settings["processes"]),
                "learning_rate": SMALL_STEP,
            }
        return shortened

    settings = shorten(copy.deepcopy(dict(recipe.settings)))
    return Recipe(recipe.name, recipe.step, recipe.parent, recipe.makes, settings)
