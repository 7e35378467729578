"""Straight-through gradients through integer operators, against the float path's."""

import numpy as np
import pytest
import torch

from squeezed.graphs.twin import build_twin, gradient_of_rounding
from tests.graphs.twin.graphs import computed, gradient, graph, images, node, runtime, weights

RNG = np.random.default_rng(0)
KERNEL = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
MATRIX = RNG.integers(-127, 128, (192, 5)).astype(np.int8)
CHANNEL = np.linspace(0.001, 0.004, 4, dtype=np.float32)
COLUMN = np.linspace(0.001, 0.004, 5, dtype=np.float32)
CONSTANTS = {
    "xs": np.float32(1 / 255),
    "xz": np.uint8(0),
    "w": KERNEL,
    "ws": CHANNEL,
    "wz": np.zeros(4, np.int8),
    "m": MATRIX,
    "ms": COLUMN,
    "mz": np.zeros(5, np.int8),
    "ys": np.float32(0.02),
    "yz": np.uint8(120),
    "bias": RNG.integers(-9999, 9999, 4).astype(np.int32),
    "row": RNG.integers(-9999, 9999, 5).astype(np.int32),
    "real_row": weights(5),
    "channels": CHANNEL.reshape(1, 4, 1, 1),
}
QUANTIZE = node("QuantizeLinear", "x xs xz", "q")
DYNAMIC = node("DynamicQuantizeLinear", "x", "q qs qz")
FLAT = node("Flatten", "q", "f")
DEQUANTIZE = node("DequantizeLinear", "o ys yz")

