"""Over any results: no sentence names what has none, or contradicts the figure beside it."""

import re
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from squeezed.reporting.estimates import Estimate
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import accuracy_drop, speedup
from squeezed.reporting.summary import answer, recommend
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import interval, megabytes, with_spread

VARIANTS = ["baseline", "alpha", "beta", "gamma_2", "delta", "epsilon"]
share = st.floats(0, 1)
ratio = st.floats(0.2, 5)


def with_range(name: str, value: float, spread: float) -> dict[str, float]:
    return {name: value, f"{name}_min": value * (1 - spread), f"{name}_max": value * (1 + spread)}


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Draw results of some variants and seeds, any of them missing."""
    seeds = tuple(range(draw(st.integers(1, 3))))
    variants = ["baseline", *draw(st.lists(st.sampled_from(VARIANTS[1:]), unique=True))]
    records: dict[tuple[int, str, str], dict[str, Any]] = {}
    for variant in variants:
        analyses = draw(st.sets(st.sampled_from(["evaluation", "timing", "attack"])))
        for seed in seeds:
            if "evaluation" in analyses:
                records[seed, variant, "evaluation"] = {
                    "n_images": 200,
                    "top1_accuracy": draw(share),
                    "onnx_size_bytes": draw(st.integers(1, 10**8)),
                }
            if "timing" in analyses:
                times = with_range("speedup", draw(ratio), draw(st.floats(0, 0.3)))
                records[seed, variant, "inference_timing"] = {"measured": times}
            if "attack" in analyses:
                records[seed, variant, "attack_hard"] = {"success_rate": draw(share)}
    sections = {"attacks": {"hard": {}}, "diagnostics": {"attack": "hard"}}
    return Experiment(
        "drawn", seeds, variants, Path("/nowhere"), settings=sections, records=records
    )


def named(sentence: str) -> set[str]:
    return {v for v in VARIANTS[1:] if re.search(rf"\b{in_words(v)}\b", sentence)}


@settings(max_examples=300, deadline=None)
@given(experiments())
def test_no_sentence_names_a_variant_without_the_result(experiment: Experiment) -> None:
    accuracy, size, speed, robustness, _ = answer(experiment)
    analyses = ("evaluation", "evaluation", "inference_timing", "attack_hard")
    for sentence, analysis in zip((accuracy, size, speed, robustness), analyses, strict=True):
        have = {variant for _, variant, name in experiment.records if name == analysis}
        assert named(sentence) <= have, sentence
        if "every variant" in sentence:
            assert have == set(experiment.variants), sentence


@settings(max_examples=300, deadline=None)
@given(experiments())
def test_no_sentence_contradicts_its_figures(experiment: Experiment) -> None:
    accuracy, size, speed, _, _ = answer(experiment)
    assert not re.search(r"(costs|takes|at most) (at most )?−", accuracy)
    drops = [accuracy_drop(experiment, v) for v in experiment.compressed]
    known = [-drop.value for drop in drops if drop is not None]
    if known and "compression changes" in accuracy:
        assert (
            f"{100 * min(known):+.1f}".replace("-", "−")
            .replace("+0.0", "0.0")
            .replace("−0.0", "0.0")
            in accuracy
        )
    if "no gain can be shown for" in speed:
        gain, _, none = speed.partition("no gain can be shown for")
        assert not named(gain) & named(none), speed
    fast = {v: speedup(experiment, v) for v in experiment.compressed}
    if "infers" in speed:
        (best,) = named(speed.partition(";")[0])
        others = [e.value for e in fast.values() if e is not None and e.ends[0] >= 1.02]
        estimate = fast[best]
        assert estimate is not None and estimate.value == max(others)
    if "smaller than the baseline" in size:
        assert "The smallest" not in size


@settings(max_examples=200, deadline=None)
@given(experiments())
def test_what_is_shipped_was_measured_and_is_smaller(experiment: Experiment) -> None:
    best = recommend(experiment).variant
    if best is not None:
        assert all((seed, best, "evaluation") in experiment.records for seed in experiment.seeds)
        assert best != "baseline"


def test_an_interval_without_width_is_not_written() -> None:
    exact = Estimate(10_960_000, 10_960_000, 10_960_000, 0.0, "3 seeds", 3)
    assert interval(exact, megabytes) == ""
    assert with_spread(exact, megabytes) == megabytes(10_960_000)
