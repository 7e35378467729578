"""Algorithm 1 of the paper, corrected: which 256 values 8 bits stand for.

As printed, the algorithm does not work: it neither rounds nor clamps, has the zero point inside the
division and does not scale back. Here σ = (max − min)/255 with zero inside [min, max],
μ = round(−min/σ), q = clamp(round(w/σ) + μ, 0, 255) and w ≈ σ(q − μ). Zero is a step of its own,
so pruned weights stay exactly zero. The paper quantizes biases too; ours stay int32, as integer
kernels add them to their int32 sums.
"""

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError

QMAX = 255
"""Largest value of the 8-bit unsigned integers; the smallest is 0."""


def scale_and_zero_point(minimum: float, maximum: float) -> tuple[np.float32, int]:
    """Return σ > 0 and μ in [0, 255] for values in [minimum, maximum], widened to hold zero.

    Raises:
        UserError: if the range is not finite, or minimum = maximum.
    """
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        raise UserError(f"cannot quantize values from {minimum} to {maximum}: they must be finite")
    if minimum == maximum:
        raise UserError(f"cannot quantize values that are all {minimum}: they span no range")
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    scale = np.float32((high - low) / QMAX)
    if scale < np.finfo(np.float32).tiny:
        raise UserError(
            f"cannot quantize values from {minimum} to {maximum}: they are too close to zero"
        )
    # Python's and numpy's round go to even on a tie, as torch and ONNX Runtime do.
    zero_point = int(np.clip(np.round(-low / np.float64(scale)), 0, QMAX))
    return scale, zero_point


def quantize_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], np.float32, np.uint8]:
    """Quantize one tensor to q (uint8, the same shape), σ and μ.

    Args:
        weight: of any shape.

    Raises:
        UserError: if it holds NaN or infinite values, or one value only.
    """
    if not np.isfinite(weight).all():
        raise UserError("cannot quantize weights that are NaN or infinite")
    scale, zero_point = scale_and_zero_point(float(weight.min()), float(weight.max()))
    steps = np.rint(weight / scale) + zero_point
    return steps.clip(0, QMAX).astype(np.uint8), scale, np.uint8(zero_point)
