"""The estimate of a run: from records where there are, else from the work and a measured pass."""

import itertools
import json
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.view.estimates import (
    WORK_FILE,
    Estimates,
    Record,
    estimate,
    read_record,
    start_of,
)
from rules.view.schedule import Planned, makespan, peak_memory_mb
from rules.view.work import Work, work_of
from squeezed.configuration.completion import EFFORTS, load_schema
from squeezed.configuration.plan import ASSUMED, read_configuration
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
COUNTS = {
    "n_train": 1000,
    "n_validation": 100,
    "n_test": 5000,
    "image_height": 32,
    "image_width": 32,
}
HEADER = "s\th:m:s\tmax_pss\tmax_vms\n"


def configuration(effort: str = "standard", **own):
    shipped = yaml.safe_load((PROJECT / "config.yaml").read_text())
    shipped["experiments"]["digits"] |= {"effort": effort, **own}
    return read_configuration(shipped, SCHEMA, lambda architecture: ASSUMED)


def planned(seconds, threads=1, waits_for=(), memory_mb=0.0):
    return Planned(seconds, threads, memory_mb, frozenset(waits_for))


def test_an_attacks_work_is_its_gradient_steps():
    experiment = configuration(attacks={"mine": {"images": 10, "iterations": 7, "search_steps": 2}})
    work = work_of("attack", experiment["experiments"]["digits"], {"attack": "mine"}, COUNTS)
    assert work == Work(passes=10 * 7 * 2 * 3)
    several = {
        "method": "ensemble",
        "images": 10,
        "ddn": {"steps": 5},
        "near_classes": 2,
        "smoothed": {"steps": 3, "noise_draws": 1},
        "carlini_wagner": {"iterations": 7, "search_steps": 2},
        "refining_steps": 4,  # from two places
    }
    experiment = configuration(attacks={"mine": several})["experiments"]["digits"]
    work = work_of("attack", experiment, {"attack": "mine"}, COUNTS)
    assert work == Work(passes=10 * (5 * 3 + 3 * 2 + 7 * 2 + 4 * 2) * 3)


def test_a_trainings_work_is_its_epochs():
    experiment = configuration()["experiments"]["digits"]
    for variant, epochs in (("baseline", 6), ("pruned", 3)):
        work = work_of("make_network", experiment, {"variant": variant}, COUNTS)
        assert work.passes == epochs * (3 * 1000 + 100)


@pytest.mark.parametrize(
    "rule", ["attack", "corrupt", "embed", "map_cam", "map_tsne", "time_attack", "time_inference"]
)
def test_more_effort_is_more_work(rule):
    wildcards = {"variant": "baseline", "attack": "strong"}
    amounts = []
    for effort in EFFORTS[0 if rule != "time_attack" else 1 :]:
        experiment = configuration(effort)["experiments"]["digits"]
        work = work_of(rule, experiment, wildcards, COUNTS)
        amounts.append(work.passes + work.seconds)
    assert amounts == sorted(set(amounts))


def test_no_image_counts_that_is_not_there():
    experiment = configuration("thorough")["experiments"]["digits"]
    few = work_of("embed", experiment, {}, COUNTS | {"n_test": 7})
    assert few.passes == 7


def test_the_own_record_comes_before_others_and_those_before_the_rehearsal():
    own, other = Record(20.0, 500.0, None), Record(40.0, 700.0, None)
    assert estimate("attack", Work(10), 0.1, own, [other]).seconds == 20.0
    found = estimate("attack", Work(10), 0.1, None, [other, own])
    assert (found.seconds, found.memory_mb, found.source) == (30.0, 700.0, "records")
    measured = estimate("attack", Work(100), 0.1, None, [])
    assert measured.seconds == pytest.approx(start_of("attack") + 10)
    assert measured.source == "rehearsal"


def test_a_record_of_another_effort_is_scaled_by_the_work_beyond_the_start():
    start = start_of("attack")
    record = Record(start + 6.0, 500.0, Work(passes=300))
    assert estimate("attack", Work(passes=900), None, record, []).seconds == start + 18.0
    # A job that took less than a start is never taken to be faster for doing more.
    tiny = Record(0.5 * start, 500.0, Work(passes=300))
    assert estimate("attack", Work(passes=900), None, tiny, []).seconds == 0.5 * start


def test_what_nobody_has_measured_is_unknown():
    """A network's speed, and before the data are prepared how much work there is."""
    assert estimate("attack", Work(10), None, None, []).source == "unknown"
    assert estimate("attack", None, 0.1, None, []).source == "unknown"
    assert estimate("map_tsne", Work(seconds=3), None, None, []).source == "rehearsal"
    record = Record(20.0, 500.0, None)
    assert estimate("attack", None, None, record, []).seconds == 20.0


