"""Over any results: no sentence names what has none, or contradicts the figure beside it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezed.reporting.estimates import Estimate
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import accuracy_drop, size_ratio, speedup, unreliable_reason
from squeezed.reporting.recommendation import flips, recommend
from squeezed.reporting.side_by_side import side_by_side
from squeezed.reporting.summary import answer
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import interval, megabytes, with_spread

VARIANTS = ["baseline", "alpha", "beta", "gamma_2", "delta", "epsilon"]
share = st.floats(0, 1)
ratio = st.floats(0.2, 5)


FOOLED = 20


def with_ends(name: str, value: float, spread: float) -> dict[str, float]:
    ends = {f"{name}_low": value * (1 - spread), f"{name}_high": value * (1 + spread)}
    return {name: value, **ends, "n_repeats": 5}


def lengths(factor: float, noise: float, seed: int) -> pd.DataFrame:
    """Return the changes that fool a variant, so many times as long as the baseline's."""
    base = np.linspace(0.5, 2.0, FOOLED)
    wobble = np.exp(noise * np.random.default_rng(seed).standard_normal(FOOLED))
    return pd.DataFrame({"index": np.arange(FOOLED), "success": True, "l2": base * factor * wobble})


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Draw results of some variants and seeds, any of them missing."""
    seeds = tuple(range(draw(st.integers(1, 3))))
    variants = ["baseline", *draw(st.lists(st.sampled_from(VARIANTS[1:]), unique=True))]
    records: dict[tuple[int, str, str], dict[str, Any]] = {}
    frames: dict[Path, pd.DataFrame | None] = {}
    for variant in variants:
        analyses = draw(st.sets(st.sampled_from(["evaluation", "timing", "attack"])))
        for seed in seeds:
            if "evaluation" in analyses:
                records[seed, variant, "evaluation"] = {
                    "n_images": 200,
                    "top1_accuracy": draw(share),
                    "flipped_share": 0.0 if variant == "baseline" else draw(share),
                    "onnx_size_bytes": draw(st.integers(1, 10**8)),
                }
            if "timing" in analyses:
                times = with_ends("speedup", draw(ratio), draw(st.floats(0, 0.3)))
                records[seed, variant, "inference_timing"] = {"measured": times}
            if "attack" in analyses:
                records[seed, variant, "attack_hard"] = {"success_rate": draw(share)}
                factor = 1.0 if variant == "baseline" else draw(st.floats(0.7, 1.4))
                path = Path(f"/nowhere/seed{seed}/{variant}/attack_hard_images.csv")
                frames[path] = lengths(factor, draw(st.floats(0, 0.3)), seed)
                reliable = draw(st.booleans())
                records[seed, variant, "diagnostics"] = {"reliable": reliable, "reason": "why"}
    sections = {"attacks": {"hard": {}}, "diagnostics": {"attack": "hard"}}
    return Experiment(
        "drawn",
        seeds,
        variants,
        Path("/nowhere"),
        settings=sections,
        records=records,
        frames_read=frames,
    )


def named(sentence: str) -> set[str]:
    return {v for v in VARIANTS[1:] if re.search(rf"\b{in_words(v)}\b", sentence)}


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_no_sentence_names_a_variant_without_the_result(experiment: Experiment) -> None:
    accuracy, size, speed, robustness, _ = answer(experiment)
    analyses = ("evaluation", "evaluation", "inference_timing", "attack_hard")
    for sentence, analysis in zip((accuracy, size, speed, robustness), analyses, strict=True):
        have = {variant for _, variant, name in experiment.records if name == analysis}
        assert named(sentence) <= have, sentence
        if "every variant" in sentence:
            assert have == set(experiment.variants), sentence


@settings(max_examples=40, deadline=None)
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
    if "no difference can be shown for" in speed:
        gain, _, none = speed.partition("no difference can be shown for")
        assert not named(gain) & named(none), speed
    fast = {v: speedup(experiment, v) for v in experiment.compressed}
    if "infers" in speed:
        (best,) = named(speed.partition(";")[0])
        others = [e.value for e in fast.values() if e and e.value >= 1.02 and e.ends[0] > 1]
        estimate = fast[best]
        assert estimate is not None and estimate.value == max(others)
    if "smaller than the baseline" in size:
        assert "The smallest" not in size


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_what_is_shipped_was_measured_and_is_smaller(experiment: Experiment) -> None:
    best = recommend(experiment).variant
    if best is not None:
        assert all((seed, best, "evaluation") in experiment.records for seed in experiment.seeds)
        assert best != "baseline"


def shades(experiment: Experiment, key: str) -> dict[str, str]:
    """Return the colour of each variant's cell in a column of the one table."""
    table = side_by_side("variants", experiment)
    keys = [column.key for column in table.columns] if table else []
    if table is None or key not in keys:
        return {}
    return {v: cells[keys.index(key)].shade.partition("-")[0] for v, cells in table.rows}


def part(sentence: str, *, having: str) -> set[str]:
    """Return the variants that a sentence's parts with these words name."""
    parts = re.split(r"; ", sentence)
    return {v for some in parts if having in some for v in named(some)}


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_no_sentence_contradicts_the_colour_of_a_cell(experiment: Experiment) -> None:
    _, size, speed, robustness, _ = answer(experiment)
    for variant, shade in shades(experiment, "speed").items():
        if variant in part(speed, having="infers"):
            assert shade == "better", speed
        if variant in part(speed, having="slower"):
            assert shade == "worse", speed
        if variant in part(speed, having="no difference"):
            assert shade == "", speed
        if "No variant is shown to infer faster" in speed:
            assert shade != "better", speed
    for variant, shade in shades(experiment, "robustness").items():
        larger = part(robustness, having="larger changes than")
        smaller = part(robustness, having="smaller changes than")
        if variant in larger ^ smaller:
            assert shade == ("better" if variant in larger else "worse"), robustness
        if "no variant is shown" in robustness:
            assert shade == "", robustness
    for variant, shade in shades(experiment, "size").items():
        if variant in part(size, having="smallest"):
            assert shade == "better", size
        if variant in part(size, having="no smaller"):
            assert shade != "better", size


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_what_is_shipped_keeps_to_every_part_of_the_rule(experiment: Experiment) -> None:
    found = recommend(experiment)
    if found.variant is None:
        assert found.reason.startswith("No recommendation, because ")
        return
    variant = found.variant
    changed = flips(experiment, variant)
    drop, size = accuracy_drop(experiment, variant), size_ratio(experiment, variant)
    assert changed is not None and drop is not None and size is not None
    assert changed.ends[1] <= 0.10 and drop.ends[1] <= 0.02 and size.value < 1
    assert unreliable_reason(experiment, variant) is None
    assert shades(experiment, "speed").get(variant) != "worse"
    assert variant not in named(found.runner_up)


def test_an_interval_without_width_is_not_written() -> None:
    exact = Estimate(10_960_000, 10_960_000, 10_960_000, 0.0, "3 seeds", 3)
    assert interval(exact, megabytes) == ""
    assert with_spread(exact, megabytes) == megabytes(10_960_000)
