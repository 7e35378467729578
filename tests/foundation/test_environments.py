"""What can be checked of the conda environments without conda: no solving is tried here."""

import importlib.util
import re

import pytest
import yaml
from packaging.requirements import Requirement

from tests import PROJECT as ROOT

FILES = sorted((ROOT / "envs").glob("*.yaml"))
RULES = [
    (path.name, rule.partition(":")[0], rule)
    for path in sorted((ROOT / "rules").glob("*.smk"))
    for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]
]
# A conda match specification of the simple kind that is used here: a name, or name=version.
SPECIFICATION = re.compile(r"[a-z0-9_.-]+(=[0-9.]+(\.\*)?)?")

spec = importlib.util.spec_from_file_location("write_environments", ROOT / "envs" / "write.py")
write_environments = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_environments)


@pytest.mark.parametrize(("file", "name", "rule"), RULES, ids=[rule[1] for rule in RULES])
def test_each_rule_names_an_environment_that_exists(file, name, rule):
    named = re.search(r'conda:\s+"(\S+)"', rule)
    assert named, f"rule {name} in rules/{file} has no conda:"
    assert (ROOT / "rules" / named[1]).resolve().is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_environment_parses_and_pins_what_requirements_pin(path):
    content = yaml.safe_load(path.read_text())
    assert set(content) == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge"]
    *conda, pip = content["dependencies"]
    assert all(SPECIFICATION.fullmatch(each) for each in conda)
    assert "pip" in conda
    assert any(each.startswith("python=") for each in conda)
    assert set(pip) == {"pip"}
    pinned = set((ROOT / "requirements.txt").read_text().splitlines())
    for line in pip["pip"]:
        assert str(Requirement(line).specifier).startswith("==")
        assert line in pinned, f"{line} is not in requirements.txt: run python envs/write.py"


def test_environments_are_those_of_the_scripts_imports():
    environments = write_environments.scripts_by_environment()
    assert sorted(environments) == [path.stem for path in FILES]
    for name, scripts in environments.items():
        written = (ROOT / "envs" / f"{name}.yaml").read_text()
        assert written == write_environments.environment(name, scripts), (
            f"envs/{name}.yaml is out of date: run python envs/write.py"
        )


@pytest.mark.parametrize("name", ["data", "deployment", "maps", "report"])
def test_jobs_that_need_no_torch_do_not_install_it(name):
    assert "torch==" not in (ROOT / "envs" / f"{name}.yaml").read_text()


def test_a_missing_import_would_be_seen():
    script = ROOT / "scripts" / "map_tsne.py"
    needed = set(write_environments.imported_distributions(script))
    assert {"numpy", "opentsne", "scipy"} <= needed
    pins = write_environments.pinned()
    assert "scipy" in write_environments.closure(["scikit-learn"], pins)
    assert any(key.startswith("nvidia-") for key in write_environments.closure(["torch"], pins))
