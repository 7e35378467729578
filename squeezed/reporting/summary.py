"""The answer in five sentences, and what not to believe.

Every sentence speaks of the same estimates as the figures beside it, and names only variants that
have them. Changes are against the baseline: minus is worse.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

from squeezed.reporting.continued import accuracy_over_continued
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.harms import harm_warnings
from squeezed.reporting.lens import Lens, Warning
from squeezed.reporting.margins import (
    DISTANCE_MARGIN,
    SHARE_MARGIN,
    SIZE_MARGIN,
    TIME_MARGIN,
    direction,
)
from squeezed.reporting.measures import (
    accuracy,
    accuracy_drop,
    distance_ratio,
    negated,
    over_one,
    size_ratio,
    speedup,
    unreliable_reason,
)
from squeezed.reporting.recommendation import flips
from squeezed.reporting.scores import CLUSTER_SCORES, Score, advantage, map_scores
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import (
    megabytes,
    number,
    percent,
    points,
    times,
    with_interval,
    with_spread,
)

NAMED_AT_MOST = 4
"""A sentence that would name more variants counts them instead."""


def answer(experiment: Experiment) -> list[str]:
    """Return the five sentences; one that lacks its results says so."""
    return [
        _accuracy_sentence(experiment),
        _size_sentence(experiment),
        _speed_sentence(experiment),
        _robustness_sentence(experiment),
        _explanation_sentence(experiment),
    ]


def changed_sentence(experiment: Experiment) -> str:
    """Return how many predictions compression changed, from the least to the most."""
    shares = _known(experiment, flips)
    if not shares:
        return "Changed predictions: none of the variants has been held against the baseline."
    least = min(shares, key=lambda v: shares[v].value)
    most = max(shares, key=lambda v: shares[v].value)
    ends = f"{with_interval(shares[most], percent)} ({in_words(most)})"
    if least != most:
        ends = f"between {with_interval(shares[least], percent)} ({in_words(least)}) and {ends}"
    over = f" Intervals are over {shares[most].basis}." if shares[most].basis else ""
    return (
        f"Whatever accuracy says, of the predictions {ends} are not the baseline's: broken where "
        f"it was right, fixed where it was wrong.{over}"
    )


def _known(
    experiment: Experiment, measure: Callable[[Experiment, str], Estimate | None]
) -> dict[str, Estimate]:
    found = {variant: measure(experiment, variant) for variant in experiment.compressed}
    return {variant: estimate for variant, estimate in found.items() if estimate is not None}


def _named(variants: Sequence[str], figures: dict[str, Estimate] | None = None) -> str:
    """Name variants, with their figures where given; many are counted."""
    if len(variants) > NAMED_AT_MOST:
        values = [figures[v].value for v in variants] if figures else []
        between = f" ({times(min(values))} to {times(max(values))})" if values else ""
        return f"{len(variants)} variants{between}"
    return listed(
        [in_words(v) + (f" ({times(figures[v].value)})" if figures else "") for v in variants]
    )


def _accuracy_sentence(experiment: Experiment) -> str:
    base = accuracy(experiment, "baseline")
    changes = _known(experiment, lambda e, v: negated(accuracy_drop(e, v)))
    if base is None or not changes:
        return "Accuracy: the variants have not been evaluated against the baseline."
    worst = min(changes, key=lambda v: changes[v].value)
    best = max(changes, key=lambda v: changes[v].value)
    ends = f"{with_interval(changes[worst], points)} ({in_words(worst)})"
    if best != worst:
        ends = f"between {ends} and {with_interval(changes[best], points)} ({in_words(best)})"
    return (
        f"The uncompressed network classifies {with_spread(base, percent)} of the test images "
        f"correctly; compression changes that by {ends}{_over_continued(experiment)}."
    )


def _over_continued(experiment: Experiment) -> str:
    """Say what is left of the changes where the training that follows compression has a control."""
    changes = _known(experiment, accuracy_over_continued)
    if not changes:
        return ""
    told = [f"{in_words(v)} {with_interval(changes[v], points)}" for v in changes]
    if len(told) > NAMED_AT_MOST:
        ends = sorted(change.value for change in changes.values())
        told = [f"{len(told)} variants {points(ends[0])} to {points(ends[-1])}"]
    return f"; against the same network trained on just as long: {listed(told)}"


def _size_sentence(experiment: Experiment) -> str:
    ratios = _known(experiment, size_ratio)
    base = metric(experiment, "baseline", "evaluation", "onnx_size_bytes")
    if not ratios or base is None:
        return "Size: the files have not been measured."
    best = min(ratios, key=lambda v: ratios[v].value)
    idle = [v for v, ratio in ratios.items() if ratio.value * SIZE_MARGIN > 1]
    if best in idle:
        return (
            f"No variant's file is smaller than the baseline's {megabytes(base.value)}; "
            f"{in_words(best)}'s is {times(ratios[best].value)} of it."
        )
    tail = f"; {_named(idle)} {'is' if len(idle) == 1 else 'are'} no smaller" if idle else ""
    return (
        f"The smallest deployed file is that of {in_words(best)}, "
        f"{times(ratios[best].value)} of the baseline's {megabytes(base.value)}{tail}."
    )


def _speed_sentence(experiment: Experiment) -> str:
    ratios = _known(experiment, speedup)
    if not ratios:
        return "Speed: the variants have not been timed."
    told = {v: direction(over_one(ratio), TIME_MARGIN - 1) for v, ratio in ratios.items()}
    faster = [v for v in ratios if told[v] > 0]
    slower = [v for v in ratios if told[v] < 0]
    idle = [v for v in ratios if not told[v]]
    tail = f"; no difference can be shown for {_named(idle, ratios)}" if idle else ""
    if slower:
        are = "is" if len(slower) == 1 else "are"
        tail += f"; {_named(slower, ratios)} {are} slower than the baseline"
    if not faster:
        return f"No variant is shown to infer faster than the baseline{tail}."
    best = max(faster, key=lambda v: ratios[v].value)
    return f"{in_words(best)} infers {with_interval(ratios[best], times)} as fast{tail}."


def _robustness_sentence(experiment: Experiment) -> str:
    attack = experiment.strong_attack
    success = {
        v: estimate
        for v in experiment.variants
        if attack and (estimate := metric(experiment, v, attack, "success_rate"))
    }
    if not success:
        return "Robustness: the variants have not been attacked."
    least = min(success.values(), key=lambda estimate: estimate.value).value
    # Rounded down, so that "at least" is true.
    share = "all" if least == 1 else f"at least {percent(math.floor(1000 * least + 1e-9) / 1000)}"
    who = (
        "every variant"
        if len(success) == len(experiment.variants)
        else f"each of the {len(success)} variants attacked"
        if len(success) > 1
        else in_words(next(iter(success)))
    )
    begins = f"The attack fools {who} on {share} of the images classified correctly before"
    ratios = _known(experiment, distance_ratio)
    if not ratios:
        return f"{begins}."
    told = {
        v: 0 if unreliable_reason(experiment, v) else direction(over_one(ratio), DISTANCE_MARGIN)
        for v, ratio in ratios.items()
    }
    harder = [v for v in ratios if told[v] > 0]
    easier = [v for v in ratios if told[v] < 0]
    verdicts = [
        f"{_named(group, ratios)} {'takes' if len(group) == 1 else 'take'} clearly {word} changes "
        "than the baseline"
        for group, word in ((harder, "larger"), (easier, "smaller"))
        if group
    ]
    values = [ratio.value for ratio in ratios.values()]
    nothing = (
        "on the same images no variant is shown to take clearly larger or smaller changes than "
        f"the baseline ({times(min(values))} to {times(max(values))} as long)"
    )
    return f"{begins}; {'; '.join(verdicts) or nothing}."


def _explanation_sentence(experiment: Experiment) -> str:
    wordings = [(CLUSTER_SCORES[0], "In the t-SNE maps {} of the images lie among their own class")]
    wordings += [
        (map_scores(method)[-1], "activation maps put {} of their weight on the object")
        for method in experiment.map_methods[:1]
    ]
    parts = []
    for score, words in wordings:
        base = metric(experiment, "baseline", score.analysis, score.metric)
        gains = _known(experiment, partial(_advantage, score))
        if base is None or not gains:
            continue
        most = max(gains, key=lambda v: abs(gains[v].value))
        parts.append(
            f"{words.format(percent(base.value))} for the baseline; the largest change is "
            f"{with_interval(gains[most], points)} ({in_words(most)})"
        )
    if not parts:
        return "Explainability: no embeddings or activation maps have been compared."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _advantage(score: Score, experiment: Experiment, variant: str) -> Estimate | None:
    return advantage(experiment, variant, score)


def do_not_believe(experiment: Experiment, lenses: Sequence[Lens] = ()) -> list[Warning]:
    """Return what a reader should not take home, the weightiest first.

    That is what each lens weighs most, then what the networks themselves show, then the rest.
    """
    of_lenses = [lens.warnings(experiment) for lens in lenses]
    warnings = [found[0] for found in of_lenses if found]
    unreliable = [v for v in experiment.variants if unreliable_reason(experiment, v)]
    if unreliable:
        warnings.append(
            Warning(
                f"Robustness figures of {_named(unreliable)}.", "The gate marks them unreliable."
            )
        )
    words = {name: word for lens in lenses for name, word in lens.class_words.items()}
    warnings += harm_warnings(experiment, words)
    warnings += [warning for found in of_lenses for warning in found[1:]]
    if len(experiment.seeds) == 1:
        warnings.append(
            Warning(
                f"Differences under {number(0)(100 * SHARE_MARGIN)} point.",
                "With one seed the intervals are over images: they do not show how much another "
                "training run would differ.",
            )
        )
    return warnings
