"""Find the shape of a result without computing it, as far as that costs anything.

Tensors on the meta device would do the same, but importing what they need takes two seconds.
Stand-ins are zeros in which all numbers are the same one in memory; cheap operators are really
computed on them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from squeezed.graphs.twin.modules import Normalise
from squeezed.graphs.twin.rounding import DynamicFakeQuantize, FakeQuantize

SAME_SHAPE = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.SiLU,
    nn.GELU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Softmax,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.LayerNorm,
    Normalise,
    FakeQuantize,
    DynamicFakeQuantize,
)


def stand_in(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a tensor of zeros that takes no memory."""
    return torch.zeros((), dtype=dtype).expand(tuple(shape))


def result_of(called: nn.Module | Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Return stand-ins for what a module or a function returns."""
    if isinstance(called, SAME_SHAPE):
        return args[0]
    if isinstance(called, nn.Linear):
        return stand_in((*args[0].shape[:-1], called.out_features))
    if isinstance(called, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return stand_in(_convolved(called, args[0].shape))
    if called in (torch.div, torch.remainder, torch.fmod):  # integers by zero
        called, kwargs = torch.add, {}
    with torch.no_grad():
        result = called(*args, **kwargs)
    if isinstance(result, torch.Tensor):
        return stand_in(result.shape, result.dtype)
    return [stand_in(part.shape, part.dtype) for part in result]


def _convolved(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, shape: Sequence[int]) -> list[int]:
    padding: Any = layer.padding
    lengths = [
        (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for length, pad, dilation, kernel, stride in zip(
            shape[2:],
            padding,
            layer.dilation,
            layer.kernel_size,
            layer.stride,
            strict=True,
        )
    ]
    return [shape[0], layer.out_channels, *lengths]
