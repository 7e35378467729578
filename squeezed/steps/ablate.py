"""The step `ablate` (Algorithm 2): remove the trunk's end, train the fully connected layers."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn

from squeezed.networks.classifier import Classifier
from squeezed.networks.cut_sequence import is_sequence, remove_last_convolutions
from squeezed.networks.cut_trunk import cut_after, cut_last_blocks
from squeezed.networks.edits import Edit
from squeezed.networks.network_file import NetworkCard
from squeezed.steps.network_step import MadeNetwork, edited, train_in
from squeezed.steps.step import Workshop
from squeezed.training.settings import TrainingSettings


@dataclass(frozen=True)
class AblateSettings:
    """An experiment's `ablation` section; config.schema.yaml says what each means."""

    convolutions: int
    cut_after: str | None
    recovery: TrainingSettings


def ablate(
    parent: Classifier, card: NetworkCard, settings: AblateSettings, workshop: Workshop
) -> MadeNetwork:
    """Cut the end of a copy's trunk off and train its head; all else stays frozen.

    Args:
        parent: left as it is.
        card: describes `parent`.
        settings: how much is cut, and how the head is trained.
        workshop: the data, seed (also of a reshaped layer's weights) and machine.

    Raises:
        UserError: if the network has not so much to cut, or cannot be cut
            (`squeezed.networks.cut_sequence`, `squeezed.networks.cut_trunk`).
    """
    made, trainable = structure(parent, card, settings, workshop.seed)
    made.training = train_in(
        workshop, made.model, made.card, settings.recovery, trainable=trainable
    )
    return made


def structure(
    parent: Classifier, card: NetworkCard, settings: AblateSettings, seed: int
) -> tuple[MadeNetwork, list[str]]:
    """Cut a copy of `parent` without training it.

    All that stays keeps its weights; a layer that had to be reshaped gets new ones.

    Returns:
        The network, and the parameters of its head, which alone are to be trained.
    """
    model = copy.deepcopy(parent)
    if settings.cut_after is None and is_sequence(model.network):
        reshaped = remove_last_convolutions(model.network, settings.convolutions, card.image_size)
        edit: Edit = {"edit": "cut", "convolutions": settings.convolutions}
        head = [name for name, each in model.network.named_modules() if isinstance(each, nn.Linear)]
    else:
        cut = (
            cut_last_blocks(model.network, settings.convolutions, card.image_size)
            if settings.cut_after is None
            else cut_after(model.network, settings.cut_after, card.image_size)
        )
        model.network, head, reshaped = cut.network, cut.head, cut.reshaped
        edit = {"edit": "cut", "after": cut.after}
    if reshaped:
        layer = model.network.get_submodule(reshaped)
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        _draw_weights(layer, torch.Generator().manual_seed(seed))
    trainable = [
        f"{name}.{parameter}"
        for name in head
        for parameter, _ in model.network.get_submodule(name).named_parameters()
    ]
    metrics = {
        "cut_convolutions": _convolutions(parent.network) - _convolutions(model.network),
        "cut_after": edit.get("after"),
    }
    return MadeNetwork(model, edited(card, edit), metrics), trainable


def _convolutions(network: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in network.modules())


def _draw_weights(layer: nn.Linear | nn.Conv2d, generator: torch.Generator) -> None:
    """He's normal initialisation, biases zero (He et al. 2015), as for the baseline."""
    with torch.no_grad():
        inputs = layer.weight[0].numel()
        layer.weight.normal_(0, math.sqrt(2 / inputs), generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
