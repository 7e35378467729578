"""The paper's arrangement: its attack through 8-bit layers that hand back no gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from squeezed.attacks.carlini_wagner import CarliniWagnerSettings, carlini_wagner
from squeezed.attacks.diagnostics import share_without_gradient
from squeezed.attacks.gate import arrangement_verdict
from squeezed.attacks.victim import Victim
from squeezed.graphs.twin.rounding import is_rounded

PAPER = CarliniWagnerSettings(
    iterations=40,
    learning_rate=0.5e-4,
    constant=1.0,
    search_steps=1,
    confidence=0.0,
    softmax=False,
    stop_confidence=None,
    abort_early=False,
)
"""The attack as the paper states it, in the reading of docs/attack.md."""


def paper_arrangement(
    twin: nn.Module, images: Tensor, labels: Tensor, *, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Attack a variant as PyTorch's dynamically quantized layers would let it be attacked.

    Args:
        twin: the variant's.
        images: float32 (n, C, H, W), in [0, 1], that the variant classifies correctly.
        labels: int64 (n,), the true classes.
        device: where to compute.

    Returns:
        The fields `paper_arrangement_*` of a result: the share of images that no gradient of the
        classes reaches, the largest change of a pixel, and what to think of it. Nothing for a twin
        in which nothing is rounded.
    """
    if not is_rounded(twin):
        return {}
    victim = Victim(twin, device=device, straight_through=False, images=max(1, len(images)))
    share = share_without_gradient(victim, images, labels)
    moved = None
    if len(images):
        last = carlini_wagner(victim, images, labels, PAPER).last
        moved = float((last - images).abs().max())
    reliable, reason = arrangement_verdict(share, moved)
    return {
        "paper_arrangement_share_without_gradient": share,
        "paper_arrangement_max_abs_change": moved,
        "paper_arrangement_reliable": reliable,
        "paper_arrangement_reason": reason,
    }
