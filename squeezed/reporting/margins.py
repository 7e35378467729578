"""The margins below which a difference counts as none, and the comparisons that keep to them."""

import math

from scipy import special

from squeezed.reporting.estimates import SEEDS, Estimate
from squeezed.statistics.comparisons import LEVEL
from squeezed.statistics.planning import image_error

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
LEAST_P_VALUE = 1e-12
"""Of what is not exact, no figure is told apart from its threshold more surely than this."""


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


def p_value(estimate: Estimate | None, threshold: float) -> float:
    """Return how likely chance alone takes a figure as far from a threshold, on either side.

    One minus the confidence at which the figure's interval just reaches the threshold, so that it
    is 0.05 where the end of the 95 % interval touches it. Of seeds and images each keeps its own
    quantile, as in the interval (`squeezed.statistics.crossed`); all else has Student's of as many
    as it is over. An interval that is longer on one side keeps its proportions.

    Returns:
        At least `LEAST_P_VALUE`; 0 for what no chance has a part in: exact figures, and those that
        are missing or of too few repeats or images, which decide nothing.
    """
    if estimate is None or estimate.is_open or not estimate.half_width:
        return 0.0
    low, high = estimate.ends
    if threshold in (low, high):
        return LEVEL
    # An interval of a share may leave out the share itself where that is 0 or 1.
    middle = estimate.value if low <= estimate.value <= high else (low + high) / 2
    arm = high - middle if threshold > middle else middle - low
    if math.isinf(arm):
        return 1.0
    if arm == 0:
        return LEAST_P_VALUE
    return _level(abs(threshold - middle) / arm, *_errors(estimate))


def _errors(estimate: Estimate) -> tuple[float, float, float]:
    """Return what seeds and images contribute to a standard error, and the degrees of freedom.

    In any unit. Where the two cannot be told apart, all has Student's quantile.
    """
    if estimate.n < 2:
        return 1.0, 0.0, math.inf
    degrees = estimate.n - 1.0
    if estimate.spread is None or estimate.half_width is None or SEEDS not in estimate.basis:
        return 1.0, 0.0, degrees
    of_images = image_error(estimate.half_width, estimate.spread, estimate.n)
    return estimate.spread / estimate.n**0.5, of_images, degrees


def _level(arms: float, of_seeds: float, of_images: float, degrees: float) -> float:
    """Return at which level an interval is so many times as long as at `LEVEL`."""
    # Claims of the paper alone need it, and it takes half a second to load.
    from scipy.optimize import brentq

    def length(level: float) -> float:
        student, normal = special.stdtrit(degrees, level / 2), special.ndtri(level / 2)
        return math.hypot(student * of_seeds, normal * of_images)

    wanted = arms * length(LEVEL)
    if wanted >= length(LEAST_P_VALUE):
        return LEAST_P_VALUE
    logarithm = brentq(
        lambda at: length(math.exp(at)) - wanted, math.log(LEAST_P_VALUE), 0.0, xtol=1e-13
    )
    return math.exp(logarithm)


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
