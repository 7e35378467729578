"""Each rule has its script, each script explains itself, and a user's mistake gets one sentence."""

import argparse
import json
import re
import subprocess
import sys

import pytest

from squeezed.foundation import environment
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.errors import UserError
from tests import PROJECT

SCRIPTS = sorted((PROJECT / "scripts").glob("*.py"))
BY_HAND = {"compare"}
"""Scripts that users start themselves (`make compare`)."""


def rules_of_the_workflow():
    """Return each rule's name and text."""
    text = "\n".join(path.read_text() for path in sorted((PROJECT / "rules").glob("*.smk")))
    parts = re.split(r"^rule (\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands_of_the_workflow():
    """Return how each rule starts its script: the arguments of `command(…)` as they are written."""
    found = {}
    for name, text in RULES.items():
        call = re.search(rf'command\(\s*"{name}",(.*?)\)\n', text, re.DOTALL)
        if call:
            found[name] = call[1]
    return found


RULES = rules_of_the_workflow()


HELP_OF_EACH = """
import contextlib, io, json, runpy, sys
said = {}
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    said[script] = text.getvalue()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def explanations():
    """What each script says to `--help`, asked in one process: most of them import torch."""
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_EACH, *map(str, SCRIPTS)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PROJECT), "PATH": ""},
    )
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_explains_itself(script, explanations):
    """Without a display, an environment or anything to import but what is installed."""
    said = explanations[str(script)]
    assert said.startswith("usage: ")
    undescribed = r"^  (--[a-z-]+ ?[A-Z_]*)\n(?!      )"  # no help beside it, nor below
    assert not re.findall(undescribed, said, re.MULTILINE)


def test_rules_and_scripts_are_paired():
    assert {script.stem for script in SCRIPTS} - BY_HAND == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_its_promises(name):
    """A message, a log, a benchmark, its environment, and the digest of its own script."""
    text = RULES[name]
    for directive in ("message", "log", "benchmark", "conda", "shell"):
        assert re.search(rf"^    {directive}:", text, re.MULTILINE), directive
    assert re.search(rf'command\(\s*"{name}"', text) or f"scripts/{name}.py" in text
    assert re.search(rf'code(_of_\w+)?\(\s*"{name}"', text)


@pytest.mark.parametrize("name", commands_of_the_workflow())
def test_a_rule_hands_its_script_what_it_declares(name):
    """The names of a rule's files are the script's arguments, and all of them are handed over."""
    handed = re.findall(r'"([a-z_ ]+)"', commands_of_the_workflow()[name])
    declared = {
        kind: re.findall(
            r"^        (\w+)=",
            re.search(rf"^    {kind}:\n((?:        .*\n|\n)+)", RULES[name], re.MULTILINE)[1],
            re.MULTILINE,
        )
        for kind in ("input", "output")
    }
    assert handed[1].split() == declared["output"] or set(handed[1].split()) == set(
        declared["output"]
    )
    left_over = set(declared["input"]) - set(handed[0].split())
    assert left_over <= {"rehearsal", "masks"}  # needed to be there, and read by no argument


def test_settings_are_a_json_object():
    assert settings_json('{"epochs": 3}') == {"epochs": 3}
    for text in ("", "[1]", "3", "{epochs: 3}"):
        with pytest.raises(argparse.ArgumentTypeError):
            settings_json(text)


def test_a_users_mistake_is_one_sentence():
    @script_main
    def main():
        raise UserError("there is no such data set")

    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == "error: there is no such data set"


def test_a_fault_of_ours_keeps_its_traceback():
    @script_main
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_torch_and_torchvision_of_one_build_pass(monkeypatch):
    monkeypatch.setattr(environment, "version_of", lambda package: "1.0+cpu")
    monkeypatch.setattr(environment.subprocess, "run", None)  # costs nothing
    environment.check_torch_builds()


def test_torch_and_torchvision_of_two_builds_get_one_sentence(monkeypatch):
    """As where pip took one of them from another place."""
    found = {"torch": "2.1+cpu", "torchvision": "0.9"}
    said = "Traceback\nRuntimeError: operator torchvision::nms does not exist\n"
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(environment, "version_of", found.get)
    monkeypatch.setattr(environment.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(UserError) as error:
        environment.check_torch_builds()
    said = str(error.value)
    assert "operator torchvision::nms does not exist" in said
    assert "uv pip install" in said
    assert "\n" not in said


def test_two_labels_that_load_all_the_same_pass(monkeypatch):
    """Some platforms label one of the two only."""
    loaded = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(environment, "version_of", {"torch": "2.1+cpu", "torchvision": "0.9"}.get)
    monkeypatch.setattr(environment.subprocess, "run", lambda *args, **kwargs: loaded)
    environment.check_torch_builds()
