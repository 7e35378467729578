"""Over any results: no sentence names what has none, or contradicts the figure beside it."""

import re
from itertools import pairwise
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
from squeezed.reporting.ship_card import ship_card
from squeezed.reporting.side_by_side import side_by_side
from squeezed.reporting.summary import answer, changed_sentence, do_not_believe
from squeezed.reporting.tables import Cell
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import interval, megabytes, with_spread
from tests.report.made_up import drawn

VARIANTS = ["baseline", "alpha", "beta", "gamma_2", "delta", "epsilon"]
share = st.floats(0, 1)
half = st.floats(0, 0.1)
ratio = st.floats(0.2, 5)


FOOLED = 20


def around(name: str, value: float, half: float) -> dict[str, float]:
    """Return a figure with an interval of this half-width."""
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def with_ends(name: str, value: float, spread: float) -> dict[str, float]:
    ends = {f"{name}_low": value * (1 - spread), f"{name}_high": value * (1 + spread)}
    return {name: value, **ends, "n_repeats": 5}


def lengths(factor: float, noise: float, seed: int) -> pd.DataFrame:
    """Return the changes that fool a variant, so many times as long as the baseline's."""
    base = np.linspace(0.5, 2.0, FOOLED)
    wobble = np.exp(noise * np.random.default_rng(seed).standard_normal(FOOLED))
    return pd.DataFrame({"index": np.arange(FOOLED), "success": True, "l2": base * factor * wobble})


Draw = st.DrawFn


def _evaluation(draw: Draw, is_baseline: bool) -> dict[str, Any]:
    accuracy = draw(st.one_of(st.floats(0.90, 0.91), share))
    return {
        "n_images": 200,
        "top1_accuracy": accuracy,
        "flipped_share": 0.0 if is_baseline else draw(st.one_of(st.floats(0, 0.2), share)),
        "onnx_size_bytes": draw(st.integers(1, 10**8)),
        **around("expected_calibration_error", draw(st.floats(0, 0.3)), draw(half)),
    }


def _change(draw: Draw, name: str) -> dict[str, Any]:
    return {"n_images": 120, **around(f"{name}_change", draw(st.floats(-0.3, 0.3)), draw(half))}


def _of_one_variant(draw: Draw, is_baseline: bool) -> dict[str, dict[str, Any]]:
    """Draw the records of a variant, any of them missing."""
    records = {
        "evaluation": _evaluation(draw, is_baseline),
        "inference_timing": {
            "measured": with_ends("speedup", draw(ratio), draw(st.floats(0, 0.3))),
        },
        "attack_hard": {"success_rate": draw(share)},
        "corruptions": around("corruption_accuracy", draw(share), 0.02)
        | ({} if is_baseline else _change(draw, "corruption_accuracy")),
        "unfamiliar": {} if is_baseline else _change(draw, "auroc_confidence"),
        "tsne": {"n_images": 120, **around("map_knn_accuracy", draw(share), draw(half))},
        "cam": {"n_images": 16, **around("grad_cam_share_on_object", draw(share), draw(half))},
    }
    missing = draw(st.sets(st.sampled_from(sorted(records)), max_size=2))
    return {name: record for name, record in records.items() if name not in missing}


@st.composite
def experiments(draw: Draw) -> Experiment:
    """Draw results of some variants and seeds, any of them missing; seeds differ by a little."""
    seeds = tuple(range(draw(st.integers(1, 2))))
    others = draw(st.lists(st.sampled_from(VARIANTS[1:]), unique=True, min_size=1))
    variants = ["baseline", *others][draw(st.sampled_from([0, 0, 0, 1])) :]
    records: dict[tuple[int, str, str], dict[str, Any]] = {}
    frames: dict[Path, pd.DataFrame | None] = {}
    for variant in variants:
        found = _of_one_variant(draw, variant == "baseline")
        factor, noise = draw(st.floats(0.7, 1.4)), draw(st.floats(0, 0.3))
        reliable = draw(st.sampled_from([True, True, False]))
        for seed in seeds:
            by = 1 - 0.001 * seed
            for name, record in found.items():
                records[seed, variant, name] = scaled(record, by)
            if "attack_hard" in found:
                path = Path(f"/nowhere/seed{seed}/{variant}/attack_hard_images.csv")
                frames[path] = lengths(1.0 if variant == "baseline" else factor, noise, seed)
                records[seed, variant, "diagnostics"] = {"reliable": reliable, "reason": "why"}
    return drawn(seeds, variants, records, frames)


