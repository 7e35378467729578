"""The step `distil`: a smaller network of the same family, taught by its parent.

The smaller one begins from random weights and learns the parent's softened outputs beside the
labels (Hinton, Vinyals, Dean 2015).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from squeezed.foundation.errors import UserError
from squeezed.networks import create_classifier
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard
from squeezed.networks.vgg6 import HIDDEN_FEATURES, PAPER_WIDTHS
from squeezed.steps.network_step import MadeNetwork, train_in
from squeezed.steps.step import Workshop
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Teacher

LADDERS = (
    ("convnext_large", "convnext_base", "convnext_small", "convnext_tiny"),
    ("densenet201", "densenet169", "densenet121"),
    tuple(f"efficientnet_b{k}" for k in range(7, -1, -1)),
    ("efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s"),
    ("mnasnet1_3", "mnasnet1_0", "mnasnet0_75", "mnasnet0_5"),
    tuple(f"regnet_x_{k}" for k in ("32gf", "16gf", "8gf", "3_2gf", "1_6gf", "800mf", "400mf")),
    tuple(
        f"regnet_y_{k}"
        for k in ("128gf", "32gf", "16gf", "8gf", "3_2gf", "1_6gf", "800mf", "400mf")
    ),
    ("resnet34", "resnet18"),
    ("resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d"),
    ("shufflenet_v2_x2_0", "shufflenet_v2_x1_5", "shufflenet_v2_x1_0", "shufflenet_v2_x0_5"),
    ("squeezenet1_0", "squeezenet1_1"),
    ("swin_b", "swin_s", "swin_t"),
    ("swin_v2_b", "swin_v2_s", "swin_v2_t"),
    ("vgg19", "vgg16", "vgg13", "vgg11"),
    ("vgg19_bn", "vgg16_bn", "vgg13_bn", "vgg11_bn"),
    ("vit_l_16", "vit_b_16"),
    ("vit_l_32", "vit_b_32"),
    ("wide_resnet101_2", "wide_resnet50_2", "resnet50"),
)
"""Families of torchvision whose members have names of their own, from large to small."""


@dataclass(frozen=True)
class SmallerArchitecture:
    """A network that the user names."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class DistilSettings:
    """An experiment's `distillation` section; config.schema.yaml says what each means."""

    width: float
    architecture: SmallerArchitecture | None
    teacher_weight: float
    temperature: float
    training: TrainingSettings


def distil(
    parent: Classifier, card: NetworkCard, settings: DistilSettings, workshop: Workshop
) -> MadeNetwork:
    """Train a smaller network from random weights, by the labels and by `parent`.

    Args:
        parent: the teacher; left as it is.
        card: describes `parent`.
        settings: which smaller network, and how it is trained.
        workshop: the data, seed (also of the weights) and machine.

    Raises:
        UserError: if no smaller member of the family is known, or it does not fit the data set.
    """
    made = structure(card, settings, workshop)
    teacher = Teacher(parent, card, settings.temperature, settings.teacher_weight)
    made.training = train_in(workshop, made.model, made.card, settings.training, teacher=teacher)
    made.metrics["parameters_share"] = _parameters(made.model) / _parameters(parent)
    return made


def structure(card: NetworkCard, settings: DistilSettings, workshop: Workshop) -> MadeNetwork:
    """Make the smaller network with random weights."""
    if settings.architecture:
        name, arguments = settings.architecture.name, settings.architecture.arguments
    else:
        name, arguments = smaller_member(card.architecture, card.arguments, settings.width)
    architecture = {"name": name, "arguments": arguments, "weights": None}
    dataset = workshop.dataset
    model = create_classifier(architecture, dataset, seed=workshop.seed)
    smaller = replace(
        card,
        architecture=name,
        arguments=dict(arguments),
        mean=list(dataset.mean),
        std=list(dataset.std),
        edits=[],
    )
    return MadeNetwork(model, smaller)


def smaller_member(
    architecture: str, arguments: Mapping[str, Any], width: float
) -> tuple[str, dict[str, Any]]:
    """Return a smaller network of the same family: its name and arguments.

    Args:
        architecture: its name.
        arguments: as it was built with.
        width: share of the channels and units of each layer to keep, where the family has such an
            argument; else the next smaller name of torchvision's is taken.

    Raises:
        UserError: if no smaller member is known.
    """
    for scale in SCALES:
        scaled = scale(architecture, arguments, width)
        if scaled is not None:
            return architecture, {**arguments, **scaled}
    for ladder in LADDERS:
        if architecture in ladder[:-1]:
            return ladder[ladder.index(architecture) + 1], dict(arguments)
    raise UserError(
        f"no smaller network of the family of {architecture} is known: name one in the step's "
        "`architecture`"
    )


Scale = Callable[[str, Mapping[str, Any], float], dict[str, Any] | None]


def _scale_vgg6(name: str, arguments: Mapping[str, Any], width: float) -> dict[str, Any] | None:
    if name != "vgg6":
        return None
    sizes = {"widths": PAPER_WIDTHS, "hidden_features": HIDDEN_FEATURES, **arguments}
    return {
        key: [_scaled(size, width) for size in sizes[key]] for key in ("widths", "hidden_features")
    }


def _scale_resnet_cifar(
    name: str, arguments: Mapping[str, Any], width: float
) -> dict[str, Any] | None:
    if name != "resnet_cifar":
        return None
    return {"width": max(_scaled(arguments.get("width", 16), width), 2)}


def _scale_mobilenet(
    name: str, arguments: Mapping[str, Any], width: float
) -> dict[str, Any] | None:
    if not name.startswith("mobilenet_"):
        return None
    return {"width_mult": arguments.get("width_mult", 1.0) * width}


def _scale_bottlenecks(
    name: str, arguments: Mapping[str, Any], width: float
) -> dict[str, Any] | None:
    """Scale the inner channels of bottlenecks; torchvision's other ResNets take no width."""
    if name not in ("resnet50", "resnet101", "resnet152"):
        return None
    return {"width_per_group": _scaled(arguments.get("width_per_group", 64), width)}


SCALES: tuple[Scale, ...] = (
    _scale_vgg6,
    _scale_resnet_cifar,
    _scale_mobilenet,
    _scale_bottlenecks,
)


def _scaled(size: int, width: float) -> int:
    return max(round(size * width), 1)


def _parameters(model: Classifier) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
