"""Figures in words: one way to write a percentage, a size, a ratio and an interval."""

from collections.abc import Callable

from squeezed.comparison.wording import in_points
from squeezed.reporting.estimates import Estimate

Format = Callable[[float], str]

NONE = "–"
_SPACE = "\u202f"  # narrow, does not break


def _minus(text: str) -> str:
    """Use the minus sign, and no sign on what rounds to zero."""
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.,") else "−" + text[1:]
    return text


def number(decimals: int) -> Format:
    """Return a format with so many decimals, and commas in thousands."""
    return lambda value: _minus(f"{value:,.{decimals}f}")


def percent(value: float) -> str:
    """Write a share as a percentage with one decimal: 97.2 %."""
    return f"{_minus(f'{100 * value:.1f}')}{_SPACE}%"


def points(value: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    return f"{in_points(value, 1)}{_SPACE}points"


def megabytes(value: float) -> str:
    """Write bytes as MB (10⁶ bytes)."""
    return f"{value / 1e6:.2f}{_SPACE}MB" if value < 1e8 else f"{value / 1e6:.0f}{_SPACE}MB"


def seconds(value: float) -> str:
    """Write seconds with three digits."""
    return f"{_three_digits(value)}{_SPACE}s"


def milliseconds(value: float) -> str:
    """Write milliseconds with three digits."""
    return f"{_three_digits(value)}{_SPACE}ms"


def mebibytes(value: float) -> str:
    """Write memory in MiB."""
    return f"{value:,.0f}{_SPACE}MiB"


def times(value: float) -> str:
    """Write a ratio: 1.07×."""
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"


def millions(value: float) -> str:
    """Write a count in millions."""
    return f"{value / 1e6:,.2f}{_SPACE}M"


def grey_levels(value: float) -> str:
    """Write a change of a pixel in [0, 1] in grey levels, of which there are 255."""
    levels = 255 * value
    return f"{levels:.2f}/255" if levels < 10 else f"{levels:.0f}/255"


def plain(value: float) -> str:
    """Write a figure with three decimals."""
    return _minus(f"{value:.3f}")


def signed(value: float) -> str:
    """Write a difference of figures with three decimals and its sign."""
    text = f"{value:+.3f}"
    return text.replace("-", "−") if text.strip("+-0.") else "0.000"


def _three_digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def bare(text: str) -> str:
    """Return the number of a formatted figure, without its unit."""
    return text.split(_SPACE)[0].split("/")[0].rstrip("×")


def _as_precise(value: float, estimate: Estimate, form: Format) -> str:
    """Write the number of `value`, with no more decimals than the figure that it stands beside."""
    text = _minus(bare(form(value)))
    decimals = len(bare(form(estimate.value)).partition(".")[2])
    if len(text.partition(".")[2]) <= decimals:
        return text
    sign = "+" if text.startswith("+") else ""
    return sign + number(decimals)(float(text.replace("−", "-").replace(",", "")))


def interval(estimate: Estimate, form: Format) -> str:
    """Write a 95 % interval, [low, high]; nothing where there is none, or none to be seen."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = (_as_precise(end, estimate, form) for end in (estimate.low, estimate.high))
    if low == high == bare(form(estimate.value)):
        return ""
    return f"[{low},\u00a0{high}]"


def with_interval(estimate: Estimate | None, form: Format) -> str:
    """Write a figure with its interval: 97.2 % [95.0, 98.4]."""
    if estimate is None:
        return NONE
    return " ".join(filter(None, (form(estimate.value), interval(estimate, form))))


def with_spread(estimate: Estimate | None, form: Format) -> str:
    """Write a figure as a table does: ± standard deviation over seeds, where there is one."""
    if estimate is None:
        return NONE
    text = form(estimate.value)
    if estimate.spread is None or not interval(estimate, form):
        return text
    unit = text[len(bare(text)) :]
    spread = _as_precise(estimate.spread, estimate, form).lstrip("+")
    return f"{bare(text)} ± {spread}{unit}"
