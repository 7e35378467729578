"""What an architecture is made of is known, or refused, while the workflow is planned."""

import subprocess

import pytest

from squeezed.configuration import architectures
from squeezed.configuration.architectures import facts_of
from squeezed.configuration.completion import load_schema
from squeezed.configuration.plan import ASSUMED, read_configuration
from squeezed.configuration.recipes import recipes_of
from squeezed.foundation.errors import UserError
from tests import PROJECT


def answering(returncode=0, stdout="", stderr=""):
    """A stand-in for the process that asks torchvision, and the questions that it was asked."""
    asked = []

    def run(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, returncode, stdout, stderr)

    return run, asked


def test_an_answer_is_remembered(tmp_path, monkeypatch):
    run, asked = answering(stdout='{"fully_connected": 1, "convolution": 20}')
    monkeypatch.setattr(architectures.subprocess, "run", run)
    wanted = {"name": "resnet18", "arguments": {}}
    assert facts_of(wanted, tmp_path) == {"fully_connected": 1, "convolution": 20}
    assert facts_of(wanted, tmp_path) == {"fully_connected": 1, "convolution": 20}
    assert len(asked) == 1
    facts_of({"name": "resnet18", "arguments": {"width_per_group": 32}}, tmp_path)
    assert len(asked) == 2


def test_a_refusal_is_one_sentence_and_is_not_remembered(tmp_path, monkeypatch):
    run, asked = answering(1, stderr="warning: slow\nthere is no architecture 'resnt18'")
    monkeypatch.setattr(architectures.subprocess, "run", run)
    for _ in range(2):
        with pytest.raises(UserError, match=r"^there is no architecture 'resnt18'$"):
            facts_of({"name": "resnt18", "arguments": {}}, tmp_path)
    assert len(asked) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ({"name": "resnt18"}, "there is no architecture 'resnt18'; did you mean 'resnet18'?"),
        ({"name": "resnet18", "arguments": {"widths": [4]}}, "architecture resnet18: "),
    ],
)
def test_what_torchvision_has_not_is_refused_while_planning(tmp_path, architecture, sentence):
    """As `snakemake -n` asks; the rehearsal would say it only when the data are prepared."""
    configuration = {
        "run": ["mine"],
        "datasets": {"digits": {"source": {"kind": "digits"}}},
        "experiments": {"mine": {"dataset": "digits", "architecture": architecture}},
    }
    schema = load_schema(PROJECT / "config.schema.yaml")
    with pytest.raises(UserError) as error:
        read_configuration(configuration, schema, lambda wanted: facts_of(wanted, tmp_path))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_student_s_architecture_is_asked_for_while_planning():
    """What teaches it is trained before the student's name would be looked at."""
    asked = []

    def facts(architecture):
        asked.append(architecture["name"])
        if architecture["name"] == "resnt18":
            raise UserError("there is no architecture 'resnt18'")
        return {"fully_connected": 1, "convolution": 1}

    def read(student):
        recipe = {"step": "distil", "architecture": {"name": student}}
        experiment = {"dataset": "digits", "architecture": {"name": "vgg6"}}
        configuration = {
            "run": ["mine"],
            "datasets": {"digits": {"source": {"kind": "digits"}}},
            "experiments": {"mine": experiment | {"variants": {"student": recipe}}},
        }
        return read_configuration(configuration, load_schema(PROJECT / "config.schema.yaml"), facts)

    with pytest.raises(UserError, match="no architecture 'resnt18'"):
        read("resnt18")
    read("resnet18")
    assert asked == ["vgg6", "resnt18", "vgg6", "resnet18"]


def test_architectures_of_ours_are_known_without_asking(tmp_path, monkeypatch):
    monkeypatch.setattr(architectures.subprocess, "run", None)
    for name in architectures.OURS:
        found = facts_of({"name": name, "arguments": {}}, tmp_path)
        assert found == {"fully_connected": 1, "convolution": 1}


@pytest.mark.parametrize(
    ("section", "epochs"),
    [
        ({"architecture": {"name": "vgg6", "weights": "mine.pth"}}, 0),
        ({"architecture": {"name": "vgg6", "weights": "mine.pth"}, "training": {}}, 0),
        ({"architecture": {"name": "vgg6", "weights": "mine.pth"}, "variants": {"pruned": {}}}, 0),
        (
            {
                "architecture": {"name": "vgg6", "weights": "mine.pth"},
                "training": {"learning_rate": 0.01},
            },
            20,
        ),
        (
            {
                "architecture": {"name": "vgg6", "weights": "mine.pth"},
                "variants": {"baseline": {"epochs": 3}},
            },
            3,
        ),
        ({"architecture": {"name": "vgg16_bn", "weights": "imagenet"}}, 20),
        ({"architecture": {"name": "vgg6"}}, 20),
    ],
)
def test_weights_of_ones_own_are_trained_on_only_where_that_is_asked_for(section, epochs):
    configuration = {
        "run": ["mine"],
        "datasets": {"digits": {"source": {"kind": "digits"}}},
        "experiments": {"mine": {"dataset": "digits", **section}},
    }
    schema = load_schema(PROJECT / "config.schema.yaml")
    read = read_configuration(configuration, schema, lambda architecture: ASSUMED)
    recipe = recipes_of(read["experiments"]["mine"])["baseline"]
    assert recipe.settings["epochs"] == epochs
