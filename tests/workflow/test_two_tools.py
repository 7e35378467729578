"""Snakemake and DVC never disagree: each scenario, judged by a run from nothing."""

import json
import os
import re
import signal
import time

import pytest
import yaml
from PIL import Image

from squeezed.data import open_dataset
from tests import PROJECT
from tests.workflow.conftest import CHANGED_ATTACK, change_pruning
from tests.workflow.workspace import Workspace, differences

# The limit counts the whole runs that a test waits for, those of its fixtures too.
pytestmark = [pytest.mark.workflow, pytest.mark.timeout(1500)]

SET_CHANGED_ATTACK = "config.yaml:{}={}".format(*CHANGED_ATTACK)
# DVC starts Snakemake, so that in CI it stands for both.
TOOLS = (pytest.param("snakemake", marks=pytest.mark.matrix), "repro")


def attacks(jobs):
    """Of these jobs, those that depend on the parameters of the changed attack."""
    return {job for job in jobs if job.endswith(("/attack_paper", "/time_attack", "/vary_attack"))}


def pruned(jobs):
    """Of these jobs, those that depend on how pruning works; all variants are timed together."""
    timing = ("/time_inference", "/time_attack")
    return {job for job in jobs if "/pruned" in job or job.endswith(timing)}


def assert_same(found, expected):
    assert differences(found.exact_contents(), expected.exact_contents()) == set()


def wait_for_a_job(workspace, process, timeout=240):
    """Wait until a job of a running workflow has started."""
    before = workspace.log_times()
    deadline = time.monotonic() + timeout
    while workspace.log_times() == before:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "no job started"
        time.sleep(0.05)


# 1. snakemake, then `dvc repro`: no job runs. `dvc repro`, then `snakemake -n`: nothing.


def test_dvc_records_what_snakemake_made(finished):
    assert "data/digits" in finished.first.jobs
    assert finished.recording.jobs == set()
    finished.assert_up_to_date()


def test_dvc_alone_makes_everything(with_changed_attack):
    with_changed_attack.assert_up_to_date()


# 2. Change one attack parameter: only attacks and the report rerun, in both tools.


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_attack_reruns_attacks_and_report(workspace, finished, with_changed_attack, tool):
    workspace.configure(*CHANGED_ATTACK)
    ran = getattr(workspace, tool)().jobs
    assert ran == attacks(finished.first.jobs) | {"compile_report"}
    workspace.repro()
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_attack)


# 3. Change `squeezed/`'s pruning module: only pruned variants, what comes after them, the report.


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_changed_pruning_reruns_pruned_variants(workspace, finished, with_changed_pruning, tool):
    change_pruning(workspace)
    ran = getattr(workspace, tool)().jobs
    # The rehearsal tries every step, so it is done anew as well.
    assert ran == pruned(finished.first.jobs) | {"tiny/rehearse", "compile_report"}
    workspace.repro()
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_pruning)


@pytest.mark.parametrize("name", ["squeezed/steps/prune.py", "scripts/make_network.py"])
def test_comments_rerun_nothing(workspace, name):
    path = workspace.folder / name
    path.write_text(path.read_text().replace("import", "import  ", 1) + "\n# A remark.\n")
    assert workspace.planned() == set()
    assert workspace.repro().jobs == set()
    workspace.assert_up_to_date()


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_one_setting_of_a_recipe_reruns_its_variant_and_what_descends_from_it(workspace, tool):
    """In a sweep: the other variants stay as they are, and what is not a variant's is done anew."""
    recipes = {
        "pruned_40": {"step": "prune", "amount": 0.4},
        "pruned_60": {"step": "prune", "amount": 0.6},
        "pruned_60_quantized": {"step": "quantize", "parent": "pruned_60"},
    }
    for name, recipe in recipes.items():
        workspace.configure(f"experiments.tiny.variants.{name}", recipe)
    swept = workspace.snakemake().jobs
    assert {job.split("/")[2] for job in swept if "/seed0/" in job} >= set(recipes)

    workspace.configure("experiments.tiny.variants.pruned_60.amount", 0.7)
    ran = getattr(workspace, tool)().jobs
    of_all_variants = ("/time_inference", "/time_attack")
    assert ran == {job for job in swept if "/pruned_60" in job or job.endswith(of_all_variants)} | {
        "tiny/rehearse",
        "compile_report",
    }
    workspace.repro()
    workspace.assert_up_to_date()


def test_an_edit_with_an_older_time_is_seen(workspace):
    """As where an older version of a file is unpacked over a newer one."""
    change_pruning(workspace)
    os.utime(workspace.folder / "squeezed/steps/masks.py", (0, 0))
    assert "make_network" in workspace.planned()


