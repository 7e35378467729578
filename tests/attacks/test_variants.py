"""The attack on what compression makes: VGG-16's variants, and 8-bit layers as PyTorch has them."""

import pytest
import torch
from squeezed.steps.ablation import ablate_convolutions
from squeezed.steps.pruning import apply_masks, pruning_masks
from torch import nn

from squeezed.attacks.carlini_wagner import Protocol, carlini_wagner
from squeezed.attacks.diagnostics import share_without_gradient
from squeezed.attacks.victim import Victim
from squeezed.networks import Classifier
from squeezed.networks.quantized import gradient_of_rounding
from squeezed.steps.quantization import quantize_linear_layers, quantize_model
from tests.steps.networks import MEAN, STD, images, narrow_vgg16

SIZE = (32, 32)


def vgg16(variant: str) -> Classifier:
    """VGG-16 with batch norm, or a variant that the workflow makes of it."""
    model = narrow_vgg16()
    if variant.startswith("pruned"):
        apply_masks(model.network, pruning_masks(model.network, 0.2))
    if variant == "ablated":
        return ablate_convolutions(model, 1, SIZE, seed=0)[0].eval()
    if variant == "linear_quantized":
        return quantize_linear_layers(model)[0]
    if variant.endswith("quantized"):
        return quantize_model(model, [images(8, SIZE, seed=1)])[0]
    return model


@pytest.mark.parametrize(
    "variant",
    ["baseline", "pruned", "ablated", "quantized", "linear_quantized", "pruned_quantized"],
)
def test_every_variant_of_vgg16_can_be_fooled(variant: str) -> None:
    victim = Victim(vgg16(variant), rows=2)
    chosen = images(2, SIZE, seed=2)
    labels = victim.logits(chosen).argmax(dim=1)
    assert share_without_gradient(victim, chosen, labels) == 0
    found = carlini_wagner(victim, chosen, labels, Protocol(10, 0.2, constant=100.0))
    assert found.success.all()
    assert (victim.logits(found.best).argmax(dim=1) != labels).all()
    assert found.best.min() >= 0
    assert found.best.max() <= 1


def test_pytorchs_own_dynamic_layers_hand_on_no_gradient_as_ours_do_with_the_switch() -> None:
    """The paper's arrangement: PyTorch's dynamic quantization of the fully connected layers."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 5)
    )
    model = Classifier(network, MEAN, STD).eval()
    theirs = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    ours, _ = quantize_linear_layers(model)
    chosen = images(16, (8, 8)).requires_grad_()

    with pytest.warns(UserWarning, match="autograd kernel was not registered"):
        theirs(chosen).sum().backward()
    assert chosen.grad is None or chosen.grad.abs().max() == 0
    with gradient_of_rounding(ours):
        ours(chosen).sum().backward()
    assert chosen.grad is not None and chosen.grad.abs().max() == 0
    with torch.no_grad():
        logits, expected = ours(chosen), model(chosen)
        assert (logits - theirs(chosen)).abs().max() < 0.05 * expected.abs().max()