def scaled(record: dict[str, Any], by: float) -> dict[str, Any]:
    """Return another seed's record: its figures a little smaller, its counts the same."""
    return {
        name: scaled(value, by)
        if isinstance(value, dict)
        else value * by
        if isinstance(value, float)
        else value
        for name, value in record.items()
    }


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


def column(experiment: Experiment, key: str) -> dict[str, Cell]:
    """Return each compressed variant's cell in a column of the one table, where it has a figure."""
    table = side_by_side("variants", experiment)
    keys = [column.key for column in table.columns] if table else []
    if table is None or key not in keys:
        return {}
    found = {v: cells[keys.index(key)] for v, cells in table.rows if v != "baseline"}
    return {v: cell for v, cell in found.items() if cell.sort is not None}


def shades(experiment: Experiment, key: str) -> dict[str, str]:
    """Return the colour of each variant's cell in a column of the one table."""
    return {v: cell.shade.partition("-")[0] for v, cell in column(experiment, key).items()}


def figure_of(variant: str, sentence: str) -> str:
    """Return the figure, with its interval, that stands before a variant's name in brackets."""
    words = rf"([+−]?[\d.]+\u202f(?:%|points)(?: \[[^]]*\])?) \({in_words(variant)}\)"
    (found,) = re.findall(words, sentence)
    return str(found)


def change_of(cell: Cell) -> str:
    """Return the change against the baseline that a cell says when it is pointed at."""
    return cell.help.partition(" against the baseline")[0]


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_the_ends_of_what_changed_are_the_columns(experiment: Experiment) -> None:
    cells = column(experiment, "flips")
    sentence = changed_sentence(experiment)
    assert bool(named(sentence)) == bool(cells)
    if not cells:
        return
    said = {variant: cells[variant].sort for variant in named(sentence)}
    assert {min(said.values()), max(said.values())} == {
        end(cell.sort for cell in cells.values()) for end in (min, max)
    }
    for variant in said:
        bare, _, interval_ = figure_of(variant, sentence).partition("\u202f% ")
        assert (bare, interval_) == (cells[variant].text, cells[variant].interval)


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_the_largest_change_of_how_it_sees_is_the_columns(experiment: Experiment) -> None:
    sentence = answer(experiment)[-1]
    for key, words in (("clustering", "t-SNE maps"), ("looks", "ctivation maps")):
        told = part(sentence, having=words) | _next_part(sentence, words)
        cells = {v: cell for v, cell in column(experiment, key).items() if "against" in cell.help}
        assert bool(told) == bool(cells), sentence
        for variant in told:
            sizes = {v: abs(_number(change_of(cell))) for v, cell in cells.items()}
            assert sizes[variant] == max(sizes.values())
            assert change_of(cells[variant]) in sentence


def _next_part(sentence: str, words: str) -> set[str]:
    """Return whom the part after that with these words names: that tells the largest change."""
    pairs = pairwise(sentence.split("; "))
    return set().union(*(named(after) for one, after in pairs if words in one))


def _number(text: str) -> float:
    return float(text.split("\u202f")[0].replace("−", "-"))