@pytest.mark.parametrize(
    ("name", "addition"),
    [("reports/templates/report.html.j2", "<p>More.</p>"), ("config.schema.yaml", "\n# More.\n")],
)
@pytest.mark.parametrize("tool", TOOLS)
def test_templates_and_schema_rerun_the_report(workspace, name, addition, tool):
    with (workspace.folder / name).open("a") as file:
        file.write(addition)
    os.utime(workspace.folder / name, (0, 0))
    assert getattr(workspace, tool)().jobs == {"compile_report"}
    workspace.repro()
    workspace.assert_up_to_date()


def test_a_further_output_makes_old_results_again(workspace):
    """As after an update of the project: the old results have no such file, and no record of it."""
    curve = 'curve=result("attack_{attack}_curve.csv"),'
    workspace.edit("rules/attack.smk", curve, f'{curve} more=result("attack_{{attack}}_more.csv"),')
    assert workspace.planned() == {"attack", "compile_report", "all"}


# 4. Clone, `dvc pull`: nothing to do. Change a parameter in the clone: exactly its dependents.


@pytest.mark.slow
def test_a_clone_goes_on_where_the_original_is(workspace, finished, with_changed_attack, tmp_path):
    workspace.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    workspace.commit("Add a remote")
    workspace.run("dvc", "push")
    workspace.run("git", "clone", "--quiet", str(workspace.folder), str(tmp_path / "clone"))
    clone = Workspace(tmp_path / "clone")
    clone.run("dvc", "pull")
    clone.assert_up_to_date()
    assert_same(clone, finished)

    clone.configure(*CHANGED_ATTACK)
    assert clone.snakemake().jobs == attacks(finished.first.jobs) | {"compile_report"}
    clone.repro()
    clone.assert_up_to_date()
    assert_same(clone, with_changed_attack)

    clone.commit("Change the attack")  # and back again through the remote
    clone.run("dvc", "push")
    workspace.git("pull", "--quiet", str(clone.folder), "main")
    workspace.run("dvc", "pull")
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_attack)


# 5. A job fails in the middle: the next run does only what is left.


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_after_a_failure_only_what_is_left_runs(workspace, finished, with_changed_attack, tool):
    workspace.configure(*CHANGED_ATTACK)
    workspace.edit(
        "scripts/attack.py",
        "    model = load_twin(",
        "    if Path('fail').exists() and 'quantized' in job.input['graph'].name:\n"
        "        raise ValueError('on purpose')\n"
        "    model = load_twin(",
    )
    (workspace.folder / "fail").touch()
    failed = getattr(workspace, tool)(check=False)
    assert failed.returncode != 0
    log = "tiny/seed0/pruned_quantized/attack_paper"
    assert f"error: the run stopped; the reason is in logs/{log}.log (run again" in failed.output
    assert "on purpose" in failed.output

    (workspace.folder / "fail").unlink()
    rest = getattr(workspace, tool)().jobs
    assert failed.jobs & rest == {log}
    attacked = {job for job in finished.first.jobs if "/attack_" in job} | attacks(
        finished.first.jobs
    )
    assert failed.jobs | rest == attacked | {"compile_report"}
    workspace.repro()
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_attack)


# 6. `kill -9` in the middle of `dvc repro`: the message tells the way back, and it is one.


@pytest.mark.slow
def test_the_way_back_after_a_kill(workspace, with_changed_attack):
    workspace.configure(*CHANGED_ATTACK)
    process = workspace.start("dvc", "repro")
    wait_for_a_job(workspace, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    stopped = workspace.repro(check=False)
    assert stopped.returncode != 0
    assert stopped.jobs == set()
    assert "can be removed with the --unlock argument" in stopped.output
    workspace.run("snakemake", "--unlock")
    workspace.repro()
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_attack)


# 7. Two git branches with different parameters, switching: nothing to do on either.


@pytest.mark.slow
def test_switching_branches_leaves_nothing_to_do(workspace, finished, with_changed_attack):
    workspace.git("checkout", "--quiet", "-b", "other")
    workspace.configure(*CHANGED_ATTACK)
    workspace.repro()
    workspace.commit("Change the attack")
    for branch, judge in [("main", finished), ("other", with_changed_attack), ("main", finished)]:
        workspace.git("checkout", "--quiet", branch)
        workspace.run("dvc", "checkout")
        workspace.assert_up_to_date()
        assert_same(workspace, judge)


# 8. `dvc exp run --temp -S …`: right results, workspace untouched.


@pytest.mark.slow
def test_an_experiment_aside_leaves_the_workspace_alone(workspace, finished, with_changed_attack):
    before = workspace.exact_contents(), workspace.log_times()
    workspace.run("dvc", "exp", "run", "--temp", "--name", "aside", "-S", SET_CHANGED_ATTACK)
    assert (workspace.exact_contents(), workspace.log_times()) == before
    assert workspace.git("status", "--porcelain") == ""
    workspace.assert_up_to_date()

    assert "aside" in workspace.run("dvc", "exp", "show", "--csv").output
    workspace.run("dvc", "exp", "apply", "aside")
    workspace.assert_up_to_date()
    path, value = CHANGED_ATTACK
    assert re.search(rf"{path} +\d+ +{value}\b", workspace.run("dvc", "params", "diff").output)
    assert "attack_paper.accuracy_after" in workspace.run("dvc", "metrics", "diff").output
    assert_same(workspace, with_changed_attack)


