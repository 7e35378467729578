"""The paper's contradictions: each calculation against an independent one."""

import numpy as np
import pytest
import torch

from squeezed.networks import VGG6
from squeezed.paper import printed
from squeezed.paper.calculations import (
    MB,
    MIB,
    TABLE_MB,
    ablation_saving,
    adam_reach,
    algorithm_one_as_printed,
    algorithm_one_corrected,
    drops_beyond,
    eight_bit_parameters,
    linear_parameters,
    nearest_ablation,
    pixel_reach,
    slower_than_baseline,
)
from squeezed.paper.contradictions import find_contradictions


def test_parameters_of_the_fully_connected_layers_are_pytorchs() -> None:
    layers = [torch.nn.Linear(*shape) for shape in printed.FULLY_CONNECTED]
    count = sum(p.numel() for layer in layers for p in layer.parameters())
    assert linear_parameters(printed.FULLY_CONNECTED) == count == 2_628_106
    assert 4 * count > printed.TABLE_ONE["cifar10"]["baseline"].size_mb * 1e6


def test_sizes_give_back_the_parameters_they_were_made_from() -> None:
    eight, rest = 2_000_000, 300_000
    sizes = 4 * (eight + rest) / 1e6, (eight + 4 * rest) / 1e6
    assert eight_bit_parameters(*sizes, 1e6) == pytest.approx((eight, rest))


def test_table_ones_unit_makes_its_files_those_of_its_networks() -> None:
    """Only the fully connected layers in 8 bits, in thousands of KiB: within a thousandth."""
    small, large = printed.TABLE_ONE["cifar10"], printed.TABLE_ONE["imagenet"]
    sizes = [(rows["baseline"].size_mb, rows["quantized"].size_mb) for rows in (small, large)]
    state = VGG6(10).state_dict()
    elsewhere = sum(
        tensor.numel()
        for name, tensor in state.items()
        if not name.startswith("classifier") and not name.endswith("num_batches_tracked")
    )
    _, rest = eight_bit_parameters(*sizes[0], TABLE_MB)
    assert rest == pytest.approx(elsewhere, rel=1e-3)
    linear = linear_parameters(printed.VGG16_FULLY_CONNECTED)
    eight, _ = eight_bit_parameters(*sizes[1], TABLE_MB)
    assert eight == pytest.approx(linear, rel=1e-3)
    for unit in (MB, MIB):
        assert abs(eight_bit_parameters(*sizes[0], unit)[1] / elsewhere - 1) > 0.02
        assert abs(eight_bit_parameters(*sizes[1], unit)[0] / linear - 1) > 0.02


def adam_moves(gradients: np.ndarray, rate: float = 0.5e-4) -> np.ndarray:
    """Return how far Adam moves each variable under gradients of shape (steps, n)."""
    moved = mean = square = np.zeros(gradients.shape[1])
    for step, gradient in enumerate(gradients, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        moved = moved + rate * (mean / (1 - 0.9**step)) / np.sqrt(square / (1 - 0.999**step))
    return moved


def test_adam_never_moves_further_than_its_reach() -> None:
    reach = adam_reach(40, 0.5e-4)
    assert reach == pytest.approx(2.4e-3, rel=0.02)
    assert pixel_reach(reach) == pytest.approx(0.30, abs=0.01)
    noise = np.random.default_rng(0).normal(size=(40, 1000))
    assert np.abs(adam_moves(noise)).max() <= reach
    assert adam_moves(np.ones((40, 1))) == pytest.approx(40 * 0.5e-4)
    growing = [adam_moves(growth ** np.arange(40.0)[:, None]) for growth in (1.05, 1.1, 1.2, 1.5)]
    assert np.max(growing) <= reach
    # The bound is not idle: growing gradients come near it.
    assert np.max(growing) > 0.9 * reach


def test_algorithm_one_as_printed_neither_fits_nor_returns() -> None:
    weights = np.random.default_rng(1).normal(0, 0.05, 1000)
    quantized, restored = algorithm_one_as_printed(weights)
    assert (quantized > 255).all()
    assert np.abs(restored - weights).min() > 1
    step = (weights.max() - weights.min()) / 255
    assert np.abs(algorithm_one_corrected(weights) - weights).max() <= step


@pytest.mark.parametrize("pooled", [True, False])
def test_ablation_saves_what_the_networks_differ_by(pooled: bool) -> None:
    def size(convolutions: list[tuple[int, int]], flattened: int) -> int:
        layers: list[torch.nn.Module] = [torch.nn.Linear(flattened, 1024)]
        for inputs, outputs in convolutions:
            layers += [torch.nn.Conv2d(inputs, outputs, 3), torch.nn.BatchNorm2d(outputs)]
        return sum(p.numel() for layer in layers for p in layer.parameters())

    whole = size([(32, 64), (64, 128)], 128 * 16)
    ablated = size([(32, 64)], 64 * (16 if pooled else 64))
    assert ablation_saving(64, pooled=pooled) == whole - ablated


def test_no_width_gives_the_ablated_size() -> None:
    assert nearest_ablation(pooled=True)[0] not in (16, 32, 64, 96, 128)
    assert nearest_ablation(pooled=False)[0] not in (16, 32, 64, 96, 128)


def test_drops_and_slowdowns_are_those_of_the_table() -> None:
    drops = {(d, v): round(100 * drop, 1) for d, v, drop in drops_beyond(0.05)}
    assert drops == {
        ("svhn", "ablated"): 11.1,
        ("cifar10", "pruned"): 6.3,
        ("cifar10", "ablated"): 6.1,
        ("cifar10", "pruned_quantized"): 5.4,
        ("imagenet", "pruned"): 5.4,
        ("imagenet", "ablated"): 5.4,
    }
    assert [(d, v) for d, v, _ in slower_than_baseline()] == [("svhn", "ablated")]


def test_all_are_listed_with_their_calculation() -> None:
    found = find_contradictions()
    assert len({item.key for item in found}) == len(found) == 10
    for item in found:
        assert any(character.isdigit() for character in item.calculation)
        assert item.stated
        assert item.meaning
