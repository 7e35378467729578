"""A model made ready to be attacked is the same function, with the same gradient."""

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from squeezed.attacks.configured import read_attack
from squeezed.attacks.fast_layers import ADJACENT, Flatten, ImageConvolution
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.configuration.completion import complete_section, load_schema
from squeezed.graphs.twin.rounding import DynamicFakeQuantize
from squeezed.networks import VGG6, Classifier
from squeezed.networks.torchvision_models import build_torchvision_model
from tests import PROJECT
from tests.attacks.networks import network_and_images, small_network, small_twin
from tests.twins import rounding, twin_of, with_modules_behind

SCHEMA = load_schema(PROJECT / "config.schema.yaml")


class _Residual(nn.Module):
    """Everything that is rearranged, and beside each a case that must not be."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.relu, self.relu6, self.pool = nn.ReLU(), nn.ReLU6(), nn.MaxPool2d(2)
        self.head = nn.Linear(2 * 8 * 16, 4)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        kept = self.pool(self.relu6(first))  # `first` is read again below: not in place
        second = self.relu(self.second(self.relu(first)) + first)
        pooled = self.pool(second) + self.pool(self.relu(second - 1)) * second.mean()
        logits: Tensor = self.head(torch.cat([kept, pooled], dim=1).flatten(1))
        return logits


class _SkipsImages(nn.Module):
    """A network that reads the images a second time, beside its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3 * 64, 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head((self.norm(self.convolution(images)) + images).flatten(1))
        return logits


class _CallsTwice(_SkipsImages):
    """A network whose first convolution is called again, on its own output."""

    def forward(self, images: Tensor) -> Tensor:
        again = self.convolution(self.convolution(images))
        logits: Tensor = self.head((self.norm(again)).flatten(1))
        return logits


