"""Arithmetic, comparisons and what recognises larger functions in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from squeezed.graphs.twin.absorbing import absorb, absorbed, times_constant
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.dynamic import multiply_by_scale
from squeezed.graphs.twin.modules import Normalise
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor

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


# ---------------------------------------------------------------------- the first layer


def normalised(build: Builder, call: Call, x: Value, constants: Array) -> Value | None:
    """Write the module `normalise` for arithmetic on the images, or widen the one there is.

    None where `x` is not the images, normalised so far or not at all.
    """
    images = build.images
    before = getattr(build.root, "normalise", None)
    is_first = x is images and before is None
    if not (is_first or (before is not None and x.node is build.normalised)):
        return None
    if x.rank != 4 or not build.only_reader(x) or x.shape[1] is None or not x.floating:
        return None
    array = np.asarray(constants, np.float64)
    shape = (1,) * (4 - array.ndim) + array.shape
    channels = x.shape[1]
    if len(shape) != 4 or shape[1] not in (1, channels) or np.size(array) != shape[1]:
        return None
    c = np.broadcast_to(array.reshape(-1), (channels,))
    if call.op in ("Mul", "Div") and np.any(c == 0):
        return None
    mean, std = build.normalisation or (np.zeros(channels), np.ones(channels))
    if call.op == "Sub":
        mean = mean + c * std
    elif call.op == "Add":
        mean = mean - c * std
    else:
        std = std * c if call.op == "Div" else std / c
    if build.normalised is not None:
        build.graph.erase_node(build.normalised)
        del build.root.normalise
    build.normalisation = mean, std
    columns = (as_tensor(np.asarray(a, np.float32)).view(1, -1, 1, 1) for a in (mean, std))
    result = build.module(call, Normalise(*columns), images, name="normalise")
    build.normalised = result.node
    return result


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


# ---------------------------------------------------------------------- recognising


def recognised(build: Builder, call: Call) -> Value | None:
    """Return the layer that a product is: SiLU, Hardswish or GELU."""
    factors, constant = _factors(call)
    if len(factors) != 2:
        return None
    for x, gate in (factors, reversed(factors)):
        producer = gate.producer
        if producer is None or gate.node is None:
            continue
        of = producer.inputs
        if producer.op == "Sigmoid" and of[0] is x and constant == 1:
            return build.module(call, nn.SiLU(), x)
        if producer.op == "HardSigmoid" and of[0] is x and constant == 1:
            alpha, beta = producer.get("alpha", 0.2), producer.get("beta", 0.5)
            if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
                return build.module(call, nn.Hardswish(), x)
        if producer.op == "Clip" and math.isclose(constant, 1 / 6, rel_tol=1e-6):
            bounds = producer.setting("min", 1), producer.setting("max", 2)
            if bounds == (0, 6) and _is_sum(of[0], x, 3):
                return build.module(call, nn.Hardswish(), x)
        if producer.op == "Add" and math.isclose(constant, 0.5, rel_tol=1e-6):
            for one, erf in (of, reversed(of)):
                if _is_scalar(one, 1) and _is_erf(erf, x):
                    return build.module(call, nn.GELU(), x)
    return None


def _factors(call: Call) -> tuple[list[Value], float]:
    """Return what a product or quotient multiplies: computed values, and constants in one."""
    values, constant = [], 1.0
    pending: list[tuple[Call, int]] = [(call, 0), (call, 1)]
    while pending:
        parent, position = pending.pop(0)
        value = parent[position]
        producer = value.producer
        if value.constant:
            if value.array.size != 1:
                return [], 1.0
            number = float(value.array.reshape(-1)[0])
            if parent.op == "Div" and (position == 0 or number == 0):
                return [], 1.0
            constant = constant / number if parent.op == "Div" else constant * number
        elif parent.op == "Div" and position == 1:
            return [], 1.0
        elif producer is not None and producer.op in ("Mul", "Div") and _is_product(value):
            pending += [(producer, 0), (producer, 1)]
        else:
            values.append(value)
    return values, constant


def _is_product(value: Value) -> bool:
    return (
        value.layer is None
        and value.node is not None
        and value.node.op == "call_function"
        and value.node.target in (torch.mul, torch.div)
    )


def _is_scalar(value: Value, number: float) -> bool:
    return (
        value.constant
        and value.array.size == 1
        and math.isclose(float(value.array.reshape(-1)[0]), number, rel_tol=1e-6)
    )


def _is_sum(value: Value, x: Value, number: float) -> bool:
    producer = value.producer
    if producer is None or producer.op != "Add":
        return False
    a, b = producer.inputs
    return (a is x and _is_scalar(b, number)) or (b is x and _is_scalar(a, number))


def _is_erf(value: Value, x: Value) -> bool:
    """Whether a value is erf(x / √2)."""
    if value.producer is None or value.producer.op != "Erf":
        return False
    inner = value.producer[0].producer
    if inner is None or inner.op not in ("Mul", "Div"):
        return False
    factors, constant = _factors(inner)
    return (
        len(factors) == 1
        and factors[0] is x
        and math.isclose(constant, math.sqrt(0.5), rel_tol=1e-6)
    )


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
