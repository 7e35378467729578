"""Attention as one operator."""

import torch

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Call, Value


@operator("Attention")
def attention(build: Builder, call: Call) -> Value:
    """Attention without a past; heads on an axis of their own or within the last."""
    if any(call.optional(position) is not None for position in (4, 5, 6)) or len(call.outputs) > 1:
        raise UserError(f"the twin knows no past and no further outputs in {call}")
    return build.function(
        call,
        attend,
        call[0],
        call[1],
        call[2],
        call.get("q_num_heads"),
        call.get("kv_num_heads"),
        call.get("scale"),
        call.optional(3),
        causal=bool(call.get("is_causal", 0)),
        softcap=call.get("softcap", 0.0),
    )


def heads(x: torch.Tensor, number: int | None) -> torch.Tensor:
    """Return (n, heads, length, width) of what may have its heads within the last axis."""
    if x.dim() == 4:
        return x
    assert number is not None
    return x.unflatten(-1, (number, -1)).transpose(1, 2)


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    q_heads: int | None,
    kv_heads: int | None,
    scale: float | None,
    mask: torch.Tensor | None,
    causal: bool = False,
    softcap: float = 0.0,
) -> torch.Tensor:
    """Return softmax(q · kᵀ · scale + mask) · v, in the form of `q`."""
    flat = q.dim() == 3
    q, k, v = heads(q, q_heads), heads(k, kv_heads), heads(v, kv_heads)
    repeats = q.shape[1] // k.shape[1]
    if repeats > 1:
        k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if softcap > 0:
        scores = softcap * torch.tanh(scores / softcap)
    if causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~allowed, -torch.inf)
    if mask is not None:
        if mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -torch.inf)
        else:
            scores = scores + mask
    shares = torch.softmax(scores, -1)
    if causal or mask is not None:
        shares = shares.nan_to_num(0.0)  # where nothing may be looked at
    result = shares @ v
    return result.transpose(1, 2).flatten(2) if flat else result
