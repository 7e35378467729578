"""The settings of these analyses have the fields that the schema describes."""

import dataclasses

import pytest

from squeezed.configuration.completion import complete_section, load_schema
from squeezed.corruptions.measure import CorruptionSettings
from squeezed.corruptions.parameters import KINDS, SEVERITIES
from squeezed.evaluation.unfamiliar import UnfamiliarSettings
from squeezed.foundation.settings import read_settings
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
DESCRIBED = SCHEMA["$defs"]["experiment"]["properties"]
SECTIONS = {"corruptions": CorruptionSettings, "unfamiliar": UnfamiliarSettings}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_fields_are_those_of_the_schema(section: str) -> None:
    fields = [field.name for field in dataclasses.fields(SECTIONS[section])]
    assert sorted(fields) == sorted(DESCRIBED[section]["properties"])
    read_settings(SECTIONS[section], complete_section({}, {}, DESCRIBED[section], section, SCHEMA))


def test_all_corruptions_and_a_thorough_runs_severities_are_the_default() -> None:
    described = DESCRIBED["corruptions"]["properties"]
    assert tuple(described["kinds"]["default"]) == KINDS
    assert tuple(described["kinds"]["items"]["enum"]) == KINDS
    assert tuple(described["severities"]["default"]["thorough"]) == SEVERITIES
