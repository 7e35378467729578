"""The margins below which a difference counts as none, and the comparisons that keep to them."""

from squeezed.reporting.estimates import Estimate

SHARE_MARGIN = 0.01
"""Accuracies that differ by less than one point count as equal."""
TIME_MARGIN = 1.02
"""Speed-ups below 2 % count as none."""
SIZE_MARGIN = 1.02
"""Files that differ by less than 2 % count as equally large."""
SCORE_MARGIN = 0.02
"""Silhouettes and areas under curves that differ by less than 0.02 count as equal."""
CORRELATION_MARGIN = 0.1
"""Rank correlations of maps that differ by less than 0.1 count as equal."""
DISTANCE_MARGIN = 0.05
"""Attack distances that differ by less than 5 % count as equal."""

ROUNDING = 1e-12
"""An interval's end this near to zero is zero."""


def exceeds(estimate: Estimate | None, threshold: float) -> bool | None:
    """Return whether a figure is at least a threshold, or None if its interval straddles it.

    A figure without an interval is taken as exact, but for one of too few repeats or images.
    """
    if estimate is None or estimate.is_open:
        return None
    low, high = estimate.ends
    return True if low >= threshold else False if high < threshold else None


def stays_within(estimate: Estimate | None, threshold: float) -> bool | None:
    """Return whether a figure is at most a threshold, or None if its interval straddles it."""
    if estimate is None or estimate.is_open:
        return None
    low, high = estimate.ends
    return True if high <= threshold else False if low > threshold else None


def direction(gain: Estimate | None, margin: float) -> int:
    """Return 1 for a clear gain, −1 for a clear loss and 0 where there is none to be told.

    Clear is what reaches the margin and whose interval does not include none. Sentences and the
    colours of cells both ask here, so that they cannot contradict each other.

    Args:
        gain: the difference to the baseline; plus is better.
        margin: what counts as none below it.
    """
    if gain is None or gain.is_open:
        return 0
    low, high = gain.ends
    if abs(gain.value) < margin or (low <= ROUNDING and high >= -ROUNDING):
        return 0
    return 1 if gain.value > 0 else -1
