"""The structure of a quantized network, and its reference engine: differentiable, in PyTorch.

Each quantized layer holds its weights as uint8 with one scale σ and one zero point μ, so that
w ≈ σ(q − μ), and rounds its input to 256 steps ("fake quantization") before it computes in float32.
The deployed engine (`squeezed.graphs`) does the same with integers.

Two schemes:

- static: every convolution and fully connected layer; the input's scale and zero point are fixed
  (calibrated); the bias is a whole multiple of σ_input·σ_weight, an int32 when it is deployed.
- dynamic: fully connected layers; the input's scale and zero point follow from the smallest and
  largest value of each batch, as in ONNX's DynamicQuantizeLinear; the bias stays float32.

Rounding has zero derivative almost everywhere. The gradient here is the straight-through estimate:
the derivative of rounding is taken as 1 inside the range and 0 outside. `gradient_of_rounding`
switches to the true one.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from squeezed.foundation.errors import UserError
from squeezed.networks.surgery import replace_module

QMAX = 255
"""Largest value of the 8-bit unsigned integers; the smallest is 0."""

SCHEMES = ("static", "dynamic")


def _fake_quantize(values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Round `values` to 256 steps; `scale` and `zero_point` are scalars, or one for each row."""
    if scale.dim():
        return torch.fake_quantize_per_channel_affine(values, scale, zero_point, 0, 0, QMAX)
    return torch.fake_quantize_per_tensor_affine(values, scale, zero_point, 0, QMAX)