@pytest.mark.matrix  # the experiment aside is one, too
def test_queued_experiments_run_in_turn(workspace, finished, with_changed_attack):
    workspace.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", SET_CHANGED_ATTACK)
    assert "queued" in workspace.run("dvc", "queue", "status").output
    workspace.run("dvc", "exp", "run", "--run-all")
    assert_same(workspace, finished)
    workspace.run("dvc", "exp", "apply", "queued")
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_attack)


# 9. A second run started while one is going: a clear refusal, nothing damaged.


@pytest.mark.slow
def test_a_second_run_is_refused(workspace, with_changed_attack):
    workspace.configure(*CHANGED_ATTACK)
    process = workspace.start("dvc", "repro")
    wait_for_a_job(workspace, process)
    for refused in (workspace.snakemake(check=False), workspace.repro(check=False)):
        assert process.poll() is None, "the first run ended before the second was refused"
        assert refused.returncode != 0
        assert "lock" in refused.output.lower()
    said, _ = process.communicate()
    assert process.returncode == 0, said
    workspace.assert_up_to_date()
    assert_same(workspace, with_changed_attack)


# 10. A comparison of files beside a run: what both tools say of the run stays as it was.


@pytest.mark.slow
def test_a_comparison_leaves_the_run_alone(workspace):
    before, times = workspace.exact_contents(), workspace.log_times()
    test = open_dataset(workspace.folder / "data/digits.safetensors").test
    photos = workspace.folder / "photos"
    for index, (pixels, label) in enumerate(zip(test.images(range(20)), test.labels, strict=False)):
        path = photos / str(label) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * pixels).round().astype("uint8").transpose(1, 2, 0)).save(path)
    graphs = workspace.folder / "models/tiny/seed0"
    said = workspace.run(
        "python", "scripts/compare.py", "--original", str(graphs / "baseline.onnx"),
        "--compressed", str(graphs / "pruned.onnx"), "--images", "photos", "--name", "mine",
    ).output  # fmt: skip
    assert "comparisons/mine" in said
    assert (workspace.folder / "comparisons/mine/report.html").is_file()
    assert (workspace.exact_contents(), workspace.log_times()) == (before, times)
    workspace.assert_up_to_date()


# What DVC shows of a run.


def test_dvc_shows_metrics_of_each_variant(finished):
    shown = finished.run("dvc", "metrics", "show", "--json").output
    metrics = json.loads(shown)[""]["data"]
    for variant in ("baseline", "pruned_quantized"):
        data = metrics[f"reports/generated/metrics/tiny/{variant}.json"]["data"]
        evaluation = finished.result(variant, "evaluation")
        assert data["evaluation"]["top1_accuracy"] == round(evaluation["top1_accuracy"], 6)
        assert data["evaluation"]["onnx_size_bytes"] == evaluation["onnx_size_bytes"]
        assert data["inference_timing"]["latency_p50_ms"] > 0
        attack = finished.result(variant, "attack_paper")
        assert data["attack_paper"]["accuracy_after"] == round(attack["accuracy_after"], 6)
        assert "knn_accuracy" in data["embedding"]


def test_dvc_draws_plots(finished, tmp_path):
    finished.run("dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    for field in ("validation_accuracy", "size_mb", "robust_accuracy"):
        assert re.search(rf'"{field}": "?[\d.]+', page), f"no data of {field}"


# 10. Overhead: `dvc status` and a dry `snakemake` each under 5 s with the four shipped experiments.


def test_looking_is_quick(tmp_path):
    workspace = Workspace.create(tmp_path / "project", PROJECT / "config.yaml")
    shipped = yaml.safe_load((PROJECT / "config.yaml").read_text())
    workspace.configure("run", ["digits", "svhn", "cifar10", "imagenet"])
    (workspace.folder / "imagenet").mkdir()
    assert set(shipped["experiments"]) >= {"digits", "svhn", "cifar10", "imagenet"}
    for command in (("dvc", "status"), ("snakemake", "--dry-run", "--quiet")):
        seconds = []
        for _ in range(5):
            before = os.times()
            workspace.run(*command)
            after = os.times()
            # The processor's time: a neighbour on the machine does not count.
            user = after.children_user - before.children_user
            seconds.append(user + after.children_system - before.children_system)
        assert min(seconds) < 5, f"{' '.join(command)} takes {min(seconds):.1f} s"
