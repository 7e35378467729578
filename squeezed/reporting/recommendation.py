"""Which variant to ship, by one rule: what each variant keeps of it, who wins, who is second.

The rule weighs accuracy, flips, speed, size and the gate; whatever cannot be told from the results
counts against a variant, so that too few images give no recommendation rather than a wrong one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from squeezed.reporting.estimates import Estimate, share
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.margins import SIZE_MARGIN, TIME_MARGIN, direction, stays_within
from squeezed.reporting.measures import (
    accuracy_drop,
    negated,
    over_one,
    size_ratio,
    speedup,
    unreliable_reason,
)
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import number, percent, points, times, with_interval

ACCEPTABLE_LOSS = 0.02
"""A variant that may lose more than two points is not recommended."""
ACCEPTABLE_FLIPS = 0.10
"""Nor one that may change more than one prediction in ten, however accurate it is."""
NAMED_AT_MOST = 3
"""A sentence on why nothing is recommended tells of no more variants."""

RULE = (
    "The smallest file among the variants that surely lose at most "
    f"{number(0)(100 * ACCEPTABLE_LOSS)} points of accuracy, surely change at most "
    f"{number(0)(100 * ACCEPTABLE_FLIPS)} % of the predictions, are not surely slower and are not "
    "marked unreliable by the gate; of files equally large, the more accurate, then the one that "
    "changes fewer predictions."
)


@dataclass(frozen=True)
class Condition:
    """What the rule asks of a variant, and whether it keeps to it."""

    key: str
    holds: bool | None
    """None: it cannot be told."""
    because: str
    """What was found, to follow the variant's name."""
    is_missing: bool = False
    """Whether it cannot be told because nothing was measured."""


@dataclass(frozen=True)
class Recommendation:
    """Which variant to ship, or None, and why."""

    variant: str | None
    reason: str
    runner_up: str = ""
    """A sentence on the variant that comes second; empty where there is none."""
    smaller: str = ""
    """A sentence on why a still smaller file does not come first; empty where there is none."""


def conditions_of(experiment: Experiment, variant: str) -> list[Condition]:
    """Return what the rule asks of a compressed variant, in the order of its weight."""
    return [
        _smaller(size_ratio(experiment, variant)),
        _accurate(accuracy_drop(experiment, variant)),
        _alike(flips(experiment, variant)),
        _not_slower(speedup(experiment, variant)),
        _believed(unreliable_reason(experiment, variant)),
    ]


def flips(experiment: Experiment, variant: str) -> Estimate | None:
    """Return the share of test images that are classified otherwise than by the baseline."""
    return share(experiment, variant, "evaluation", "flipped_share")


def recommend(experiment: Experiment) -> Recommendation:
    """Return which variant to ship, by `RULE`."""
    found = {v: conditions_of(experiment, v) for v in experiment.compressed}
    measured = [v for v, some in found.items() if not _by_key(some, "accuracy").is_missing]
    if not measured:
        return Recommendation(
            None, "No recommendation, because no variant was evaluated against the baseline."
        )
    fit = [v for v in measured if all(condition.holds for condition in found[v])]
    if not fit:
        return Recommendation(None, _why_none(experiment, {v: found[v] for v in measured}))
    best, _ = _first(experiment, fit)
    second = _runner_up(experiment, best, fit, found, measured)
    smaller = _smaller_still(experiment, best, found, measured)
    return Recommendation(
        best, _figures(experiment, best), second, "" if smaller == second else smaller
    )


def _smaller(ratio: Estimate | None) -> Condition:
    if ratio is None:
        return Condition("size", None, "has no measured file", True)
    holds = ratio.value * SIZE_MARGIN <= 1
    return Condition("size", holds, f"has {times(ratio.value)} the baseline's file")


def _accurate(drop: Estimate | None) -> Condition:
    if drop is None:
        return Condition("accuracy", None, "has no measured accuracy", True)
    change = with_interval(negated(drop), points)
    return Condition(
        "accuracy", stays_within(drop, ACCEPTABLE_LOSS), f"changes accuracy by {change}"
    )


def _alike(flipped: Estimate | None) -> Condition:
    if flipped is None:
        return Condition("flips", None, "has no count of changed predictions", True)
    told = f"changes {with_interval(flipped, percent)} of the predictions"
    return Condition("flips", stays_within(flipped, ACCEPTABLE_FLIPS), told)


def _not_slower(ratio: Estimate | None) -> Condition:
    if ratio is None:
        return Condition("speed", True, "was not timed")
    told = f"runs at {with_interval(ratio, times)} the baseline's speed"
    return Condition("speed", direction(over_one(ratio), TIME_MARGIN - 1) >= 0, told)


def _believed(reason: str | None) -> Condition:
    told = "is marked unreliable by the gate, so that its robustness is not known"
    return Condition("gate", reason is None, told)


def _by_key(conditions: Sequence[Condition], key: str) -> Condition:
    return next(condition for condition in conditions if condition.key == key)


