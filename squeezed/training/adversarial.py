"""Images that are changed against the network as it trains (Madry et al. 2018)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

STEPS = 5
"""Of projected gradient ascent, each of a third of the length: together they reach across it."""
STEP_SHARE = 1 / 3


def worst_within(
    model: nn.Module, loss_of: Callable[[Tensor], Tensor], images: Tensor, length: float
) -> Tensor:
    """Return the images changed so that the loss rises, by at most an L2 length.

    Args:
        model: the network, whose mode is left as it is found; meanwhile it evaluates, so that batch
            norms keep their statistics (as in TRADES, Zhang et al. 2019).
        loss_of: maps its logits (n, classes) to one number.
        images: float32 (n, C, H, W), in [0, 1].
        length: the farthest, in L2, in units of [0, 1].

    Returns:
        float32 (n, C, H, W), in [0, 1], without gradient.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    change = torch.zeros_like(images)
    for _ in range(STEPS):
        x = (images + change).clamp_(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_of(model(x).float()), x)
        change += STEP_SHARE * length * gradient / _lengths(gradient).clamp(min=1e-12)
        change *= length / _lengths(change).clamp(min=length)
    for module, mode in modes:
        module.training = mode
    return (images + change).clamp_(0, 1)


def _lengths(change: Tensor) -> Tensor:
    return torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
