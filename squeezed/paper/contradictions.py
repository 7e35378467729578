"""What does not add up within the paper, each found by a calculation that is repeated here."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from squeezed.paper import printed
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import points, times

MB, MIB = 1e6, float(2**20)
FLOAT_BYTES = 4
PIXEL_LEVELS = 255
ADAM_BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Contradiction:
    """Two statements of the paper that cannot both be true, or one that cannot be at all."""

    key: str
    title: str
    stated: str
    """What the paper says, and where."""
    calculation: str
    meaning: str
    """What follows for this reproduction."""


def linear_parameters(layers: Iterable[tuple[int, int]]) -> int:
    """Return the weights and biases of fully connected layers given as (inputs, outputs)."""
    return sum(inputs * outputs + outputs for inputs, outputs in layers)


def eight_bit_parameters(size_mb: float, quantized_mb: float, unit: float) -> tuple[float, float]:
    """Return how many parameters are in 8 bits and how many stay in 32, from two file sizes.

    Solves 4 (q + f) = size and q + 4 f = quantized size.

    Args:
        size_mb: the file in 32 bits, in units.
        quantized_mb: the file with q parameters in 8 bits.
        unit: bytes in a unit: 10⁶ or 2²⁰.
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


def find_contradictions() -> list[Contradiction]:
    """Repeat every calculation and return what does not add up, the weightiest first."""
    return [
        _attack_reach(),
        _no_gradient(),
        _worse_defended(),
        _within_five(),
        _all_faster(),
        _ablated_size(),
        _too_large(),
        _eight_bit_layers(),
        _algorithm_one(),
        _ablated_reading(),
    ]


def _attack_reach() -> Contradiction:
    reach = adam_reach(printed.ATTACK_STEPS, printed.ATTACK_LEARNING_RATE)
    steady = printed.ATTACK_STEPS * printed.ATTACK_LEARNING_RATE
    return Contradiction(
        "attack_reach",
        "The attack as stated cannot move a pixel by half a grey level",
        "IV-D: 40 iterations at a learning rate of 0.5e-4 take the baseline from 81.1 to 47.3 %.",
        f"One Adam step is at most the learning rate × √Σaᵢ²/bᵢ; {printed.ATTACK_STEPS} steps move "
        f"w by at most {reach:.2e}, and x = (tanh w + 1)/2 by half of that: "
        f"{pixel_reach(reach):.2f} of one of 255 grey levels ({pixel_reach(steady):.2f} under a "
        "steady gradient).",
        "Saving such an image with 8 bits a pixel erases the attack. A fall of 33.8 points needs "
        "other settings than those printed.",
    )


def _no_gradient() -> Contradiction:
    one, two = printed.TABLE_ONE["cifar10"], printed.TABLE_TWO["cifar10"]
    inference = one["baseline"].time_10000_s / one["quantized"].time_10000_s
    attack = two["baseline"].time_ms / two["quantized"].time_ms
    return Contradiction(
        "no_gradient",
        "The quantized models' immunity looks like a missing gradient",
        "Table II: accuracy and confidence are the same to four digits before and after (81.90 % "
        "and 98.04 %; 75.70 % and 95.31 %), and the attack runs 6.02× faster. Table I: the same "
        "model infers 4 % faster.",
        f"An attack step is a forward and a backward pass. With {times(inference)} in the forward "
        f"pass (4.823/4.638 s), {times(attack)} overall (8,283/1,375 ms) leaves "
        f"{100 / attack:.0f} % of the baseline's step. A forward pass alone is usually about a "
        "third of it, so that there is no room for a backward one.",
        "Figures that do not change in the fourth digit are what one sees when the images never "
        "moved. This is why every robustness figure here passes a gate of diagnostics first.",
    )


def _worse_defended() -> Contradiction:
    rows = printed.TABLE_TWO["cifar10"]
    base, pruned = rows["baseline"], rows["pruned"]
    after = pruned.accuracy_after - base.accuracy_after
    lost = pruned.confidence_before - pruned.confidence_after
    base_lost = base.confidence_before - base.confidence_after
    return Contradiction(
        "worse_defended",
        "The pruned model is worse defended in the paper's own table",
        "IV-D1: “none of the three compressed models have worse defense”.",
        f"Table II: it ends at {100 * pruned.accuracy_after:.1f} against "
        f"{100 * base.accuracy_after:.1f} % ({points(after)}), and loses {100 * lost:.1f} against "
        f"{100 * base_lost:.1f} points of confidence.",
        "Only the drop in accuracy (29.7 against 33.8 points) is smaller, from a lower start.",
    )


def _within_five() -> Contradiction:
    drops = drops_beyond(printed.ACCURACY_DROP)
    words = [
        f"{printed.DATASET_NAMES[d]} {in_words(v).lower()} {100 * drop:.1f}"
        for d, v, drop in sorted(drops, key=lambda row: -row[2])
    ]
    total = sum(len(rows) - 1 for rows in printed.TABLE_ONE.values())
    return Contradiction(
        "within_five",
        "“Within about 5 %” does not hold in Table I",
        "IV-B1: pruned “to about a 5% performance drop”; IV-B3: “within 5% of the baseline”.",
        f"Points lost in Table I: {', '.join(words)}: {len(drops)} of {total} compressed models.",
        "We test five points, against our own baselines.",
    )


