"""Every verdict rule, with made-up results on both sides of each boundary and with gaps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from squeezed.paper import explainability, performance, robustness
from squeezed.paper.catalogue import CLAIMS, judge_all
from squeezed.paper.study import study_of
from squeezed.paper.verdict import (
    Finding,
    Judgement,
    Need,
    Verdict,
    judge,
    verdict_of,
    what_it_takes,
)
from squeezed.reporting.collection import collect
from squeezed.reporting.estimates import TOO_FEW_REPEATS, Estimate
from squeezed.reporting.margins import exceeds, stays_within
from tests.report.made_up import VARIANTS, MadeUp

RULES = {claim.key: claim.rule for claim in CLAIMS}
MODULES = {"evaluation": performance, "attacks": robustness, "explanations": explainability}
COMPRESSED = VARIANTS[1:]
QUANTIZED = ("quantized", "pruned_quantized")


def judged(folder: Path, key: str, made_up: MadeUp, seeds: tuple[int, ...] = (0,)) -> Judgement:
    """Write the made-up results that one claim needs, and judge it by them."""
    part = next(part for part, module in MODULES.items() if key in {c.key for c in module.CLAIMS})
    (experiment,) = collect(made_up.write(folder, seeds=seeds, parts=(part,)))
    study = study_of(experiment)
    assert study is not None
    return RULES[key](study)


def every(value: float, variants: tuple[str, ...] = COMPRESSED) -> dict[str, float]:
    return dict.fromkeys(variants, value)


@pytest.mark.parametrize(
    ("holds", "doubts", "verdict"),
    [
        ([True, True], [], Verdict.REPRODUCED),
        ([True, True], ["but"], Verdict.NOT_SUPPORTED),
        ([False, False], [], Verdict.NOT_REPRODUCED),
        ([False, False], ["but"], Verdict.NOT_REPRODUCED),
        ([True, False], [], Verdict.PARTLY),
        ([True, False, None], [], Verdict.PARTLY),
        ([True, None], [], Verdict.UNDECIDED),
        ([False, None], [], Verdict.UNDECIDED),
        ([None], ["but"], Verdict.UNDECIDED),
        ([], [], Verdict.UNDECIDED),
    ],
)
def test_verdicts_follow_from_findings(
    holds: list[bool | None], doubts: list[str], verdict: Verdict
) -> None:
    findings = [Finding("x", value, "found.", Need("more")) for value in holds]
    assert verdict_of(findings, doubts) is verdict
    judgement = judge(findings, [], doubts)
    assert judgement.verdict is verdict
    assert bool(judgement.needs) == (verdict is Verdict.UNDECIDED and None in holds)


def test_of_several_samples_the_largest_is_asked_for() -> None:
    needs = [
        what_it_takes(Estimate(value, value - 0.1, value + 0.1, spread, basis, 3), 0.0, "")
        for value, spread, basis in [
            (0.05, 0.04, "3 seeds"),
            (0.01, 0.04, "3 seeds"),
            (0.04, None, "3 images"),
        ]
    ]
    findings = [Finding("x", None, "open.", need) for need in [*needs, Need("the attack")]]
    assert judge(findings, []).needs == (
        "more than 100 seeds and more test images: there is hardly a difference to find; "
        "about 39 test images instead of 3, or several seeds; the attack"
    )


def test_an_interval_that_straddles_the_threshold_decides_nothing() -> None:
    at = Estimate(0.05, 0.04, 0.06, None, "1,000 images", 1000)
    assert exceeds(at, 0.045) is None
    assert exceeds(at, 0.04) is True
    assert exceeds(at, 0.0601) is False
    assert stays_within(at, 0.045) is None
    assert stays_within(at, 0.06) is True
    assert stays_within(at, 0.0399) is False
    assert exceeds(Estimate(2.0), 2.0) is True, "without an interval a figure is exact"
    assert exceeds(None, 0.0) is stays_within(None, 0.0) is None


def test_what_it_takes_grows_with_the_square_of_the_uncertainty() -> None:
    far = Estimate(0.04, 0.02, 0.06, None, "1,000 images", 1000)
    assert "8,200 test images" in what_it_takes(far, 0.05, "").words
    near = Estimate(0.045, 0.025, 0.065, None, "1,000 images", 1000)
    assert "33,000 test images" in what_it_takes(near, 0.05, "").words
    half = 4.303 * 0.008 / 3**0.5
    seeds = Estimate(0.04, 0.04 - half, 0.04 + half, 0.008, "3 seeds", 3)
    assert "about 7 seeds instead of 3" in what_it_takes(seeds, 0.05, "").words
    few = Estimate(1.2, basis=TOO_FEW_REPEATS)
    assert "5 repeats" in what_it_takes(few, 1.0, "").words
    assert exceeds(few, 1.0) is stays_within(few, 1.0) is None
    assert what_it_takes(None, 0.05, "the evaluation").words == "the evaluation"
    assert "on the threshold" in what_it_takes(far, 0.04, "").words


def test_accuracy(tmp_path: Path) -> None:
    key = "accuracy"
    made_up = MadeUp(n=4000, accuracy={"baseline": 0.95, **every(0.92)})
    assert judged(tmp_path / "3", key, made_up).verdict is Verdict.REPRODUCED
    made_up.accuracy |= every(0.88)
    assert judged(tmp_path / "7", key, made_up).verdict is Verdict.NOT_REPRODUCED
    made_up.accuracy["pruned"] = 0.94
    assert judged(tmp_path / "both", key, made_up).verdict is Verdict.PARTLY
    few = MadeUp(n=200, accuracy={"baseline": 0.95, **every(0.90)})
    judgement = judged(tmp_path / "few", key, few)
    assert judgement.verdict is Verdict.UNDECIDED
    assert judgement.needs


def test_accuracy_over_seeds_uses_their_spread(tmp_path: Path) -> None:
    made_up = MadeUp(n=4000, accuracy={"baseline": 0.95, **every(0.945)})
    assert judged(tmp_path, "accuracy", made_up, (0, 1, 2)).verdict is Verdict.REPRODUCED


def test_size(tmp_path: Path) -> None:
    small = MadeUp(size={"quantized": 2_000_000, "ablated": 2_000_001})
    assert judged(tmp_path / "small", "size", small).verdict is Verdict.REPRODUCED
    same = MadeUp(size={"quantized": 2_000_000, "ablated": 2_000_000})
    assert judged(tmp_path / "same", "size", same).verdict is Verdict.PARTLY
    large = MadeUp(size={"quantized": 20_000_000})
    assert judged(tmp_path / "large", "size", large).verdict is Verdict.NOT_REPRODUCED


def test_speed(tmp_path: Path) -> None:
    fast = MadeUp(speedup=dict.fromkeys(COMPRESSED, (1.05, 1.02, 1.1)))
    assert judged(tmp_path / "fast", "speed", fast).verdict is Verdict.REPRODUCED
    slow = MadeUp(speedup=dict.fromkeys(COMPRESSED, (1.0, 0.95, 1.0199)))
    assert judged(tmp_path / "slow", "speed", slow).verdict is Verdict.NOT_REPRODUCED
    noisy = MadeUp(speedup=dict.fromkeys(COMPRESSED, (1.05, 0.9, 1.2)))
    assert judged(tmp_path / "noisy", "speed", noisy).verdict is Verdict.UNDECIDED
    slow.speedup["quantized"] = (3.0, 2.9, 3.1)
    assert judged(tmp_path / "both", "speed", slow).verdict is Verdict.PARTLY


@pytest.mark.parametrize(
    ("size", "text", "table"),
    [
        (820_000, Verdict.NOT_REPRODUCED, Verdict.REPRODUCED),
        (590_000, Verdict.NOT_REPRODUCED, Verdict.PARTLY),
        (1_100_000, Verdict.REPRODUCED, Verdict.NOT_REPRODUCED),
    ],
)
def test_the_text_and_the_table_on_the_ablated_size_are_claims_of_their_own(
    tmp_path: Path, size: int, text: Verdict, table: Verdict
) -> None:
    made_up = MadeUp(size={"baseline": 1_000_000, "ablated": size})
    assert judged(tmp_path / "text", "ablated_size_text", made_up).verdict is text
    assert judged(tmp_path / "table", "ablated_size_table", made_up).verdict is table


def test_attack_hurts(tmp_path: Path) -> None:
    key = "attack_hurts"
    hurt = MadeUp(accuracy={"baseline": 0.9}, paper_after={"baseline": 0.6})
    assert judged(tmp_path / "hurt", key, hurt).verdict is Verdict.REPRODUCED
    unhurt = replace(hurt, paper_after={"baseline": 0.89})
    assert judged(tmp_path / "unhurt", key, unhurt).verdict is Verdict.NOT_REPRODUCED
    close = replace(hurt, paper_after={"baseline": 0.731})
    assert judged(tmp_path / "close", key, close).verdict is Verdict.UNDECIDED


def test_not_worse_defended(tmp_path: Path) -> None:
    key = "not_worse_defended"
    equal = MadeUp(n=2000, paper_after={"baseline": 0.5, **every(0.5)})
    assert judged(tmp_path / "equal", key, equal).verdict is Verdict.REPRODUCED
    worse = MadeUp(n=2000, paper_after={"baseline": 0.5, **every(0.45)})
    assert judged(tmp_path / "worse", key, worse).verdict is Verdict.NOT_REPRODUCED
    worse.paper_after["quantized"] = 0.6
    assert judged(tmp_path / "both", key, worse).verdict is Verdict.PARTLY


def test_the_defence_of_what_the_paper_did_not_attack_decides_nothing(tmp_path: Path) -> None:
    only_ablated = MadeUp(n=2000, paper_after={"baseline": 0.5, **every(0.5), "ablated": 0.3})
    judgement = judged(tmp_path, "not_worse_defended", only_ablated)
    assert judgement.verdict is Verdict.REPRODUCED
    assert {finding.subject for finding in judgement.findings} == {"pruned", *QUANTIZED}


def test_who_was_less_accurate_before_is_not_for_that_worse_defended(tmp_path: Path) -> None:
    """The attack takes forty points from the baseline, and thirty-five from the others."""
    made_up = MadeUp(
        n=2000,
        accuracy={"baseline": 0.9, **every(0.8)},
        paper_after={"baseline": 0.5, **every(0.45)},
    )
    judgement = judged(tmp_path, "not_worse_defended", made_up)
    assert judgement.verdict is Verdict.REPRODUCED


@pytest.mark.parametrize(
    ("dataset", "words"),
    [("cifar10", "not reproduced"), ("digits", "does not carry over")],
)
def test_a_claim_about_other_data_does_not_carry_over(
    tmp_path: Path, dataset: str, words: str
) -> None:
    made_up = MadeUp(n=2000, paper_after={"baseline": 0.5, **every(0.45)})
    (experiment,) = collect(made_up.write(tmp_path, seeds=(0,), parts=("attacks",)))
    experiment.settings["dataset"] = dataset
    study = study_of(experiment)
    assert study is not None
    judged = {one.claim.key: one for one in judge_all(study)}
    assert judged["not_worse_defended"].verdict_words == words
    assert judged["not_worse_defended"].judgement.verdict is Verdict.NOT_REPRODUCED
    # The attack is the paper's on two of its three data sets, the map on one.
    assert not judged["localisation"].is_papers_data
    assert judged["accuracy"].is_papers_data == (dataset == "cifar10")


def test_what_holds_in_part_keeps_its_doubts() -> None:
    findings = [Finding("x", True, "One holds."), Finding("y", False, "One fails.")]
    judgement = judge(findings, [], ["Nothing moved."])
    assert judgement.verdict is Verdict.PARTLY
    assert judgement.reason == "One holds. One fails. Nothing moved."


def test_the_time_of_an_attack_that_never_begins_is_doubted(tmp_path: Path) -> None:
    fast = MadeUp(
        attack_ms={"baseline": 80.0, "quantized": 20.0, "pruned_quantized": 20.0},
        arrangement_moves={"quantized": 1e-9},
    )
    judgement = judged(tmp_path, "quantized_attack_faster", fast)
    assert judgement.verdict is Verdict.NOT_SUPPORTED
    assert "never starts" in judgement.reason


@pytest.mark.parametrize(
    "doubt",
    [
        {"paper_after": {}},  # the attack hurts nobody
        {"reliable": {"quantized": False}},
        {"strong_l2": {"quantized": 0.5}},  # fooled by smaller changes when attacked in earnest
    ],
)
def test_not_worse_defended_is_doubted(tmp_path: Path, doubt: dict[str, object]) -> None:
    equal = MadeUp(n=2000, paper_after={"baseline": 0.5, **every(0.5)})
    doubted = replace(equal, **doubt)  # type: ignore[arg-type]
    judgement = judged(tmp_path, "not_worse_defended", doubted)
    assert judgement.verdict is Verdict.NOT_SUPPORTED
    assert judgement.doubts


def test_quantization_stops_the_attack(tmp_path: Path) -> None:
    key = "quantization_stops_attack"
    # Nothing but the strong attack speaks against it here, and it succeeds.
    stopped = MadeUp(paper_after={"baseline": 0.5, "pruned": 0.5, "ablated": 0.5})
    judgement = judged(tmp_path / "stopped", key, stopped)
    assert judgement.verdict is Verdict.NOT_SUPPORTED
    assert len(judgement.doubts) == 2
    immune = replace(stopped, strong_after=every(0.97, QUANTIZED))
    assert judged(tmp_path / "immune", key, immune).verdict is Verdict.REPRODUCED
    unreliable = replace(immune, reliable={"quantized": False})
    assert judged(tmp_path / "gate", key, unreliable).verdict is Verdict.NOT_SUPPORTED
    harmless = replace(immune, paper_after={})
    assert judged(tmp_path / "harmless", key, harmless).verdict is Verdict.NOT_SUPPORTED
    through = MadeUp(paper_after=every(0.5, VARIANTS))
    assert judged(tmp_path / "through", key, through).verdict is Verdict.NOT_REPRODUCED
    one = replace(stopped, paper_after={**stopped.paper_after, "quantized": 0.5})
    assert judged(tmp_path / "one", key, one).verdict is Verdict.PARTLY


def test_an_attack_that_never_moves_an_image_is_a_doubt(tmp_path: Path) -> None:
    stopped = MadeUp(
        paper_after={"baseline": 0.5},
        strong_after=every(0.97, QUANTIZED),
        arrangement_moves={"quantized": 1e-9},
    )
    judgement = judged(tmp_path / "still", "quantization_stops_attack", stopped)
    assert judgement.verdict is Verdict.NOT_SUPPORTED
    assert "never starts" in judgement.reason
    moved = replace(stopped, arrangement_moves={"quantized": 1e-3})
    judgement = judged(tmp_path / "moved", "quantization_stops_attack", moved)
    assert judgement.verdict is Verdict.REPRODUCED


def test_pruning(tmp_path: Path) -> None:
    key = "pruning_weakens_attack"
    both = MadeUp(
        paper_after={"baseline": 0.5, "pruned": 0.6}, attack_ms={"baseline": 80.0, "pruned": 50.0}
    )
    assert judged(tmp_path / "both", key, both).verdict is Verdict.REPRODUCED
    neither = MadeUp(paper_after={"baseline": 0.5, "pruned": 0.5}, attack_ms={"pruned": 42.0})
    assert judged(tmp_path / "neither", key, neither).verdict is Verdict.NOT_REPRODUCED
    weaker = replace(both, attack_ms={"pruned": 42.0})
    assert judged(tmp_path / "weaker", key, weaker).verdict is Verdict.PARTLY


def test_quantized_attack_speed(tmp_path: Path) -> None:
    key = "quantized_attack_faster"
    fast = MadeUp(attack_ms={"baseline": 80.0, "quantized": 20.0, "pruned_quantized": 20.0})
    assert judged(tmp_path / "fast", key, fast).verdict is Verdict.REPRODUCED
    slow = MadeUp(attack_ms={"baseline": 80.0, "quantized": 28.0, "pruned_quantized": 28.0})
    assert judged(tmp_path / "slow", key, slow).verdict is Verdict.NOT_REPRODUCED


def test_clusters_not_worse(tmp_path: Path) -> None:
    key = "clusters_not_worse"
    assert judged(tmp_path / "equal", key, MadeUp()).verdict is Verdict.REPRODUCED
    worse = MadeUp(
        map_knn=dict.fromkeys(COMPRESSED, (0.90, 0.004)),
        silhouette=dict.fromkeys(COMPRESSED, (0.3, 0.005)),
    )
    assert judged(tmp_path / "worse", key, worse).verdict is Verdict.NOT_REPRODUCED
    vague = MadeUp(map_knn=dict.fromkeys(VARIANTS, (0.95, 0.05)))
    assert judged(tmp_path / "vague", key, vague).verdict is Verdict.UNDECIDED
    one = MadeUp(silhouette={"ablated": (0.3, 0.005)})
    assert judged(tmp_path / "one", key, one).verdict is Verdict.PARTLY


def test_quantized_clusters_best(tmp_path: Path) -> None:
    key = "quantized_clusters_best"
    best = MadeUp(map_knn={"quantized": (0.98, 0.004)}, silhouette={"quantized": (0.5, 0.005)})
    assert judged(tmp_path / "best", key, best).verdict is Verdict.REPRODUCED
    assert judged(tmp_path / "equal", key, MadeUp()).verdict is Verdict.NOT_REPRODUCED
    rival = replace(best, silhouette={"quantized": (0.5, 0.005), "pruned": (0.6, 0.005)})
    assert judged(tmp_path / "rival", key, rival).verdict is Verdict.PARTLY


def test_localisation(tmp_path: Path) -> None:
    key = "localisation"
    better = MadeUp(on_object={"quantized": (0.6, 0.005)})
    assert judged(tmp_path / "better", key, better).verdict is Verdict.REPRODUCED
    assert judged(tmp_path / "equal", key, MadeUp()).verdict is Verdict.PARTLY
    lost = MadeUp(on_object=dict.fromkeys(COMPRESSED, (0.3, 0.005)))
    assert judged(tmp_path / "lost", key, lost).verdict is Verdict.NOT_REPRODUCED
    edge = replace(better, edge_on_object=0.5)
    assert judged(tmp_path / "edge", key, edge).verdict is Verdict.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("correlation", "half", "expected"),
    [
        (0.6, 0.02, Verdict.NOT_SUPPORTED),
        (0.2, 0.02, Verdict.REPRODUCED),
        (0.2, 0.3, Verdict.UNDECIDED),
        (0.6, 0.3, Verdict.UNDECIDED),
    ],
)
def test_maps_that_ignore_the_weights_are_doubted(
    tmp_path: Path, correlation: float, half: float, expected: Verdict
) -> None:
    better = MadeUp(
        on_object={"quantized": (0.6, 0.005)},
        randomised_correlation=correlation,
        randomised_half=half,
    )
    judgement = judged(tmp_path, "localisation", better)
    assert judgement.verdict is expected
    if expected is Verdict.UNDECIDED:
        assert "depend on what was learned is undecided" in judgement.reason
        assert "test images instead of 100" in judgement.needs


@pytest.mark.parametrize(
    "scores", [{}, {"on_object": dict.fromkeys(COMPRESSED, (0.3, 0.005))}], ids=["partly", "lost"]
)
def test_maps_that_fail_support_nothing_whatever_they_score(
    tmp_path: Path, scores: dict[str, Any]
) -> None:
    judgement = judged(tmp_path, "localisation", MadeUp(**scores, randomised_correlation=0.6))
    assert judgement.verdict is Verdict.NOT_SUPPORTED
    assert judgement.reason.startswith("With every layer re-initialised")


@pytest.mark.parametrize("area", ["insertion", "deletion"])
def test_maps_that_are_no_better_than_random_ones_are_doubted(tmp_path: Path, area: str) -> None:
    better = {"quantized": (0.6, 0.005)}
    for net in (0.004, -0.1):
        made_up = MadeUp(on_object=better, **{f"{area}_net": net})
        judgement = judged(tmp_path / str(net), "localisation", made_up)
        assert judgement.verdict is Verdict.NOT_SUPPORTED
        assert f"By {area}, the baseline's own maps are not clearly better" in judgement.reason


@pytest.mark.parametrize("key", RULES)
def test_missing_data_leave_every_claim_undecided(tmp_path: Path, key: str) -> None:
    MadeUp(n=50).write(tmp_path, variants=("baseline",))
    for path in tmp_path.rglob("*"):
        if path.suffix in (".json", ".csv") and not path.name.startswith("training"):
            path.unlink()
    (experiment,) = collect(tmp_path)
    experiment.variants = list(VARIANTS)
    study = study_of(experiment)
    assert study is not None
    judgement = RULES[key](study)
    assert judgement.verdict is Verdict.UNDECIDED
    assert judgement.needs, "it says what it would take"