@pytest.mark.parametrize("text", ["", HEADER, f"{HEADER}x\t0\t1\t1\n", "a\tb\n1\t2\n"])
def test_a_record_that_is_not_whole_counts_as_none(tmp_path, text):
    path = tmp_path / "job.benchmark.tsv"
    path.write_text(text)
    assert read_record(path, None) is None
    assert read_record(tmp_path / "none.tsv", None) is None


def test_snakemakes_record_is_read(tmp_path):
    path = tmp_path / "job.benchmark.tsv"
    path.write_text(f"{HEADER}12.5\t0:00:12\t812.25\t2000\n")
    assert read_record(path, Work(3)) == Record(12.5, 812.25, Work(3))
    path.write_text(f"{HEADER}0.1\t0:00:00\tNA\tNA\n")
    assert read_record(path, None) == Record(0.1, 0.0, None)


def test_a_chain_takes_the_sum_and_free_jobs_share_the_cores():
    chain = {n: planned(2.0, waits_for=[n - 1]) for n in range(4)}
    assert makespan(chain, 8) == 8.0
    assert makespan({n: planned(2.0) for n in range(4)}, 2) == 4.0
    alone = {0: planned(3.0, threads=99), 1: planned(1.0), 2: planned(1.0)}
    assert makespan(alone, 2) == 4.0
    assert makespan({}, 2) == 0.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(1, 3),
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6),
)
def test_no_schedule_beats_the_bounds_and_list_scheduling_is_within_graham(times, cores, edges):
    """Work and the longest chain bound every schedule; Graham bounds a greedy one by their sum."""
    jobs = {
        n: planned(t, waits_for=[a for a, b in edges if b == n and a < b])
        for n, t in enumerate(times)
    }
    longest = {}
    for n, t in enumerate(times):
        longest[n] = t + max((longest[a] for a in jobs[n].waits_for if a in longest), default=0)
    work, chain = sum(times) / cores, max(longest.values())
    found = makespan(jobs, cores)
    assert max(work, chain) <= found + 1e-9
    assert found <= work + chain + 1e-9


def test_memory_is_that_of_the_largest_jobs_that_fit_beside_each_other():
    jobs = {
        0: planned(1, memory_mb=500),
        1: planned(1, memory_mb=900),
        2: planned(1, memory_mb=700),
        3: planned(1, threads=2, memory_mb=1000),
    }
    fits = [
        sum(jobs[k].memory_mb for k in some)
        for size in (1, 2)
        for some in itertools.combinations(jobs, size)
        if sum(jobs[k].threads for k in some) <= 2
    ]
    del jobs[3]
    assert peak_memory_mb(jobs, 2) == 1600 == max(fits)


class Job:
    """What Snakemake knows of a job."""

    def __init__(self, rule, benchmark, wildcards, pattern, threads=1):
        self.rule = SimpleNamespace(name=rule, benchmark=pattern)
        self.benchmark, self.wildcards_dict, self.threads = benchmark, wildcards, threads


def test_a_run_is_planned_noted_and_planned_again_from_its_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/digits.json").write_text(json.dumps(COUNTS))
    pattern = "logs/{experiment}/seed{seed}/{variant}/attack_{attack}.benchmark.tsv"
    jobs = []
    for variant in ("baseline", "pruned"):
        wildcards = {"experiment": "digits", "seed": "0", "variant": variant, "attack": "paper"}
        jobs.append(Job("attack", pattern.format(**wildcards), wildcards, pattern))
    dag = SimpleNamespace(needrun_jobs=lambda: jobs, dependencies={job: {} for job in jobs})
    workflow = SimpleNamespace(dag=dag, cores=1)

    unknown = Estimates(workflow, configuration())
    assert unknown.plan() == "2 jobs; their time is unknown before a rehearsal (`make plan`)."
    assert unknown.total is None
    result = tmp_path / "results/digits/rehearsal.json"
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps({"measured": {"pass_ms_per_image": 10.0}}))
    measured = Estimates(workflow, configuration())
    assert "2 by a rehearsal" in measured.plan()
    work = 32 * 40 * 3  # the paper's attack on the images of effort `standard`
    assert measured.total == pytest.approx(2 * (start_of("attack") + work * 0.01))

    record = tmp_path / jobs[0].benchmark
    record.parent.mkdir(parents=True)
    record.write_text(f"{HEADER}30\t0:00:30\t1024\t1\n")
    measured.finished(jobs[0].benchmark)
    assert json.loads((tmp_path / WORK_FILE).read_text()) == {jobs[0].benchmark: [work, 0.0]}
    again = Estimates(workflow, configuration())
    line = again.plan()
    assert "2 by records of earlier runs" in line and "1.0 GB" in line
    assert again.seconds_of(jobs[0].benchmark) == again.seconds_of(jobs[1].benchmark) == 30.0
    quicker = Estimates(workflow, configuration("thorough"))
    quicker.plan()
    start = start_of("attack")
    assert quicker.total == pytest.approx(2 * (start + (30 - start) * 1000 / 32))
