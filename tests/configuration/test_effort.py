"""One word decides images, steps and repeats; what is given stays, and so do the references."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from squeezed.configuration.completion import (
    EFFORTS,
    complete_configuration,
    default_of,
    load_schema,
)
from squeezed.configuration.plan import ASSUMED, read_configuration
from squeezed.data.fitness import USUAL_NEIGHBOURS, USUAL_PERPLEXITY
from squeezed.foundation.errors import UserError
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
SHIPPED = yaml.safe_load((PROJECT / "config.yaml").read_text())
AS_BEFORE = json.loads((PROJECT / "tests/configuration/reference_settings.json").read_text())
"""What the reference configurations meant when efforts came.

Since then, what recovers has the loss that it was trained with.
"""


def experiment(effort: str | None = None, run_effort: str | None = None, **sections: Any) -> Any:
    """A small experiment of one's own, completed."""
    own = {"dataset": "digits", "architecture": {"name": "vgg6"}, **sections}
    configuration = {"run": ["mine"], "datasets": SHIPPED["datasets"], "experiments": {"mine": own}}
    if effort:
        own["effort"] = effort
    if run_effort:
        configuration["effort"] = run_effort
    return complete_configuration(configuration, SCHEMA)["experiments"]["mine"]


def by_effort(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every default of the schema that is written for each effort."""
    if isinstance(value, dict):
        default = value.get("default")
        if isinstance(default, dict) and set(default) & set(EFFORTS):
            yield value
        for below in value.values():
            yield from by_effort(below)
    elif isinstance(value, list):
        for below in value:
            yield from by_effort(below)


def numbers(effort: str) -> dict[str, float]:
    """The numbers of an experiment that has this effort, by their dotted path."""
    found = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, below in value.items():
                walk(below, f"{path}.{key}")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[path] = value

    walk(experiment(effort), "")
    return found


def test_a_default_is_written_for_all_efforts_or_for_none() -> None:
    written = list(by_effort(SCHEMA))
    assert len(written) > 10
    assert all(list(schema["default"]) == list(EFFORTS) for schema in written)


def test_more_effort_never_looks_at_fewer_images_steps_or_repeats() -> None:
    quick, standard, thorough = map(numbers, EFFORTS)
    amounts = [
        path
        for path in thorough
        if path.rpartition(".")[2] not in ("learning_rate", "batch_size")
        and ".attacks." not in path
    ]
    assert all(standard[path] <= thorough[path] for path in amounts if path in standard)
    assert all(quick[path] <= standard[path] for path in amounts if path in quick)
    assert sum(quick[path] < thorough[path] for path in amounts if path in quick) > 10


def test_standard_is_what_one_gets_who_says_nothing() -> None:
    assert experiment() == experiment("standard")
    assert experiment()["effort"] == "standard"


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_single_setting_stays_what_it_is(effort: str) -> None:
    given = experiment(effort, cam={"images": 77}, attacks={"mine": {"iterations": 3}})
    assert given["cam"]["images"] == 77
    assert list(given["attacks"]) == ["mine"]
    assert given["attacks"]["mine"]["iterations"] == 3
    described = SCHEMA["$defs"]["attack_of_any_method"]["properties"]["images"]
    assert given["attacks"]["mine"]["images"] == default_of(described, effort)


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_effort_of_the_run_holds_for_all_experiments(effort: str) -> None:
    for own in (None, *EFFORTS):
        assert experiment(own, effort) == experiment(effort)


@pytest.mark.parametrize("place", ["run", "experiment"])
def test_another_word_is_refused(place: str) -> None:
    with pytest.raises(UserError, match=r"effort is 'fast'.*quick.*standard.*thorough"):
        experiment(**{"effort" if place == "experiment" else "run_effort": "fast"})


def test_effort_does_not_touch_what_is_made() -> None:
    """Training, pruning, quantization: the same networks, looked at longer or shorter."""
    made = ("training", "pruning", "quantization", "ablation", "distillation", "factorization")
    quick, thorough = experiment("quick"), experiment("thorough")
    assert [quick[name] for name in made] == [thorough[name] for name in made]


@pytest.mark.parametrize("run", sorted(AS_BEFORE))
def test_a_reference_run_is_thorough_and_means_what_it_meant(run: str) -> None:
    configuration = copy.deepcopy(SHIPPED)
    own = yaml.safe_load((PROJECT / f"reports/reference/{run}.yaml").read_text())
    update_config(configuration, own)  # as `snakemake --configfile` does
    now = read_configuration(configuration, SCHEMA, lambda architecture: ASSUMED)
    found = now["experiments"][run]
    assert own["experiments"][run]["effort"] == found["effort"] == "thorough"
    # What was the default is now what is taken where the images allow it.
    usual = {".tsne.perplexity": USUAL_PERPLEXITY, ".tsne.neighbours": USUAL_NEIGHBOURS}
    usual[".embedding.neighbours"] = USUAL_NEIGHBOURS
    meant = {path: usual.get(path) if v is None else v for path, v in leaves(found).items()}
    missing = {path for path, value in leaves(AS_BEFORE[run]).items() if meant.get(path) != value}
    assert not missing


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Everything that is no mapping, by its dotted path; an empty mapping, too."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {k: v for key, below in value.items() for k, v in leaves(below, f"{path}.{key}").items()}


def test_the_papers_experiments_are_thorough_and_the_digits_standard() -> None:
    completed = complete_configuration(SHIPPED, SCHEMA)["experiments"]
    efforts = {name: section["effort"] for name, section in completed.items()}
    assert efforts["digits"] == "standard"
    assert {efforts[name] for name in ("svhn", "cifar10", "imagenet")} == {"thorough"}