class _RoundingWithoutGradient(torch.autograd.Function):
    """Fake quantization with rounding's true derivative, zero."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        return _fake_quantize(values, scale, zero_point)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return torch.zeros_like(gradient), None, None


class QuantizedLayer(nn.Module):
    """What quantized layers share. Only the integers and their scales are in the state dict."""

    straight_through: bool
    quantized_weight: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor

    def _set_up(self, weight_shape: torch.Size) -> None:
        # The float parameters of nn.Conv2d and nn.Linear make room for values derived from the
        # integers: `weight` and `bias` keep their names for whoever looks at a layer.
        del self.weight, self.bias
        self.straight_through = True
        self.register_buffer("weight", torch.zeros(weight_shape), persistent=False)
        self.register_buffer("quantized_weight", torch.zeros(weight_shape, dtype=torch.uint8))
        self.register_buffer("weight_scale", torch.tensor(1.0))
        self.register_buffer("weight_zero_point", torch.tensor(0, dtype=torch.uint8))
        self.register_load_state_dict_post_hook(_dequantize_after_loading)

    def dequantize(self) -> None:
        """Compute `weight` (and a static layer's `bias`) from the integers anew."""
        zero_point = self.weight_zero_point.to(torch.int16)
        self.weight = (self.quantized_weight.to(torch.int16) - zero_point) * self.weight_scale

    def _rounded(self, values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        if self.straight_through:
            return _fake_quantize(values, scale, zero_point)
        return _RoundingWithoutGradient.apply(values, scale, zero_point)


def _dequantize_after_loading(layer: nn.Module, incompatible_keys: object) -> None:
    assert isinstance(layer, QuantizedLayer)
    layer.dequantize()


class StaticQuantizedLayer(QuantizedLayer):
    """A quantized layer whose input range is fixed, with an int32 bias."""

    quantized_bias: Tensor
    input_scale: Tensor
    input_zero_point: Tensor

    def _set_up(self, weight_shape: torch.Size) -> None:
        super()._set_up(weight_shape)
        self.register_buffer("bias", torch.zeros(weight_shape[0]), persistent=False)
        self.register_buffer("quantized_bias", torch.zeros(weight_shape[0], dtype=torch.int32))
        self.register_buffer("input_scale", torch.tensor(1.0))
        self.register_buffer("input_zero_point", torch.tensor(0, dtype=torch.uint8))

    def dequantize(self) -> None:
        """Compute `weight` and `bias` from the integers anew."""
        super().dequantize()
        self.bias = self.quantized_bias.to(torch.float64) * self.bias_scale
        self.bias = self.bias.to(self.weight.dtype)

    @property
    def bias_scale(self) -> Tensor:
        """What one unit of `quantized_bias` is worth, as in the deployed engine."""
        return self.input_scale * self.weight_scale

    def quantize_input(self, values: Tensor) -> Tensor:
        """Round the layer's input to the 256 steps of its range."""
        return self._rounded(values, self.input_scale, self.input_zero_point.to(torch.int32))


class QuantizedConv2d(StaticQuantizedLayer, nn.Conv2d):  # type: ignore[misc]
    """A convolution with uint8 weights and input, int32 bias."""

    def __init__(self, original: nn.Conv2d) -> None:
        """Take the shape of `original`; the integers are zero until they are set or loaded."""
        nn.Conv2d.__init__(
            self,
            original.in_channels,
            original.out_channels,
            original.kernel_size,  # type: ignore[arg-type]
            stride=original.stride,  # type: ignore[arg-type]
            padding=original.padding,  # type: ignore[arg-type]
            dilation=original.dilation,  # type: ignore[arg-type]
            groups=original.groups,
            padding_mode=original.padding_mode,
            device="meta",
        )
        self._set_up(original.weight.shape)

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, C_in, H, W) to (n, C_out, H', W')."""
        return self._conv_forward(self.quantize_input(values), self.weight, self.bias)


class QuantizedLinear(StaticQuantizedLayer, nn.Linear):  # type: ignore[misc]
    """A fully connected layer with uint8 weights and input, int32 bias."""

    def __init__(self, original: nn.Linear) -> None:
        """Take the shape of `original`; the integers are zero until they are set or loaded."""
        nn.Linear.__init__(self, original.in_features, original.out_features, device="meta")
        self._set_up(original.weight.shape)

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, in_features) to (n, out_features)."""
        return nn.functional.linear(self.quantize_input(values), self.weight, self.bias)


class DynamicQuantizedLinear(QuantizedLayer, nn.Linear):
    """A fully connected layer with uint8 weights; its input is quantized batch by batch."""

    range_of_each_image: bool = False
    """Give each image a range of its own, as if it were alone in its batch."""

    def __init__(self, original: nn.Linear) -> None:
        """Take the shape of `original`; the integers are zero until they are set or loaded."""
        nn.Linear.__init__(self, original.in_features, original.out_features, device="meta")
        self._set_up(original.weight.shape)
        has_bias = original.bias is not None
        self.register_buffer("bias", torch.zeros(original.out_features) if has_bias else None)

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, in_features) to (n, out_features).

        One range for the whole batch: the same image can get slightly different logits beside
        other images. That is how PyTorch's and ONNX Runtime's dynamic quantization work.
        """
        dims = (-1,) if self.range_of_each_image else ()
        low = values.detach().amin(dims).clamp(max=0)
        high = values.detach().amax(dims).clamp(min=0)
        scale = (high - low) / QMAX
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        zero_point = torch.round(-low / scale).clamp(0, QMAX).to(torch.int32)
        rounded = self._rounded(values, scale, zero_point)
        return nn.functional.linear(rounded, self.weight, self.bias)


def add_quantized_structure(network: nn.Module, description: Mapping[str, Any]) -> None:
    """Replace layers of a float network by empty quantized ones, in place, to load tensors into.

    Args:
        network: as `build_network` returns it.
        description: `scheme` ("static" or "dynamic"), `layers` (names of the quantized layers)
            and `folded` (names of the batch norms that became part of a convolution), as
            `squeezed.steps.quantization` writes it into the model card.

    Raises:
        UserError: if the description does not fit the network.
    """
    scheme = description["scheme"]
    if scheme not in SCHEMES:
        raise UserError(f"there is no quantization scheme {scheme!r}; choose from {SCHEMES}")
    try:
        for name in description["folded"]:
            network.get_submodule(name)
            replace_module(network, name, nn.Identity())
        for name in description["layers"]:
            replace_module(network, name, quantized_layer(network.get_submodule(name), scheme))
    except AttributeError as error:
        raise UserError(f"the quantization does not fit the network ({error})") from error


def quantized_layer(original: nn.Module, scheme: str) -> QuantizedLayer:
    """Return an empty quantized layer of the shape of `original`.

    Raises:
        UserError: if the scheme has no such layer.
    """
    if scheme == "dynamic" and isinstance(original, nn.Linear):
        return DynamicQuantizedLinear(original)
    if scheme == "static" and isinstance(original, nn.Linear):
        return QuantizedLinear(original)
    if scheme == "static" and isinstance(original, nn.Conv2d):
        return QuantizedConv2d(original)
    raise UserError(f"{scheme} quantization has no layer for a {type(original).__name__}")


@contextlib.contextmanager
def gradient_of_rounding(model: nn.Module) -> Iterator[None]:
    """Within the block, rounding inside `model` has its true derivative, zero.

    So no gradient of the logits passes a quantized layer, as in PyTorch's own dynamically
    quantized layers, which have no gradient at all. A model without quantized layers is left alone.
    """
    layers = [module for module in model.modules() if isinstance(module, QuantizedLayer)]
    before = [layer.straight_through for layer in layers]
    for layer in layers:
        layer.straight_through = False
    try:
        yield
    finally:
        for layer, straight_through in zip(layers, before, strict=True):
            layer.straight_through = straight_through
