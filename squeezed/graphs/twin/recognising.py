"""What arithmetic turns out to be: the normalisation of the images, and activations."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.modules import Normalise
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor


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
