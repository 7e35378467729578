"""Many claims judged together name hardly any by chance, and the p-values are the intervals'."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from squeezed.paper import explainability
from squeezed.paper.catalogue import CLAIMS, MORE, JudgedClaim, corrected
from squeezed.paper.lens import LENS, Claims
from squeezed.paper.study import study_of
from squeezed.paper.verdict import Finding, Judgement, Verdict, compared, judge
from squeezed.reporting.collection import collect
from squeezed.reporting.document import compose
from squeezed.reporting.estimates import (
    TOO_FEW_IMAGES,
    TOO_FEW_REPEATS,
    Estimate,
    crossed_estimate,
    over_seeds,
)
from squeezed.reporting.files import write_report
from squeezed.reporting.margins import LEAST_P_VALUE, exceeds, p_value, stays_within
from squeezed.statistics.comparisons import LEVEL
from squeezed.statistics.crossed import crossed_mean
from squeezed.statistics.intervals import normal_interval
from tests.report.conftest import TEMPLATES
from tests.report.made_up import VARIANTS, MadeUp, settings_of

SURE = 0.001


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_p_value_over_seeds_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(1.0, 0.2, n)
    estimate = over_seeds(dict(enumerate(values)))
    assert estimate is not None
    for threshold in (0.3, 0.9, 1.2, 4.0):
        theirs = stats.ttest_1samp(values, threshold).pvalue
        assert p_value(estimate, threshold) == pytest.approx(theirs, rel=1e-9)


def test_the_p_value_over_many_images_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(0.02, 0.3, 5000)
    low, high = normal_interval(values)
    images = Estimate(values.mean(), low, high, None, "5,000 images of one network", 5000)
    error = values.std(ddof=1) / 5000**0.5
    for threshold in (0.0, 0.015, 0.04):
        theirs = 2 * stats.norm.sf(abs(values.mean() - threshold) / error)
        assert p_value(images, threshold) == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99, 0.999])
def test_over_seeds_and_images_it_is_where_the_interval_reaches_the_threshold(
    confidence: float,
) -> None:
    """A simulated interval of another confidence, both of whose sources are far from nothing."""
    g = np.random.default_rng(4)
    seeds, images = g.normal(0, 0.02, (4, 1)), g.normal(0, 1, (1, 2000))
    scores = 0.5 + seeds + images + g.normal(0, 0.5, (4, 2000))
    estimate = crossed_estimate(crossed_mean(scores))
    wider = crossed_mean(scores, confidence=confidence)
    for end in (wider.low, wider.high):
        assert p_value(estimate, end) == pytest.approx(1 - confidence, rel=0.01)


@pytest.mark.parametrize(
    ("basis", "n", "spread"),
    [
        ("3 seeds", 3, 0.1),
        ("3 seeds and 360 images", 3, 0.02),
        ("5 repeats", 5, None),
        ("360 images of one network", 360, None),
        ("", 0, None),
    ],
)
def test_it_is_five_percent_where_the_end_of_the_interval_touches(
    basis: str, n: int, spread: float | None
) -> None:
    lopsided = Estimate(0.9, 0.7, 0.95, spread, basis, n)
    for end, aside in ((0.7, -1e-9), (0.95, 1e-9)):
        assert p_value(lopsided, end) == LEVEL
        assert p_value(lopsided, end + aside) == pytest.approx(LEVEL, rel=1e-6)
    assert p_value(lopsided, 0.9) == pytest.approx(1)
    assert p_value(lopsided, 0.8) > LEVEL > p_value(lopsided, 0.6) > p_value(lopsided, 0.5) > 0


def test_chance_has_no_part_in_what_is_exact_or_missing() -> None:
    for figure in (None, Estimate(2.0), Estimate(2.0, 2.0, 2.0, 0.0, "3 seeds", 3)):
        assert p_value(figure, 1.0) == 0
    for basis in (TOO_FEW_IMAGES, TOO_FEW_REPEATS):
        assert p_value(Estimate(2.0, basis=basis), 1.0) == 0
    one = Estimate(0.5, -np.inf, np.inf, None, "1 images", 1)
    assert p_value(one, 0.1) == 1
    none = Estimate(0.0, 0.0, 0.01, None, "360 images of one network", 360)
    assert p_value(none, -0.01) == LEAST_P_VALUE, "no share is below zero"


unit = st.floats(-1, 1)


@given(unit, unit, unit, unit, st.integers(0, 9), st.one_of(st.none(), st.floats(1e-3, 1)))
def test_a_comparison_is_decided_where_its_p_value_is_small(
    a: float, b: float, c: float, threshold: float, n: int, spread: float | None
) -> None:
    low, value, high = sorted((a, b, c))
    assume(high - low > 1e-6)
    # Less than rounding from touching either may be right.
    assume(all(end == threshold or abs(end - threshold) > 1e-9 for end in (low, high)))
    assume(value in (low, high) or min(value - low, high - value) > 1e-6)
    estimate = Estimate(value, low, high, spread, f"{n} seeds and 100 images", n)
    decided = {exceeds(estimate, threshold), stays_within(estimate, threshold)} != {None}
    assert decided == (p_value(estimate, threshold) <= LEVEL)


def judged(judgements: list[Judgement], *, papers: bool = True) -> list[JudgedClaim]:
    return [
        JudgedClaim(CLAIMS[place % len(CLAIMS)], "cifar10", [], judgement, papers)
        for place, judgement in enumerate(judgements)
    ]


def of(p: float, holds: bool | None = True) -> Judgement:
    return judge([Finding("x", holds, "So it is.", None, p)], ["1 %"])


def test_alone_a_claim_is_decided_and_among_ten_it_is_not() -> None:
    (alone,) = corrected(judged([of(0.03)]))
    assert alone.judgement.verdict is Verdict.REPRODUCED
    assert (alone.p_value, alone.chance, alone.judgement.needs) == (0.03, "", "")
    ten = corrected(judged([of(0.03), of(0.004, False), *[of(0.4, None)] * 8], papers=False))
    assert [one.verdict_words for one in ten] == ["undecided", "does not carry over"] + [
        "undecided"
    ] * 8
    assert ten[0].p_value == pytest.approx(9 * 0.03) and ten[1].p_value == pytest.approx(0.04)
    assert ten[0].chance == (
        "Each comparison by itself, the verdict would be “carries over”; with 10 claims judged "
        "together (Holm) chance is not excluded (p = 0.27)."
    )
    assert ten[0].judgement.reason == f"{ten[0].chance} So it is."
    assert ten[0].judgement.needs == MORE
    assert not any(one.chance for one in ten[1:]), "what was open says what it did"


def test_exact_claims_and_those_without_data_are_none_of_the_family() -> None:
    others = [of(0.0), of(0.0, False), of(0.0, None)]
    exact, failing, missing, claim = corrected(judged([*others, of(0.03)]))
    assert claim.judgement.verdict is Verdict.REPRODUCED and claim.p_value == 0.03
    assert [one.p_value for one in (exact, failing, missing)] == [None] * 3
    assert exact.judgement == others[0] and missing.judgement == others[2]


def test_what_a_claim_rests_on_decides_its_p_value() -> None:
    def p(*found: tuple[float, bool | None], void: float | None = None) -> float:
        findings = [Finding("x", holds, "", None, chance) for chance, holds in found]
        return judge(findings, [], ["a doubt"], void=void).p_value

    assert p((0.01, True), (0.04, True), (0.0, True)) == 0.04, "all must hold"
    assert p((0.01, False), (0.04, False)) == 0.04
    assert p((0.002, True), (0.04, True), (0.01, False), (0.3, None)) == 0.04, "4 × 0.01"
    assert p((0.0, True), (0.0, False), (0.5, None)) == 0
    assert p((0.01, True), (0.5, None)) == 1
    assert p((0.0, True), (0.0, None)) == 0 == p()
    assert p((0.01, True), (0.2, None), void=0.02) == 0.02


@pytest.mark.parametrize("shared", [0.0, 0.8], ids=["independent", "correlated"])
def test_where_every_figure_is_on_its_threshold_one_family_in_twenty_names_any(
    shared: float,
) -> None:
    """Ten claims of one to six comparisons each, all of which any verdict would get wrong."""
    g, families = np.random.default_rng(1), 400
    sizes = [1, 1, 1, 1, 2, 2, 2, 3, 3, 6]
    wrong = alone = 0
    for _ in range(families):
        means = shared**0.5 * g.normal() + (1 - shared) ** 0.5 * g.normal(size=sum(sizes))
        judgements, used = [], 0
        for size in sizes:
            findings = [
                compared("x", exceeds, normal(mean), 0.0, "", "")
                for mean in means[used : used + size]
            ]
            judgements.append(judge(findings, []))
            used += size
        alone += any(one.verdict is not Verdict.UNDECIDED for one in judgements)
        together = corrected(judged(judgements))
        wrong += any(one.judgement.verdict is not Verdict.UNDECIDED for one in together)
    most = stats.binom.isf(SURE, families, LEVEL)
    assert wrong <= most < alone


def normal(mean: float) -> Estimate:
    half = float(stats.norm.isf(0.025))
    return Estimate(float(mean), mean - half, mean + half, None, "images of one network", 0)


def test_the_caption_says_for_how_many_claims(tmp_path: Path) -> None:
    results = MadeUp().write(tmp_path)
    (experiment,) = collect(results, None, {"digits": settings_of()})
    claims = LENS.sections([experiment])[0].content
    assert isinstance(claims, Claims)
    count = claims.frame["p_value_holm"].count()
    assert 5 < count < len(CLAIMS), "sizes are exact"
    assert claims.frame.set_index("claim").loc[["size"], "p_value_holm"].isna().all()
    assert claims.caption.startswith(
        f"Verdicts are corrected for the {count} claims in which chance has a part (Holm)"
    )
    both = replace(claims, judged=[*claims.judged, claims.judged[0][:1]])
    assert f"1 to {count} claims of each experiment" in both.caption
    assert not replace(claims, judged=[[]]).caption


def test_a_comparison_of_many_scores_or_rivals_counts_them(tmp_path: Path) -> None:
    """Where one of many decides, how many there are counts; where all must, the largest does."""
    scores = explainability.MAP_SCORES
    better, worse, alike, open_ = normal(2.8), normal(-2.8), normal(0.0), normal(-1.9)
    known = [(replace(score, margin=0.0), better) for score in scores]
    one = p_value(better, 0.0)

    def preserved(*changed: Estimate) -> Finding:
        others = list(zip([score for score, _ in known], changed, strict=False))
        return explainability._preserved("pruned", [*others, *known[len(others) :]])

    def enhanced(*gains: Estimate) -> Finding:
        return explainability._enhanced(
            [(score, gain) for (score, _), gain in zip(known, gains, strict=True)]
        )

    assert (preserved().holds, preserved().p_value) == (True, pytest.approx(one))
    found = preserved(worse, open_)
    assert (found.holds, found.p_value) == (False, pytest.approx(4 * one))
    found = preserved(open_)
    assert (found.holds, found.p_value) == (None, pytest.approx(p_value(open_, 0.0)))
    found = enhanced(better, alike, worse, worse)
    assert (found.holds, found.p_value) == (True, pytest.approx(4 * one))
    found = enhanced(worse, worse, worse, normal(-2.2))
    assert (found.holds, found.p_value) == (False, pytest.approx(p_value(normal(2.2), 0.0)))
    # Of scores that are the same everywhere, the margins are as far on either side.
    results = MadeUp().write(tmp_path, parts=("explanations",))
    (experiment,) = collect(results, None, {"digits": settings_of()})
    study = study_of(experiment)
    assert study is not None
    none_worse = explainability.judge_none_worse(study).findings[0]
    best = explainability.judge_quantized_best(study).findings[0]
    rivals = len(study.variants) - 1
    assert (none_worse.holds, best.holds) == (True, False)
    assert best.p_value == pytest.approx(rivals * none_worse.p_value)


def test_pages_say_what_the_number_of_claims_leaves_open(tmp_path: Path) -> None:
    """An attack that takes 20 points, not surely the 16.9 that the claim is about."""
    after = {"baseline": 0.706}
    results = MadeUp(accuracy=dict.fromkeys(VARIANTS, 0.9), paper_after=after).write(
        tmp_path / "results", parts=("attacks",)
    )
    sections = {"digits": settings_of()}
    experiments = collect(results, None, sections)
    document = compose(experiments, sections, tmp_path, [LENS])
    write_report(document, TEMPLATES, tmp_path / "out")
    one = document.lens_sections[0].content.judged[0][5]
    assert one.claim.key == "attack_hurts"
    assert one.judgement.verdict is Verdict.UNDECIDED and "“carries over”" in one.chance
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert one.chance in text and f"It would take {MORE}." in text
