"""What does not add up within the paper, each found by a calculation that is repeated here."""

from dataclasses import dataclass

import numpy as np

from squeezed.paper import printed
from squeezed.paper.calculations import (
    FLOAT_BYTES,
    MB,
    MIB,
    TABLE_MB,
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
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import points, times


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
    eight, rest = eight_bit_parameters(
        small["baseline"].size_mb, small["quantized"].size_mb, TABLE_MB
    )
    vgg16_eight, _ = eight_bit_parameters(
        large["baseline"].size_mb, large["quantized"].size_mb, TABLE_MB
    )
    linear = linear_parameters(printed.VGG16_FULLY_CONNECTED)
    return Contradiction(
        "eight_bit_layers",
        "The quantized file sizes are those of the fully connected layers in 8 bits alone",
        "III-B: quantization takes all weights and biases to 8 bits. Table I: 9.87 → 2.79 MB, "
        "540 → 178 MB.",
        f"All in 8 bits would be a quarter: {small['baseline'].size_mb / 4:.2f} and "
        f"{large['baseline'].size_mb / 4:.0f} MB. With {TABLE_MB:,.0f} bytes a MB (1,000 KiB) the "
        f"printed sizes leave {rest:,.0f} numbers of VGG-6 in 32 bits ({eight / 1e6:.2f} M in 8), "
        f"and VGG-16 has {vgg16_eight / 1e6:.1f} M in 8 bits, where its fully connected layers "
        f"hold {linear / 1e6:.1f} M of {printed.VGG16_BN_PARAMETERS / 1e6:.1f} M.",
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
