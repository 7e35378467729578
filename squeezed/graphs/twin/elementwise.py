"""Arithmetic and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from squeezed.graphs.twin.absorbing import absorb, absorbed, times_constant
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.dynamic import multiply_by_scale
from squeezed.graphs.twin.recognising import normalised, recognised
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Call, Value

_UNARY: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal,
    "Erf": torch.erf,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Sign": torch.sign,
    "Not": torch.logical_not,
    "IsNaN": torch.isnan,
}


@operator(*_UNARY)
def unary(build: Builder, call: Call) -> Value:
    """Functions of one number."""
    return build.function(call, _UNARY[call.op], call[0])


_BINARY: dict[str, Callable[..., Any]] = {
    "Pow": torch.pow,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
    "Sub": torch.sub,
    "Add": torch.add,
    "Mul": torch.mul,
}


@operator("Pow", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor")
def binary(build: Builder, call: Call) -> Value:
    """Functions of two numbers."""
    return build.function(call, _BINARY[call.op], call[0], call[1])


# ---------------------------------------------------------------------- sums and products


@operator("Add", "Sub")
def add(build: Builder, call: Call) -> Value:
    """Add or subtract; constants go into the layer before."""
    a, b = call[0], call[1]
    if call.op == "Add" and a.constant:
        a, b = b, a
    if b.constant and b.floating:
        first = normalised(build, call, a, b.array)
        if first is not None:
            return first
        addend = b.array if call.op == "Add" else -b.array
        if absorb(build, a, None, addend):
            return absorbed(build, call, a)
    return build.function(call, _BINARY[call.op], a, b)


@operator("Mul")
def multiply(build: Builder, call: Call) -> Value:
    """Multiply; constants go into the layer before, x · sigmoid(x) and the like become layers."""
    scaled = multiply_by_scale(build, call)
    if scaled is not None:
        return scaled
    a, b = call[0], call[1]
    if a.constant:
        a, b = b, a
    if b.constant and b.floating:
        first = normalised(build, call, a, b.array)
        if first is not None:
            return first
    whole = recognised(build, call)
    if whole is not None:
        return whole
    if b.constant:
        return times_constant(build, call, a, b.array)
    return build.function(call, torch.mul, a, b)


@operator("Div")
def divide(build: Builder, call: Call) -> Value:
    """Divide; a constant divisor becomes a factor."""
    a, b = call[0], call[1]
    if not a.floating and not b.floating:
        return build.function(call, torch.div, a, b, rounding_mode="trunc")
    if b.constant:
        first = normalised(build, call, a, b.array)
        if first is not None:
            return first
        whole = recognised(build, call)
        if whole is not None:
            return whole
        return times_constant(build, call, a, np.asarray(1 / np.float64(b.array)))
    return build.function(call, torch.div, a, b)


# ---------------------------------------------------------------------- several operands


@operator("Max", "Min", "Sum", "Mean")
def variadic(build: Builder, call: Call) -> Value:
    """The largest, smallest, sum or mean of any number of tensors."""
    target = {"Max": torch.maximum, "Min": torch.minimum}.get(call.op, torch.add)
    first, *others = call.inputs
    dtype = next(v.dtype for v in call.inputs if not v.known)
    total = first
    for other in others:
        if target is not torch.add:
            total, other = (_at_least_a_tensor(v) for v in (total, other))
        total = build.function(call, target, total, other)
    if call.op == "Mean":
        total = build.function(call, torch.mul, total, 1 / len(call.inputs))
    if not others:
        total = build.function(call, torch.clone, total)
    assert total.dtype == dtype or not total.floating
    return total


def _at_least_a_tensor(value: Value) -> Value:
    """Return a value that is no Python number in the twin: torch.maximum takes tensors only."""
    if value.constant and value.rank == 0:
        return Value(value.name, arrays=(value.array.reshape(1),) * 2)
    return value


@operator("Where")
def where(build: Builder, call: Call) -> Value:
    """Choose between two tensors."""
    return build.function(call, torch.where, *(call[i] for i in range(3)))


@operator("Mod")
def modulo(build: Builder, call: Call) -> Value:
    """The rest of a division, with the divisor's sign, or (`fmod`) the dividend's."""
    target = torch.fmod if call.get("fmod", 0) else torch.remainder
    return build.function(call, target, call[0], call[1])


@operator("IsInf")
def is_infinite(build: Builder, call: Call) -> Value:
    """Whether numbers are infinite."""
    positive, negative = call.get("detect_positive", 1), call.get("detect_negative", 1)
    if positive and negative:
        return build.function(call, torch.isinf, call[0])
    return build.function(call, torch.isposinf if positive else torch.isneginf, call[0])