@settings(max_examples=40, deadline=None)
@given(experiments())
def test_no_warning_contradicts_a_cell(experiment: Experiment) -> None:
    for warning in do_not_believe(experiment):
        for start, key in (("On corrupted", "corruptions"), ("Calibration", "calibration")):
            if not warning.why.startswith(start):
                continue
            cells = column(experiment, key)
            told = named(warning.why)
            assert told and told <= set(cells), warning.why
            for variant in told:
                assert cells[variant].shade.startswith("worse"), warning.why
                assert figure_of(variant, warning.why) == change_of(cells[variant])
                assert figure_of(variant, warning.why).startswith("−"), "minus is worse"
            more = re.search(r"and (\d+) more variant", warning.why)
            worse = [v for v, cell in cells.items() if cell.shade.startswith("worse")]
            assert len(told) + int(more[1] if more else 0) <= len(worse)
        if "marks them unreliable" in warning.why:
            unreliable = {v for v in experiment.compressed if unreliable_reason(experiment, v)}
            assert named(warning.what) <= unreliable
            assert named(warning.what) or "variants" in warning.what or "Baseline" in warning.what


@settings(max_examples=60, deadline=None)
@given(experiments())
def test_the_cards_harms_are_the_cells_of_its_row(experiment: Experiment) -> None:
    card = ship_card(experiment, {}, {})
    variant = card.recommendation.variant
    if variant is None:
        assert not card.harms
        return
    columns = {"Calibration": "calibration", "Corrupted images": "corruptions"}
    for what, told in card.harms:
        if what in columns:
            assert told.startswith(change_of(column(experiment, columns[what])[variant]))
        if what == "Predictions changed":
            cell = column(experiment, "flips")[variant]
            assert told.startswith(f"{cell.text}\u202f% {cell.interval}".strip())
        if what == "Change that fools it":
            assert told.startswith(f"{column(experiment, 'robustness')[variant].text}×")


def every_sentence(experiment: Experiment) -> list[str]:
    """Return all that the first screen and the screens' first lines say."""
    card = ship_card(experiment, {}, {})
    warnings = [f"{one.what} {one.why}" for one in do_not_believe(experiment)]
    said = [*answer(experiment), changed_sentence(experiment), *warnings, *card.limits, card.rule]
    found = card.recommendation
    return [*said, found.reason, found.runner_up or "None.", found.smaller or "None."]


@settings(max_examples=60, deadline=None)
@given(experiments())
def test_every_sentence_is_well_formed(experiment: Experiment) -> None:
    odd = r"\bnan\b|\binf\b|−0\.0+(?!\d)|[+−]{2}|  "
    negative_cost = r"(costs?|loses?|takes?|at most|at least|by up to|grew by) (at most )?−"
    for sentence in every_sentence(experiment):
        assert sentence.endswith("."), sentence
        assert not re.search(odd, sentence), sentence
        assert not re.search(negative_cost, sentence), sentence
        for low, high in re.findall(r"\[([+−\d.,]+),\u00a0([+−\d.,]+)\]", sentence):
            ends = [float(end.replace("−", "-").replace(",", "")) for end in (low, high)]
            assert ends == sorted(ends), sentence


@settings(max_examples=60, deadline=None)
@given(experiments())
def test_at_least_is_true_of_every_variant_that_is_counted(experiment: Experiment) -> None:
    sentence = answer(experiment)[3]
    rates = {v: experiment.values(v, "attack_hard", "success_rate") for v in experiment.variants}
    means = [np.mean(list(by_seed.values())) for by_seed in rates.values() if by_seed]
    if "on all of the images" in sentence:
        assert min(means) == 1
    for least in re.findall(r"at least ([\d.]+)\u202f%", sentence):
        assert float(least) <= 100 * min(means) + 1e-6, sentence
        assert float(least) > 100 * min(means) - 0.11, sentence
    counted = re.search(r"each of the (\d+) variants attacked", sentence)
    assert counted is None or int(counted[1]) == len(means) < len(experiment.variants)


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
    assert variant not in named(found.runner_up) | named(found.smaller)


def test_an_interval_without_width_is_not_written() -> None:
    exact = Estimate(10_960_000, 10_960_000, 10_960_000, 0.0, "3 seeds", 3)
    assert interval(exact, megabytes) == ""
    assert with_spread(exact, megabytes) == megabytes(10_960_000)