CASES = {
    "QLinearConv": [QUANTIZE, node("QLinearConv", "q xs xz w ws wz ys yz bias", "o"), DEQUANTIZE],
    "QLinearMatMul": [
        QUANTIZE,
        FLAT,
        node("QLinearMatMul", "f xs xz m ms mz ys yz", "o"),
        DEQUANTIZE,
    ],
    "QGemm": [
        QUANTIZE,
        FLAT,
        node("QGemm", "f xs xz m ms mz row ys yz", "o", "com.microsoft"),
        DEQUANTIZE,
    ],
    "QGemm to real": [QUANTIZE, FLAT, node("QGemm", "f xs xz m ms mz row", "y", "com.microsoft")],
    "MatMulInteger": [
        DYNAMIC,
        FLAT,
        node("MatMulInteger", "f m qz", "i"),
        node("Cast", "i", "r", to=1),
        node("Mul", "qs ms", "s"),
        node("Mul", "r s"),
    ],
    "ConvInteger": [
        DYNAMIC,
        node("ConvInteger", "q w qz", "i"),
        node("Cast", "i", "r", to=1),
        node("Mul", "channels qs", "s"),
        node("Mul", "r s"),
    ],
    "DynamicQuantizeMatMul": [
        node("Flatten", "x", "f"),
        node("DynamicQuantizeMatMul", "f m ms mz real_row", "y", "com.microsoft"),
    ],
    "MatMulIntegerToFloat": [
        DYNAMIC,
        FLAT,
        node("MatMulIntegerToFloat", "f m qs ms qz mz real_row", "y", "com.microsoft"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_a_chain_of_integer_operators(case):
    """The value is ONNX Runtime's; the gradient is that of the weights, inside the range."""
    model = graph(CASES[case], CONSTANTS)
    twin = build_twin(model)
    x = images(4, 3, 8, 8)
    expected = runtime(model, x)
    step = 0.0201 if "ys" in str(model.graph.node) else 1e-4
    difference = np.abs(computed(twin, x) - expected)
    assert difference.max() <= step
    assert (difference > 1e-4).mean() < 0.01

    leaf = torch.from_numpy(x).requires_grad_()
    if "Conv" in case:
        kernel = torch.from_numpy(KERNEL * CHANNEL.reshape(4, 1, 1, 1))
        real = torch.nn.functional.conv2d(leaf, kernel)
    else:
        real = leaf.flatten(1) @ torch.from_numpy(MATRIX * COLUMN)
    inside = torch.ones_like(real)
    if step == 0.0201:
        inside = torch.from_numpy((expected > -119.5 * 0.02) & (expected < 134.5 * 0.02))
        assert inside.float().mean() > 0
    (real * inside).sum().backward()
    assert leaf.grad is not None
    np.testing.assert_allclose(gradient(twin, x), leaf.grad.numpy(), rtol=1e-3, atol=1e-3)
    with gradient_of_rounding(twin):
        assert not gradient(twin, x).any()


def test_gradients_are_zero_where_the_range_ends():
    """Closed form: y = clamp(round(x / s)) · s has the derivative 1 on [0, 255 s], 0 outside."""
    nodes = [
        node("Mul", "x k", "a"),
        node("Sub", "a h", "b"),
        node("QuantizeLinear", "b ys z", "q"),
        node("DequantizeLinear", "q ys z"),
    ]
    scale = np.float32(0.02)
    constants = {"k": np.float32(20), "h": np.float32(10), "ys": scale, "z": np.uint8(0)}
    x = images(4, 3, 8, 8)
    inside = (x * 20 - 10 > 0) & (x * 20 - 10 < 255.5 * scale)
    assert 0.1 < inside.mean() < 0.9
    twin = build_twin(graph(nodes, constants))
    np.testing.assert_allclose(gradient(twin, x), 20.0 * inside, rtol=1e-5)


MICROSOFT = {
    "QLinearAdd": (
        lambda a: a + a,
        [node("QLinearAdd", "q xs xz q xs xz ys yz", "o", "com.microsoft")],
    ),
    "QLinearMul": (
        lambda a: a * a,
        [node("QLinearMul", "q xs xz q xs xz ys yz", "o", "com.microsoft")],
    ),
    "QLinearConcat": (
        lambda a: np.concatenate([a, a], 1),
        [node("QLinearConcat", "ys yz q xs xz q xs xz", "o", "com.microsoft", axis=1)],
    ),
    "QLinearGlobalAveragePool": (
        lambda a: a.mean((2, 3), keepdims=True),
        [node("QLinearGlobalAveragePool", "q xs xz ys yz", "o", "com.microsoft", channels_last=0)],
    ),
    "QLinearAveragePool": (
        lambda a: a.reshape(4, 3, 4, 2, 4, 2).mean((3, 5)),
        [
            node(
                "QLinearAveragePool",
                "q xs xz ys yz",
                "o",
                "com.microsoft",
                kernel_shape=[2, 2],
                strides=[2, 2],
            )
        ],
    ),
    "QLinearSigmoid": (
        lambda a: 1 / (1 + np.exp(-a)),
        [node("QLinearSigmoid", "q xs xz ys yz", "o", "com.microsoft")],
    ),
    "QLinearLeakyRelu": (
        lambda a: np.where(a < 0, 0.1 * a, a),
        [node("QLinearLeakyRelu", "q xs xz ys yz", "o", "com.microsoft", alpha=0.1)],
    ),
    "QLinearSoftmax": (
        lambda a: np.exp(a) / np.exp(a).sum(-1, keepdims=True),
        [node("QLinearSoftmax", "q xs xz ys yz", "o", "com.microsoft", axis=-1, opset=13)],
    ),
    "QLinearReduceMean": (
        lambda a: a.mean((2, 3)),
        [node("QLinearReduceMean", "q xs xz ys yz", "o", "com.microsoft", axes=[2, 3], keepdims=0)],
    ),
}


@pytest.mark.parametrize("op", MICROSOFT)
def test_quantized_operators_of_onnx_runtime(op):
    function, nodes = MICROSOFT[op]
    model = graph([QUANTIZE, *nodes, DEQUANTIZE], CONSTANTS)
    twin = build_twin(model)
    x = images(4, 3, 8, 8)
    result = computed(twin, x)
    real = np.rint(x / CONSTANTS["xs"]) * CONSTANTS["xs"]
    expected = np.rint(function(real) / 0.02) * 0.02
    assert (np.abs(result - expected) > 1e-4).mean() < 0.01
    assert np.abs(result - expected).max() < 0.0201
    assert np.abs(gradient(twin, x)).sum() > 0
    if op != "QLinearReduceMean":  # ONNX Runtime has its schema, and no kernel on processors
        assert np.abs(result - runtime(model, x)).max() < 0.0201


FUSED = {
    "FusedConv": [
        node(
            "FusedConv",
            "x k b",
            "y",
            "com.microsoft",
            activation="LeakyRelu",
            activation_params=[0.2],
        )
    ],
    "FusedGemm": [
        node("Flatten", "x", "f"),
        node(
            "FusedGemm",
            "f v real_row",
            "y",
            "com.microsoft",
            activation="Relu",
            alpha=0.5,
            beta=2.0,
        ),
    ],
    "FusedMatMul": [node("FusedMatMul", "x x", "y", "com.microsoft", transB=1, alpha=0.5)],
    "Gelu": [node("Gelu", "x", "y", "com.microsoft")],
    "QuickGelu": [node("QuickGelu", "x", "y", "com.microsoft", alpha=1.5)],
    "FastGelu": [node("FastGelu", "x eight", "y", "com.microsoft")],
    "BiasGelu": [node("BiasGelu", "x eight", "y", "com.microsoft")],
    "SkipLayerNormalization": [
        node("Reshape", "x tokens", "t"),
        node("SkipLayerNormalization", "t t eight eight", "y", "com.microsoft", epsilon=1e-5),
    ],
    "MultiHeadAttention": [
        node("Reshape", "x tokens", "t"),
        node("MultiHeadAttention", "t t t", "y", "com.microsoft", num_heads=2),
    ],
    "Attention": [
        node("Reshape", "x tokens", "t"),
        node("Attention", "t qkv qkv_bias", "y", "com.microsoft", num_heads=2),
    ],
    "MatMulNBits": [
        node("MatMulNBits", "x bits scales", "y", "com.microsoft", K=8, N=5, bits=4, block_size=16)
    ],
}


@pytest.mark.parametrize("op", FUSED)
def test_operators_that_onnx_runtime_fuses(op):
    constants = {
        "k": weights(4, 3, 3, 3),
        "b": weights(4),
        "v": weights(192, 5),
        "real_row": weights(5),
        "eight": weights(8),
        "tokens": np.array([0, -1, 8]),
        "qkv": weights(8, 24),
        "qkv_bias": weights(24),
        "bits": RNG.integers(0, 256, (5, 1, 8)).astype(np.uint8),
        "scales": np.abs(weights(5)),
    }
    model = graph(FUSED[op], constants)
    x = images(4, 3, 8, 8) - 0.4
    np.testing.assert_allclose(
        computed(build_twin(model), x), runtime(model, x), rtol=1e-3, atol=1e-4
    )
