"""What the rules ask of a cluster."""

import re

import pytest

from tests import PROJECT as ROOT
from tests.workflow.workspace import Workspace

RULES = {
    rule.partition(":")[0]: rule
    for path in sorted((ROOT / "rules").glob("*.smk"))
    for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]
}
PROFILE = (ROOT / "profiles" / "slurm" / "config.yaml").read_text()


@pytest.mark.parametrize("name", RULES)
def test_each_rule_asks_for_memory_and_time(name):
    assert re.search(r"mem_mb=(training_)?memory_mb\(\d+", RULES[name])
    assert re.search(r"runtime=minutes\(\d+\)", RULES[name])
    # Each Slurm job holds two Snakemakes of 120 MB and more beside its own work.
    assert int(re.search(r"memory_mb\((\d+)", RULES[name])[1]) >= 500


@pytest.mark.parametrize("name", RULES)
def test_what_computes_on_a_device_is_told_which(name):
    rule = RULES[name]
    script = (ROOT / "scripts" / f"{name}.py").read_text()
    computes = "job.device" in script or 'settings["device"]' in script
    assert computes == ("gpu=gpus" in rule or "gpu=training_gpus" in rule)
    assert computes == ("command(" in rule and "gpu=False" not in rule)


def test_what_measures_time_runs_alone_here_and_on_a_cluster():
    alone = {name for name, rule in RULES.items() if "threads: all_cores" in rule}
    assert alone == {"time_inference", "time_attack"}
    assert not any("workflow.cores" in rule for rule in RULES.values())
    for name in alone:
        assert re.search(rf"^  {name}:\n    slurm_extra: \"'--exclusive'\"", PROFILE, re.MULTILINE)
        assert not re.search(rf"^  {name}: \w+$", PROFILE, re.MULTILINE), f"{name} is in a group"


def test_the_profile_groups_rules_that_exist():
    groups = PROFILE.partition("\ngroups:\n")[2].partition("\n\n")[0]
    grouped = re.findall(r"^  (\w+): \w+$", groups, re.MULTILINE)
    assert grouped
    assert set(re.findall(r"^  (\w+):", groups.partition("#")[0], re.MULTILINE)) <= set(RULES)


@pytest.mark.workflow
def test_training_in_processes_asks_for_a_gpu_each(tmp_path):
    workspace = Workspace.create(tmp_path / "project")
    workspace.configure("experiments.tiny.device", "cuda")
    workspace.configure("experiments.tiny.training.processes", 4)
    said = workspace.snakemake("--dry-run", "--printshellcmds").output
    commands = re.findall(r"SQUEEZED_GPUS=(\d) python \S.* scripts/(\w+)\.py", said)
    assert {gpus for gpus, script in commands if script == "make_network"} == {"4", "1"}
    # Its recovery was not asked to train in processes, and what does not train needs one.
    assert {gpus for gpus, script in commands if script != "make_network"} == {"1"}
