"""Algorithm 1 of the paper, corrected: 8-bit weights, and 8-bit activations.

As printed, the algorithm does not work: it neither rounds nor clamps, has the zero point inside the
division and does not scale back. Here σ = (max − min)/255 with zero inside [min, max],
μ = round(−min/σ), q = clamp(round(w/σ) + μ, 0, 255) and w ≈ σ(q − μ). Zero is a step of its own,
so pruned weights stay exactly zero. The paper quantizes biases too; ours stay int32, as integer
kernels add them to their int32 sums.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError
from squeezed.networks.classifier import Classifier
from squeezed.networks.quantized import (
    QMAX,
    QuantizedLayer,
    StaticQuantizedLayer,
    quantized_layer,
)
from squeezed.networks.surgery import replace_module
from squeezed.steps.folding import fold_batch_norm

Range = tuple[float, float]


def scale_and_zero_point(minimum: float, maximum: float) -> tuple[np.float32, int]:
    """Return σ > 0 and μ in [0, 255] for values in [minimum, maximum], widened to hold zero.

    Raises:
        UserError: if the range is not finite, or minimum = maximum.
    """
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        raise UserError(f"cannot quantize values from {minimum} to {maximum}: they must be finite")
    if minimum == maximum:
        raise UserError(f"cannot quantize values that are all {minimum}: they span no range")
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    scale = np.float32((high - low) / QMAX)
    if scale < np.finfo(np.float32).tiny:
        raise UserError(
            f"cannot quantize values from {minimum} to {maximum}: they are too close to zero"
        )
    # Python's and numpy's round go to even on a tie, as torch and ONNX Runtime do.
    zero_point = int(np.clip(np.round(-low / np.float64(scale)), 0, QMAX))
    return scale, zero_point


def quantize_weight(weight: Tensor, *, centred: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize one tensor to q (uint8, the same shape), σ (float32) and μ (uint8), both scalars.

    Args:
        weight: float, of any shape.
        centred: widen the range until zero is in its middle: μ = 128, σ = max|w|/127. Costs less
            than one bit, and integer kernels are faster without a zero point to subtract.

    Raises:
        UserError: if it holds NaN or infinite values, or one value only.
    """
    weight = weight.detach().cpu()
    if not bool(torch.isfinite(weight).all()):
        raise UserError("cannot quantize weights that are NaN or infinite")
    low, high = float(weight.min()), float(weight.max())
    if centred and low != high:
        high = max(-low, high)
        low = -high * 128 / 127
    scale, zero_point = scale_and_zero_point(low, high)
    # In place: VGG-16's first fully connected layer takes 400 MB.
    quantized = (weight / float(scale)).round_().add_(zero_point).clamp_(0, QMAX).to(torch.uint8)
    return quantized, torch.tensor(scale), torch.tensor(zero_point, dtype=torch.uint8)


def dequantize_weight(quantized: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Return σ(q − μ) in float32."""
    return (quantized.to(torch.int16) - zero_point.to(torch.int16)) * scale


def quantize_model(
    model: Classifier, batches: Iterable[Tensor], *, centred: bool = False
) -> tuple[Classifier, dict[str, Any]]:
    """Quantize every convolution and fully connected layer: weights, inputs and biases.

    Args:
        model: in float32, pruned or not; it is left as it is.
        batches: images to calibrate on, in [0, 1], shape (n, 3, H, W); training images only.
        centred: see `quantize_weight`.

    Returns:
        The quantized model and its description for the model card.

    Raises:
        UserError: if a layer's weights or inputs cannot be quantized (named in the sentence), or
            torch.fx cannot trace the network.
    """
    network, folded = fold_batch_norm(model.network)
    quantized = Classifier(
        network, model.normalise.mean.flatten().tolist(), model.normalise.std.flatten().tolist()
    ).eval()
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    ranges = input_ranges(quantized, names, batches)
    for name in names:
        original = network.get_submodule(name)
        layer = _quantized_weights_of(name, original, "static", centred)
        assert isinstance(layer, StaticQuantizedLayer)
        try:
            scale, zero_point = scale_and_zero_point(*ranges[name])
        except UserError as error:
            raise UserError(f"the input of layer {name}: {error}") from error
        layer.input_scale = torch.tensor(scale)
        layer.input_zero_point = torch.tensor(zero_point, dtype=torch.uint8)
        layer.quantized_bias = _quantize_bias(original.bias, layer)  # type: ignore[arg-type]
        layer.dequantize()
        replace_module(network, name, layer)
    return quantized.eval(), {"scheme": "static", "layers": names, "folded": folded}


def quantize_linear_layers(
    model: Classifier, *, centred: bool = False
) -> tuple[Classifier, dict[str, Any]]:
    """Quantize the fully connected layers alone; their inputs are quantized batch by batch.

    The arrangement that the paper's sizes point to, and PyTorch's dynamic quantization: 540 →
    178 MB is VGG-16 with 8-bit fully connected layers and everything else in 32 bits.

    Args:
        model: in float32; it is left as it is.
        centred: see `quantize_weight`.

    Returns:
        The quantized model and its description for the model card.

    Raises:
        UserError: if there is no fully connected layer, or one cannot be quantized.
    """
    quantized = copy.deepcopy(model).eval()
    network = quantized.network
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Linear)]
    if not names:
        raise UserError(f"{type(network).__name__} has no fully connected layer to quantize")
    for name in names:
        original = network.get_submodule(name)
        layer = _quantized_weights_of(name, original, "dynamic", centred)
        layer.bias = None if original.bias is None else original.bias.detach().clone()  # type: ignore[operator]
        layer.dequantize()
        replace_module(network, name, layer)
    return quantized.eval(), {"scheme": "dynamic", "layers": names, "folded": []}


def input_ranges(
    model: Classifier, names: Iterable[str], batches: Iterable[Tensor]
) -> dict[str, Range]:
    """Return the smallest and largest value that reaches each of the layers.

    Args:
        model: in evaluation mode.
        names: of layers inside `model.network`.
        batches: images in [0, 1], shape (n, 3, H, W).
    """
    ranges = dict.fromkeys(names, (np.inf, -np.inf))

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = ranges[name]
            minimum, maximum = inputs[0].aminmax()
            ranges[name] = (min(low, float(minimum)), max(high, float(maximum)))

        return hook

    handles = [
        model.network.get_submodule(name).register_forward_pre_hook(watch(name)) for name in ranges
    ]
    try:
        with torch.inference_mode():
            for images in batches:
                model(images)
    finally:
        for handle in handles:
            handle.remove()
    return ranges


def _quantized_weights_of(
    name: str, original: nn.Module, scheme: str, centred: bool
) -> QuantizedLayer:
    layer = quantized_layer(original, scheme)
    try:
        layer.quantized_weight, layer.weight_scale, layer.weight_zero_point = quantize_weight(
            original.weight,  # type: ignore[arg-type]
            centred=centred,
        )
    except UserError as error:
        raise UserError(f"the weights of layer {name}: {error}") from error
    return layer


def _quantize_bias(bias: Tensor | None, layer: StaticQuantizedLayer) -> Tensor:
    if bias is None:
        return torch.zeros_like(layer.quantized_bias)
    limits = torch.iinfo(torch.int32)
    steps = torch.round(bias.detach().double() / layer.bias_scale.double())
    return steps.clamp(limits.min, limits.max).to(torch.int32)