def _all_faster() -> Contradiction:
    slow = slower_than_baseline()
    words = [f"{printed.DATASET_NAMES[d]} {in_words(v).lower()} {times(s)}" for d, v, s in slow]
    svhn = printed.TABLE_ONE["svhn"]
    imagenet = printed.TABLE_ONE["imagenet"]
    gain = imagenet["baseline"].time_10000_s / imagenet["pruned"].time_10000_s - 1
    return Contradiction(
        "all_faster",
        "Not every variant is faster in Table I",
        "IV-B3: “inference times […] are reduced for all compression models”.",
        f"Table I: {listed(words)} as fast ({svhn['ablated'].time_10000_s} against "
        f"{svhn['baseline'].time_10000_s} s). The least gain is {100 * gain:.2f} % (ImageNet "
        "pruned), with no spread given.",
        "We time each variant in turn with the baseline, and give the spread.",
    )


def _ablated_size() -> Contradiction:
    parts = [
        f"{printed.DATASET_NAMES[d]} {rows['baseline'].size_mb:g} → {rows['ablated'].size_mb:g} MB"
        for d, rows in printed.TABLE_ONE.items()
    ]
    return Contradiction(
        "ablated_size",
        "The ablated model grows in the text and shrinks in the table",
        "IV-B3: the size is reduced “for all but the ablated compression model […] The size of the "
        "ablation variant increases”.",
        f"Table I: {'; '.join(parts)}.",
        "We report the size that our reading gives: the pooling after the removed layer stays.",
    )


def _too_large() -> Contradiction:
    count = linear_parameters(printed.FULLY_CONNECTED)
    stated = printed.TABLE_ONE["cifar10"]["baseline"].size_mb
    return Contradiction(
        "too_large",
        "The fully connected layers alone are larger than the stated model",
        f"IV-A: 2048 → 1024 → 512 → 10 in 32 bits. Table I: the whole model takes {stated} MB.",
        f"2048·1024 + 1024 + 1024·512 + 512 + 512·10 + 10 = {count:,} parameters × 4 bytes = "
        f"{count * FLOAT_BYTES / MB:.2f} MB ({count * FLOAT_BYTES / MIB:.2f} MiB).",
        "No choice of convolutions repairs it, so that our sizes cannot match in absolute terms.",
    )


def _eight_bit_layers() -> Contradiction:
    small = printed.TABLE_ONE["cifar10"]
    large = printed.TABLE_ONE["imagenet"]
    eight, rest = eight_bit_parameters(small["baseline"].size_mb, small["quantized"].size_mb, MB)
    vgg16_eight, _ = eight_bit_parameters(large["baseline"].size_mb, large["quantized"].size_mb, MB)
    linear = linear_parameters(printed.VGG16_FULLY_CONNECTED)
    return Contradiction(
        "eight_bit_layers",
        "The quantized file sizes are those of the fully connected layers in 8 bits alone",
        "III-B: quantization takes all weights and biases to 8 bits. Table I: 9.87 → 2.79 MB, "
        "540 → 178 MB.",
        f"All in 8 bits would be a quarter: {small['baseline'].size_mb / 4:.2f} and "
        f"{large['baseline'].size_mb / 4:.0f} MB. The printed sizes leave {rest:,.0f} parameters "
        f"of VGG-6 in 32 bits ({eight / 1e6:.2f} M in 8); VGG-16 has {vgg16_eight / 1e6:.1f} M in "
        f"8 bits, and its fully connected layers hold {linear / 1e6:.1f} M of "
        f"{printed.VGG16_BN_PARAMETERS / 1e6:.1f} M.",
        "That is what PyTorch's dynamic quantization does. Of our variants "
        "“Linear quantized” is this arrangement; “Quantized” is all layers in 8 bits.",
    )


def _algorithm_one() -> Contradiction:
    weights = np.random.default_rng(0).normal(0.0, 0.05, 10_000)
    quantized, restored = algorithm_one_as_printed(weights)
    outside = float(np.mean((np.round(quantized) < 0) | (np.round(quantized) > 255)))
    size = float(np.sqrt(np.mean(weights**2)))
    missed = float(np.sqrt(np.mean((restored - weights) ** 2))) / size
    mended = float(np.sqrt(np.mean((algorithm_one_corrected(weights) - weights) ** 2))) / size
    return Contradiction(
        "algorithm_one",
        "Algorithm 1 does not quantize as printed",
        "III-B: q = (w + μ)/σ, and back w = q − μ.",
        "It has no rounding, adds the zero point before dividing, and does not multiply by σ on "
        f"the way back. For 10,000 normal weights of deviation 0.05, {100 * outside:.0f} % of the "
        f"q lie outside [0, 255], and the way back misses by {missed:,.0f}× the weights' size; "
        f"the corrected formula misses by {100 * mended:.1f} %.",
        "We use q = clamp(round(w/σ) + μ, 0, 255) and w ≈ σ(q − μ).",
    )


def _ablated_reading() -> Contradiction:
    rows = printed.TABLE_ONE["cifar10"]
    saved = rows["baseline"].size_mb - rows["ablated"].size_mb
    kept, kept_saving = nearest_ablation(pooled=True)
    gone, gone_saving = nearest_ablation(pooled=False)
    last = printed.FULLY_CONNECTED[0][0] // 16
    total = last / printed.ABLATED_FILTER_SHARE
    return Contradiction(
        "ablated_reading",
        "No reading of the architecture gives the ablated model's figures",
        f"Table I: it saves {saved:.2f} MB. IV-B2: the removed convolution holds 16 % of the "
        "filters.",
        f"Its {last} filters (2,048 = {last} × 4 × 4) would be 16 % of {total:.0f}, so that the "
        f"other five layers hold {total - last:.0f}, {(total - last) / 5:.0f} each on average: "
        "more than the last, in a network that widens. With the pooling kept, "
        f"{saved:.2f} MB needs {kept} input channels (saves {kept_saving:.2f} MB); without it, "
        f"{gone} ({gone_saving:.2f} MB). Neither is a layer width that doubles to {last}.",
        "We keep the pooling, as the ImageNet row implies (540 → 531 MB is one convolution).",
    )