def _first(experiment: Experiment, fit: Sequence[str]) -> tuple[str, str]:
    """Return the first of variants that all keep to the rule, and what decided it."""
    sizes = {v: _known(size_ratio, experiment, v).value for v in fit}
    drops = {v: _known(accuracy_drop, experiment, v) for v in fit}
    changed = {v: _known(flips, experiment, v).value for v in fit}
    alike = [v for v in fit if sizes[v] <= SIZE_MARGIN * min(sizes.values())]
    if len(alike) == 1:
        return alike[0], "size"
    most_accurate = min(alike, key=lambda v: drops[v].value)
    equal = [v for v in alike if drops[v].value <= drops[most_accurate].ends[1]]
    if len(equal) == 1:
        return equal[0], "accuracy"
    return min(equal, key=lambda v: changed[v]), "flips"


def _known(
    measure: Callable[[Experiment, str], Estimate | None], experiment: Experiment, variant: str
) -> Estimate:
    found = measure(experiment, variant)
    assert found is not None
    return found


def _figures(experiment: Experiment, best: str) -> str:
    size = _known(size_ratio, experiment, best)
    drop = negated(_known(accuracy_drop, experiment, best))
    speed = speedup(experiment, best)
    faster = f", {with_interval(speed, times)} its speed" if speed else ""
    accurate = f"accuracy changes by {with_interval(drop, points)}"
    return f"{times(size.value)} the baseline's file{faster}; {accurate}."


def _runner_up(
    experiment: Experiment,
    best: str,
    fit: Sequence[str],
    found: dict[str, list[Condition]],
    measured: Sequence[str],
) -> str:
    """Return why the variant that comes second is not the first."""
    others = [v for v in fit if v != best]
    if others:
        second, _ = _first(experiment, others)
        _, decided = _first(experiment, [best, second])
        return f"{in_words(second)} {_worse_by(experiment, decided, best, second)}."
    others = [v for v in measured if v != best and _by_key(found[v], "size").holds]
    if not others:
        return ""
    return _why_not(min(others, key=_size_in(experiment)), found)


def _smaller_still(
    experiment: Experiment,
    best: str,
    found: dict[str, list[Condition]],
    measured: Sequence[str],
) -> str:
    """Return why the smallest file is not the one to ship, where it is another."""
    size = _size_in(experiment)
    sized = [v for v in measured if not _by_key(found[v], "size").is_missing]
    smallest = min(sized, key=size)
    if size(smallest) * SIZE_MARGIN >= size(best):
        return ""
    return _why_not(smallest, found)


def _size_in(experiment: Experiment) -> Callable[[str], float]:
    return lambda variant: _known(size_ratio, experiment, variant).value


def _why_not(variant: str, found: dict[str, list[Condition]]) -> str:
    failed = next(condition for condition in found[variant] if not condition.holds)
    return f"{in_words(variant)} {failed.because}{_limit(failed)}."


def _worse_by(experiment: Experiment, decided: str, best: str, second: str) -> str:
    if decided == "size":
        ratio = _known(size_ratio, experiment, second).value
        ratio /= _known(size_ratio, experiment, best).value
        return f"has a file {times(ratio)} as large"
    if decided == "accuracy":
        drop = negated(_known(accuracy_drop, experiment, second))
        return f"has as small a file, but changes accuracy by {with_interval(drop, points)}"
    more, less = (_known(flips, experiment, v) for v in (second, best))
    if percent(more.value) == percent(less.value):
        return "comes out the same; the first in the configuration was taken"
    return (
        "cannot be told from it by size and accuracy, but changes "
        f"{percent(more.value)} of the predictions against {percent(less.value)}"
    )


def _limit(condition: Condition) -> str:
    """Return which limit a condition may not keep to; nothing where its finding says so."""
    limits = {
        "accuracy": f"more than {number(0)(100 * ACCEPTABLE_LOSS)} points",
        "flips": f"more than {number(0)(100 * ACCEPTABLE_FLIPS)} %",
    }
    if condition.key not in limits:
        return ""
    may = "that may be" if condition.holds is None else "that is"
    if condition.key == "accuracy":
        return f": {may} a loss of {limits['accuracy']}"
    return f": {may} {limits[condition.key]}"


def _why_none(experiment: Experiment, found: dict[str, list[Condition]]) -> str:
    """Say why nothing is recommended: what could not be told first, then what surely fails."""
    n = experiment.any_value("evaluation", "n_images")
    of_images = f"{int(n):,} test images" if n else "the test images"
    missing = {v: next((c for c in some if c.is_missing), None) for v, some in found.items()}
    open_ones = {
        v: next(c for c in some if c.holds is None)
        for v, some in found.items()
        if False not in [c.holds for c in some] and missing[v] is None
    }
    if open_ones:
        told = _told(open_ones)
        return (
            f"No recommendation, because {of_images} are too few to tell: {told}. Measure with "
            "more images or seeds."
        )
    failed = {v: next(c for c in some if not c.holds) for v, some in found.items()}
    return f"No recommendation, because no variant keeps to the rule: {_told(failed)}."


def _told(conditions: dict[str, Condition]) -> str:
    words = [f"{in_words(v)} {c.because}{_limit(c)}" for v, c in conditions.items()]
    more = len(words) - NAMED_AT_MOST
    rest = [f"{more} more alike"] if more > 0 else []
    return listed([*words[:NAMED_AT_MOST], *rest])
