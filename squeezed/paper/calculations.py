"""The arithmetic that the paper's own figures are held against."""

from collections.abc import Iterable

import numpy as np

from squeezed.paper import printed

MB, MIB = 1e6, float(2**20)
TABLE_MB = 1.024e6
"""Bytes of Table I's MB, 1,000 KiB: in no other unit do its files agree with its networks."""
FLOAT_BYTES = 4
PIXEL_LEVELS = 255
ADAM_BETAS = (0.9, 0.999)


def linear_parameters(layers: Iterable[tuple[int, int]]) -> int:
    """Return the weights and biases of fully connected layers given as (inputs, outputs)."""
    return sum(inputs * outputs + outputs for inputs, outputs in layers)


def eight_bit_parameters(size_mb: float, quantized_mb: float, unit: float) -> tuple[float, float]:
    """Return how many parameters are in 8 bits and how many stay in 32, from two file sizes.

    Solves 4 (q + f) = size and q + 4 f = quantized size.

    Args:
        size_mb: the file in 32 bits, in units.
        quantized_mb: the file with q parameters in 8 bits.
        unit: bytes in a unit.
    """
    eight = (size_mb - quantized_mb) * unit / (FLOAT_BYTES - 1)
    return eight, size_mb * unit / FLOAT_BYTES - eight


def adam_reach(steps: int, learning_rate: float) -> float:
    """Return how far Adam can move a variable at most, whatever the gradients.

    A step is the learning rate times |m̂|/√v̂. Both are weighted means of the same gradients (their
    values, their squares), so Cauchy and Schwarz bound the ratio by √Σ aᵢ²/bᵢ for weights a and b.
    """
    beta_m, beta_v = ADAM_BETAS
    reach = 0.0
    for step in range(1, steps + 1):
        ages = step - np.arange(1, step + 1)
        a = (1 - beta_m) * beta_m**ages / (1 - beta_m**step)
        b = (1 - beta_v) * beta_v**ages / (1 - beta_v**step)
        reach += float(np.sqrt((a**2 / b).sum()))
    return learning_rate * reach


def pixel_reach(w_reach: float) -> float:
    """Return how many grey levels a pixel moves at most when w moves by `w_reach`.

    x = (tanh w + 1)/2 has slope at most 1/2.
    """
    return PIXEL_LEVELS * w_reach / 2


def algorithm_one_as_printed(
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Quantize and dequantize as the paper's Algorithm 1 prints it, without rounding.

    Returns:
        The `qWeights` and the `deqWeights`, of the shape of `weights`.
    """
    low, high = float(weights.min()), float(weights.max())
    scale = (high - low) / 255
    zero_point = -low / scale
    quantized = (weights + zero_point) / scale
    return quantized, quantized - zero_point


def algorithm_one_corrected(weights: np.ndarray) -> np.ndarray:
    """Return the weights after a round trip through 8 bits: σ (clamp(round(w/σ) + μ) − μ)."""
    low, high = min(float(weights.min()), 0.0), max(float(weights.max()), 0.0)
    scale = (high - low) / 255
    zero_point = round(-low / scale)
    quantized = np.clip(np.round(weights / scale) + zero_point, 0, 255)
    return scale * (quantized - zero_point)


def ablation_saving(channels_in: int, *, pooled: bool) -> int:
    """Return the parameters that VGG-6 loses without its last convolution, its norm and biases.

    Args:
        channels_in: channels that enter the last convolution; 2,048 = 128 × 4 × 4 leave it.
        pooled: whether the pooling after it stays (4 × 4 positions are flattened) or goes (8 × 8).
    """
    channels_out = printed.FULLY_CONNECTED[0][0] // 16
    convolution = 9 * channels_in * channels_out + channels_out + 2 * channels_out
    flattened = channels_in * (16 if pooled else 64)
    return convolution + (printed.FULLY_CONNECTED[0][0] - flattened) * printed.FULLY_CONNECTED[0][1]


def nearest_ablation(pooled: bool) -> tuple[int, float]:
    """Return the input channels whose ablation comes nearest to 9.87 → 8.11 MB, and its saving."""
    rows = printed.TABLE_ONE["cifar10"]
    saving = rows["baseline"].size_mb - rows["ablated"].size_mb
    savings = {c: ablation_saving(c, pooled=pooled) * FLOAT_BYTES / MB for c in range(1, 257)}
    nearest = min(savings, key=lambda c: abs(savings[c] - saving))
    return nearest, savings[nearest]


def drops_beyond(threshold: float) -> list[tuple[str, str, float]]:
    """Return (data set, variant, drop) where Table I loses more accuracy than a threshold."""
    return [
        (dataset, variant, rows["baseline"].accuracy - row.accuracy)
        for dataset, rows in printed.TABLE_ONE.items()
        for variant, row in rows.items()
        if rows["baseline"].accuracy - row.accuracy > threshold + 1e-9
    ]


def slower_than_baseline() -> list[tuple[str, str, float]]:
    """Return (data set, variant, speed-up) where Table I's variant is slower."""
    return [
        (dataset, variant, rows["baseline"].time_10000_s / row.time_10000_s)
        for dataset, rows in printed.TABLE_ONE.items()
        for variant, row in rows.items()
        if row.time_10000_s > rows["baseline"].time_10000_s
    ]
