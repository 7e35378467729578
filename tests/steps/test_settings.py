"""Each step's settings have the fields that the schema describes, and read what it completes."""

import dataclasses

import pytest

from squeezed.configuration.completion import complete_section, load_schema
from squeezed.foundation.settings import read_settings
from squeezed.steps.ablate import AblateSettings
from squeezed.steps.distil import DistilSettings
from squeezed.steps.factorize import FactorizeSettings
from squeezed.steps.prune import PruneSettings
from squeezed.training.settings import TrainingSettings
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
DESCRIBED = SCHEMA["$defs"]["experiment"]["properties"]
SECTIONS = {
    "training": TrainingSettings,
    "pruning": PruneSettings,
    "ablation": AblateSettings,
    "distillation": DistilSettings,
    "factorization": FactorizeSettings,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_fields_are_those_of_the_schema(section):
    training = SCHEMA["$defs"]["training"]["properties"]
    properties = DESCRIBED[section].get("properties", training)
    fields = [field.name for field in dataclasses.fields(SECTIONS[section])]
    assert sorted(fields) == sorted(properties)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_can_be_read(section):
    read_settings(SECTIONS[section], complete_section({}, {}, DESCRIBED[section], section, SCHEMA))


def test_a_network_to_distil_into_can_be_named():
    given = {"architecture": {"name": "resnet_cifar"}}
    completed = complete_section(given, {}, DESCRIBED["distillation"], "distillation", SCHEMA)
    settings = read_settings(DistilSettings, completed)
    assert settings.architecture.name == "resnet_cifar"
    assert settings.architecture.arguments == {}
