"""Operators that ONNX Runtime's optimiser writes: several of ONNX's in one."""

import numpy as np
import torch

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin import layers
from squeezed.graphs.twin.attention import attend
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import HANDLERS, MICROSOFT, operator
from squeezed.graphs.twin.values import Array, Call, Value

_PARAMETERS = {
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}


def _activated(build: Builder, call: Call, x: Value) -> Value:
    """Write the activation that a fused operator names."""
    name = call.get("activation", "")
    if not name:
        return x
    if ("", name) not in HANDLERS:
        raise UserError(f"the twin knows no activation {name} in {call}")
    values = call.get("activation_params") or [
        call.get(f"activation_{letter}", 0.0) for letter in ("alpha", "beta", "gamma")
    ]
    names = _PARAMETERS.get(name, ())
    inner = call.as_operator(name, [x], **dict(zip(names, values, strict=False)))
    inner.name = f"{call.name}_{name.lower()}"
    result = HANDLERS["", name](build, inner)
    assert isinstance(result, Value)
    return result


@operator("FusedConv", domain=MICROSOFT)
def fused_conv(build: Builder, call: Call) -> Value:
    """Convolve, add, activate."""
    result = layers.conv(build, call.as_operator("Conv", [call[0], call[1], call.optional(2)]))
    if call.optional(3) is not None:
        result = build.function(call, torch.add, result, call[3])
    return _activated(build, call, result)


@operator("FusedGemm", domain=MICROSOFT)
def fused_gemm(build: Builder, call: Call) -> Value:
    """alpha · A · B + beta · C, activated."""
    result = layers.general_matmul(build, call, call[0], call[1], call.optional(2))
    return _activated(build, call, result)


@operator("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_matmul(build: Builder, call: Call) -> Value:
    """alpha · A · B, either with its last two axes exchanged."""
    if call.get("transBatchA", 0) or call.get("transBatchB", 0):
        raise UserError(f"the twin knows no FusedMatMul with transposed batches ({call})")
    a, b = (
        build.function(call, torch.transpose, x, -2, -1) if call.get(name, 0) else x
        for x, name in ((call[0], "transA"), (call[1], "transB"))
    )
    product = build.function(call, torch.matmul, a, b)
    alpha = call.get("alpha", 1.0)
    return product if alpha == 1 else build.function(call, torch.mul, product, alpha)


@operator("MatMulNBits", domain=MICROSOFT)
def matmul_n_bits(build: Builder, call: Call) -> Value:
    """Multiply by weights of few bits, rounded in blocks."""
    packed, scales, zero_points = call.array(1), call.array(2), call.array(3)
    assert packed is not None and scales is not None
    bits, outputs, inputs = call.get("bits", 4), call.get("N"), call.get("K")
    if call.optional(4) is not None:
        raise UserError(f"the twin knows no MatMulNBits with g_idx ({call})")
    blocks = packed.shape[1]
    q = _unpacked(packed.reshape(outputs, blocks, -1), bits, call.get("block_size"))
    if zero_points is None:
        points: Array = np.full((outputs, blocks), 2 ** (bits - 1))
    elif zero_points.dtype == np.uint8:
        points = _unpacked(zero_points.reshape(outputs, -1), bits, blocks)
    else:
        points = zero_points.reshape(outputs, blocks)
    weight = (q.astype(np.float32) - points[..., None]) * scales.reshape(outputs, blocks, 1)
    weight = weight.reshape(outputs, -1)[:, :inputs].astype(np.float32)
    return layers.linear(build, call, call[0], weight.T, call.array(5))


def _unpacked(packed: Array, bits: int, count: int) -> Array:
    """Return `count` unsigned integers of the last axis, lowest bits first."""
    ones = np.unpackbits(packed, axis=-1, bitorder="little")
    numbers = ones.reshape(*packed.shape[:-1], -1, bits)
    result: Array = (numbers.astype(np.int64) << np.arange(bits)).sum(-1)[..., :count]
    return result


@operator("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(build: Builder, call: Call) -> Value:
    """Attention of separate queries, keys and values (n, length, width)."""
    if any(call.optional(position) is not None for position in (4, 6, 7)) or call.get(
        "unidirectional"
    ):
        raise UserError(f"the twin knows no masks and no past in {call}")
    q, k, v = (call[position] for position in range(3))
    bias, number = call.array(3), call.get("num_heads")
    if bias is not None:
        widths = np.cumsum([x.shapes[0][-1] for x in (q, k)])
        q, k, v = (
            build.function(call, torch.add, x, Value(f"{call.name}_bias", arrays=(part, part)))
            for x, part in zip((q, k, v), np.split(bias, widths), strict=True)
        )
    return build.function(
        call, attend, q, k, v, number, number, call.get("scale") or None, call.optional(5)
    )


@operator("Attention", domain=MICROSOFT)
def packed_attention(build: Builder, call: Call) -> Value:
    """Attention whose queries, keys and values one matrix makes."""
    if any(call.optional(position) is not None for position in (3, 4)) or call.get(
        "unidirectional"
    ):
        raise UserError(f"the twin knows no masks and no past in {call}")
    weight, number = call.array(1), call.get("num_heads")
    assert weight is not None
    widths = call.get("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    joint = layers.linear(build, call, call[0], weight, call.array(2))
    q, k, v = build.functions(call, torch.split, joint, widths, -1)
    return build.function(
        call, attend, q, k, v, number, number, call.get("scale") or None, call.optional(5)
    )