@pytest.mark.parametrize(
    "network",
    [
        lambda: VGG6(4, (8, 8)),
        lambda: build_torchvision_model("resnet18", 4, (8, 8), {}),
        _Residual,
        _SkipsImages,
        _CallsTwice,
    ],
    ids=["vgg6", "resnet18", "residual", "images read twice", "convolution called twice"],
)
def test_a_model_made_ready_is_the_same_function(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    twin = twin_of(Classifier(network(), [0.2, 0.5, 0.6], [0.2, 0.25, 0.4]).eval(), (8, 8))
    before = copy.deepcopy(twin.state_dict())
    code = twin.code
    images = torch.rand(4, 3, 8, 8)
    labels = torch.tensor([0, 1, 2, 3])
    victim = Victim(twin, rows=4)
    logits, gradient = victim.step(images, Margin(labels).values)
    given = images.clone().requires_grad_(True)
    expected = twin(given)
    Margin(labels).values(expected).sum().backward()
    assert gradient is not None and given.grad is not None
    torch.testing.assert_close(logits, expected.detach(), rtol=1e-4, atol=1e-5)
    scale = float(given.grad.abs().max())
    torch.testing.assert_close(gradient, given.grad, rtol=1e-3, atol=1e-4 * scale)
    torch.testing.assert_close(twin.state_dict(), before)  # the caller's stays as it is
    assert twin.code == code


@settings(deadline=None)
@given(st.data())
def test_gradient_of_joined_columns_is_the_gradient(data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = tuple(data.draw(st.integers(0, size - 1)) for size in kernel)
    # Also a width that is no multiple, where the columns are not joined.
    width = ADJACENT * data.draw(st.integers(2, 4)) + data.draw(st.sampled_from([0, 0, 0, 1]))
    size = (data.draw(st.integers(kernel[0], 13)), width)
    channels, channels_out = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    convolution = nn.Conv2d(channels, channels_out, kernel, padding=padding).double()
    assert ImageConvolution.can_wrap(convolution)
    images = torch.rand(2, channels, *size, dtype=torch.float64, requires_grad=True)
    expected = convolution(images)
    outputs = ImageConvolution(convolution)(images)
    arriving = torch.rand_like(expected)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(
        torch.autograd.grad(outputs, images, arriving),
        torch.autograd.grad(expected, images, arriving),
    )


@pytest.mark.parametrize(
    "other",
    [
        {"stride": 2},
        {"stride": (1, 2)},
        {"dilation": 2},
        {"groups": 3},
        {"padding": 3},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_columns_of_other_convolutions_are_not_joined(other: dict[str, object]) -> None:
    assert not ImageConvolution.can_wrap(nn.Conv2d(3, 6, 3, **other))


def test_flattening_hands_the_gradient_back_in_the_layout_of_the_layers_before() -> None:
    activations = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    flat = Flatten()(activations)
    assert torch.equal(flat, activations.flatten(1))
    (gradient,) = torch.autograd.grad((flat**2).sum(), activations)
    assert torch.equal(gradient, 2 * activations)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_logits_are_the_same_bits_whatever_precision_steps_have() -> None:
    victim, images, _ = network_and_images(140)
    shapes: set[torch.Size] = set()
    quick = Victim(small_twin(), precision="bf16")
    quick.model.register_forward_pre_hook(lambda _, inputs: shapes.add(inputs[0].shape))
    assert torch.equal(quick.logits(images), victim.logits(images))
    assert shapes == {torch.Size((victim.rows(images.shape[1:]), *images.shape[1:]))}


def test_victim_computes_what_its_model_computes() -> None:
    torch.manual_seed(0)
    model = Classifier(VGG6(5), [0.4, 0.5, 0.6], [0.2, 0.3, 0.25])
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(16, 3, 32, 32))  # gives the batch norms statistics
    model.eval()
    images = torch.rand(32, 3, 32, 32)
    victim = Victim(twin_of(model, (32, 32)))
    margin = Margin(torch.arange(32) % 5)
    logits, gradient = victim.step(images, margin.values)
    plain = images.clone().requires_grad_(True)
    expected = model(plain)
    margin.values(expected).sum().backward()
    assert gradient is not None and plain.grad is not None
    assert torch.allclose(logits, expected, atol=1e-4, rtol=1e-3)
    scale = plain.grad.abs().mean()
    assert ((gradient - plain.grad).abs() < 0.02 * scale).float().mean() > 0.999
    assert torch.equal(victim.logits(images), victim.logits(images))


def test_any_module_is_attacked_as_it_is() -> None:
    network = small_network()
    victim = Victim(network, rows=4)
    images = torch.rand(4, 3, 8, 8)
    assert torch.equal(victim.logits(images), network(images).detach())
    logits, gradient = Victim(network, rows=4, precision="bf16").step(images, lambda x: x[:, 0])
    assert gradient is not None and gradient.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(logits, victim.logits(images), atol=0.05, rtol=0.05)


class _InFloat32(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.float()


def test_a_graph_that_insists_on_float32_is_attacked_in_bfloat16_all_the_same() -> None:
    twin = with_modules_behind(unrounded_twin(), {"n2": _InFloat32()})
    victim = Victim(twin, precision="bf16", rows=4)
    images = torch.rand(4, 3, 8, 8)
    logits, gradient = victim.step(images, lambda logits: logits[:, 0])
    assert gradient is not None and gradient.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(logits, victim.logits(images), atol=0.05, rtol=0.05)
    assert not torch.equal(logits, victim.logits(images))


@functools.cache
def unrounded_twin() -> fx.GraphModule:
    """The twin of two convolutions, each with a pooling behind it."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    return twin_of(Classifier(network, [0.5] * 3, [0.25] * 3), (8, 8))


def rounded_twin() -> fx.GraphModule:
    """The same as quantized graphs have it: roundings before and after each pooling."""
    roundings = {
        "normalise_1": rounding(0.03, 128),
        "n1": rounding(0.02),
        "n2": rounding(0.02),
        "n4": rounding(0.01),
        "n5": rounding(0.015),  # other steps: rounded again
    }
    return with_modules_behind(unrounded_twin(), roundings)


POOLED_FIRST = {
    "normalise_1": [rounding(0.03, 128)],
    "n2": [rounding(0.02)],
    "n5": [rounding(0.01), rounding(0.015)],
}


def test_a_quantized_twin_pools_first_and_rounds_once() -> None:
    twin = rounded_twin()
    victim = Victim(twin, precision="bf16", rows=16)
    assert victim.precision == "fp32"  # bfloat16 would blur the steps
    kinds = [
        type(victim.model.get_submodule(str(node.target))).__name__
        for node in victim.model.graph.nodes
        if node.op == "call_module"
    ]
    first = ["Normalise", "FakeQuantize", "ImageConvolution", "MaxPool2d", "ReLU", "FakeQuantize"]
    second = ["Conv2d", "MaxPool2d", "ReLU", "FakeQuantize", "FakeQuantize", "Flatten", "Linear"]
    assert kinds == first + second
    images = torch.rand(16, 3, 8, 8)
    assert torch.equal(victim.logits(images), twin(images).detach())
    # Of several pixels that are rounded alike the largest gets the gradient, as if they had been
    # pooled before.
    plain = {name: nn.Sequential(*roundings) for name, roundings in POOLED_FIRST.items()}
    given = images.clone().requires_grad_(True)
    expected = with_modules_behind(unrounded_twin(), plain)(given)
    expected[:, 0].sum().backward()
    logits, gradient = victim.step(images, lambda logits: logits[:, 0])
    assert gradient is not None and given.grad is not None
    torch.testing.assert_close(logits, expected.detach())
    torch.testing.assert_close(gradient, given.grad, rtol=1e-3, atol=1e-5)


def test_the_true_gradient_of_rounding_is_asked_for_and_the_twin_left_as_it_is() -> None:
    twin = rounded_twin()
    victim = Victim(twin, straight_through=False, rows=4)
    _, gradient = victim.step(torch.rand(4, 3, 8, 8), lambda logits: logits[:, 0])
    assert gradient is None or not gradient.any()
    assert all(module.straight_through for module in twin.modules() if hasattr(module, "scale"))


def test_an_image_has_a_dynamic_range_of_its_own() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))
    plain = twin_of(Classifier(network, [0.5] * 3, [0.25] * 3), (4, 4))
    twin = with_modules_behind(plain, {"n0": DynamicFakeQuantize()})
    images = torch.rand(6, 3, 4, 4) * torch.linspace(0.1, 1, 6)[:, None, None, None]
    alone = torch.cat([twin(image[None]) for image in images]).detach()
    assert not torch.allclose(twin(images), alone)  # neighbours change an image's logits
    torch.testing.assert_close(Victim(twin, rows=6).logits(images), alone)
    modules = [m for m in twin.modules() if isinstance(m, DynamicFakeQuantize)]
    assert not modules[0].range_of_each_image


@pytest.mark.parametrize(
    ("side", "most", "images"), [(32, 256, 256), (224, 256, 32), (224, 16, 16), (32, 40, 40)]
)
def test_a_unit_of_work_fills_the_batches_and_is_small_where_images_are_large(
    side: int, most: int, images: int
) -> None:
    section = complete_section({"batch_size": most}, {}, SCHEMA["$defs"]["attack"], "", SCHEMA)
    attack = read_attack({key: value for key, value in section.items() if key != "variants"})
    assert attack.unit(Victim(nn.Identity()), torch.Size((3, side, side))) == images


def test_a_batch_is_no_larger_than_what_will_be_attacked() -> None:
    shape = torch.Size((3, 8, 8))
    assert Victim(small_twin(), images=5).rows(shape) == 5
    assert Victim(small_twin(), images=10_000).rows(shape) == Victim(small_twin()).rows(shape)
    assert Victim(small_twin(), rows=4, images=2).rows(shape) == 4
    few, usual = Victim(small_twin(), images=5), Victim(small_twin())
    images = torch.rand(7, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(few.logits(images), usual.logits(images), rtol=1e-4, atol=1e-5)
