"""The example of docs/own_step.md does what the page says."""

import re
import sys

import numpy as np
import pytest
import torch
import yaml

from squeezed.configuration.recipes import recipes_of
from squeezed.foundation.errors import UserError
from squeezed.steps.resolve import step_of
from tests import PROJECT
from tests.configuration.test_recipes import experiment
from tests.steps.networks import tiny_vgg
from tests.steps.workshop import stored, tiny_card

PAGE = (PROJECT / "docs" / "own_step.md").read_text(encoding="utf-8")


def example(language):
    """The page's only block of a language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return block


@pytest.fixture
def own_steps(tmp_path, monkeypatch):
    """A folder with the example's module, where its first line says, on Python's path."""
    code = example("python")
    place = re.match(r"# own_steps/(\S+)\n", code)[1]
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


@pytest.fixture
def recipes():
    """The recipes of the page's configuration, completed as the workflow completes them."""
    section = yaml.safe_load(example("yaml"))["experiments"]["digits"]
    return recipes_of(experiment(section["variants"]))


def test_the_example_is_a_recipe_with_a_child(recipes):
    assert recipes["halved"].settings == {"factor": 0.5}
    assert recipes["halved"].parent == "baseline"
    assert recipes["halved_quantized"].parent == "halved"


def test_the_examples_step_runs(own_steps, recipes, workshop, tmp_path):
    function, settings = step_of(recipes["halved"])
    parent = tiny_vgg()
    kept = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    made = function(parent, tiny_card(), settings, workshop)
    images = torch.from_numpy(workshop.dataset.test.images(np.arange(8)))
    model = stored(made, tmp_path)
    with torch.no_grad():
        before, after = parent(images), model(images)
    torch.testing.assert_close(after, before / 2)
    assert torch.equal(after.argmax(1), before.argmax(1))
    assert made.metrics == {"factor": 0.5}
    assert all(torch.equal(tensor, kept[name]) for name, tensor in parent.state_dict().items())


def test_a_recipe_has_exactly_the_settings_of_its_dataclass(own_steps):
    wrong = recipes_of(experiment({"halved": {"step": "my_package.halve:halve", "factors": 0.5}}))
    with pytest.raises(UserError, match=r"the settings of variant 'halved': .*factor"):
        step_of(wrong["halved"])


def test_a_step_that_is_not_there_is_named():
    lost = recipes_of(experiment({"lost": {"step": "my_package.nowhere:nothing"}}))
    with pytest.raises(UserError, match=r"docs/own_step\.md"):
        step_of(lost["lost"])


def test_a_step_that_finds_no_memory_is_not_said_to_be_missing(monkeypatch):
    def load(name):
        raise ImportError(f"{name}: failed to map segment from shared object")

    monkeypatch.setattr("squeezed.steps.resolve.importlib.import_module", load)
    with pytest.raises(ImportError, match="failed to map"):
        step_of(recipes_of(experiment())["pruned"])
