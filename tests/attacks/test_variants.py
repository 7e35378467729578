"""The attack on what compression makes: 8-bit graphs, and 8-bit layers as PyTorch has them."""

import pytest
import torch
from torch import fx, nn

from squeezed.attacks.carlini_wagner import carlini_wagner
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.diagnostics import share_without_gradient
from squeezed.attacks.victim import Victim
from squeezed.graphs.export import export_network
from squeezed.graphs.twin import build_twin, gradient_of_rounding, is_rounded
from squeezed.networks import Classifier
from squeezed.steps.quantize import quantize
from tests.attacks.networks import protocol
from tests.matrix import matrix
from tests.steps.networks import MEAN, SIZE, STD, images, resnet18, tiny_vgg
from tests.steps.test_quantize import DYNAMIC, EXTREMES, STATIC, workshop

SCHEMES = {"float": None, "static": STATIC, "extremes": EXTREMES, "dynamic": DYNAMIC}


def twin_in(scheme: str, model: Classifier, size: tuple[int, int]) -> fx.GraphModule:
    """The twin of a classifier's graph, brought to 8 bits as the workflow does it."""
    graph, settings = export_network(model, size), SCHEMES[scheme]
    if settings is not None:
        graph = quantize(graph, settings, workshop(size=size)).graph
    return build_twin(graph)


def check_that_it_can_be_fooled(twin: fx.GraphModule, size: tuple[int, int]) -> None:
    victim = Victim(twin, rows=4)
    chosen = images(4, size, seed=2)
    with torch.no_grad():  # a dynamic range is one image's alone
        expected = torch.cat([twin(image[None]) for image in chosen])
    labels = victim.logits(chosen).argmax(dim=1)
    assert torch.equal(labels, expected.argmax(dim=1))
    assert share_without_gradient(victim, chosen, labels) == 0
    strong = protocol(iterations=150, learning_rate=0.1, constant=100.0, stop_confidence=0.0)
    nearby = DDNSettings(steps=40, init_epsilon=1.0, gamma=0.1)
    every = carlini_wagner(victim, chosen, labels, strong)
    some = ddn(victim, chosen, labels, nearby)
    assert every.success.all() and some.success.any()
    for found in (every, some):
        fooled = victim.logits(found.best).argmax(dim=1) != labels
        assert torch.equal(fooled, found.success)
        assert found.best.min() >= 0
        assert found.best.max() <= 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_vgg_in_8_bits_can_be_fooled(scheme: str) -> None:
    twin = twin_in(scheme, tiny_vgg(), SIZE)
    assert is_rounded(twin) == (scheme != "float")
    check_that_it_can_be_fooled(twin, SIZE)


@pytest.mark.parametrize("scheme", matrix(list(SCHEMES), "float", "static"))
def test_a_residual_network_in_8_bits_can_be_fooled(scheme: str) -> None:
    check_that_it_can_be_fooled(twin_in(scheme, resnet18(), (32, 32)), (32, 32))


def test_pytorchs_own_dynamic_layers_hand_on_no_gradient_as_ours_do_with_the_switch() -> None:
    """The paper's arrangement: PyTorch's dynamic quantization of the fully connected layers."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 5)
    )
    model = Classifier(network, MEAN, STD).eval()
    theirs = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    ours = twin_in("dynamic", model, (8, 8))
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
