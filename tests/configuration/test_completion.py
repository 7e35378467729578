"""A mistake in the configuration gets one sentence; the schema says all there is to know of it."""

import copy
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezed.configuration.completion import complete_configuration, load_schema
from squeezed.foundation.errors import UserError
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
SHIPPED = yaml.safe_load((PROJECT / "config.yaml").read_text())


def complete(configuration):
    return complete_configuration(configuration, SCHEMA)


def changed(path, value):
    """The shipped configuration with one key, given by its dotted path, set to `value`."""
    configuration = copy.deepcopy(SHIPPED)
    section = configuration
    *parents, key = path.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[key] = value
    return configuration


def keys_of(schema, path=""):
    """Yield (dotted path, schema with its $ref followed, whether required) of every key."""
    for name, subschema in schema.get("properties", {}).items():
        resolved = dict(subschema)
        while "$ref" in resolved:
            named = SCHEMA
            for part in resolved.pop("$ref").removeprefix("#/").split("/"):
                named = named[part]
            resolved = {**named, **resolved}
        here = f"{path}{name}"
        yield here, resolved, name in schema.get("required", [])
        yield from keys_of(resolved, f"{here}.")
        for below in (resolved.get("additionalProperties"), resolved.get("items")):
            if isinstance(below, dict):
                if "$ref" in below:
                    below = SCHEMA["$defs"][below["$ref"].rpartition("/")[2]]
                yield from keys_of(below, f"{here}.*.")
        for alternative in resolved.get("oneOf", []) + resolved.get("anyOf", []):
            if "$ref" in alternative:
                alternative = SCHEMA["$defs"][alternative["$ref"].rpartition("/")[2]]
            yield from keys_of(alternative, f"{here}.")


ALL_KEYS = list(keys_of(SCHEMA))


@pytest.mark.parametrize(("path", "schema", "required"), ALL_KEYS, ids=[k[0] for k in ALL_KEYS])
def test_every_key_is_described_and_has_a_default(path, schema, required):
    assert schema.get("description", "").endswith("."), "a description, in whole sentences"
    # An architecture is required where a recipe makes a network (`configuration.recipes`).
    given = required or path == "experiments.*.architecture"
    assert given != ("default" in schema), "either required, or with a default"
    if schema.get("type") == "object" and not schema.get("additionalProperties"):
        assert schema.get("additionalProperties") is False or "properties" not in schema


def test_defaults_are_valid_themselves():
    """An experiment that says the least there is to say is valid, and complete."""
    least = {
        "run": ["mine"],
        "datasets": SHIPPED["datasets"],
        "experiments": {"mine": {"dataset": "digits", "architecture": {"name": "vgg6"}}},
    }
    completed = complete(least)["experiments"]["mine"]
    assert completed["variants"]
    assert completed["pruning"]["recovery"]["epochs"] >= 1
    assert complete(complete(least)) == complete(least)


def test_the_shipped_configuration_is_valid():
    completed = complete(SHIPPED)
    assert completed["run"] == ["digits"]
    assert set(completed["experiments"]) >= {"digits", "svhn", "cifar10", "imagenet"}


def test_the_shipped_configuration_is_in_block_style():
    """`dvc exp run -S` rewrites lists in one line as block lists, and the file would differ."""
    text = re.sub(r"#.*", "", (PROJECT / "config.yaml").read_text())
    assert not re.search(r"[\[\]{}]", text)


def test_the_shipped_configuration_survives_dvc(tmp_path):
    """`dvc exp run -S` changes the value that it is told to, and nothing else of the file."""
    from dvc.utils.serialize import modify_yaml

    path = tmp_path / "config.yaml"
    path.write_bytes((PROJECT / "config.yaml").read_bytes())
    with modify_yaml(str(path)) as configuration:
        configuration["experiments"]["digits"]["pruning"]["amount"] = 0.25
    before = (PROJECT / "config.yaml").read_text().splitlines()
    after = path.read_text().splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == [
        "      amount: 0.25"
    ]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("runs", ["digits"], "unknown key 'runs' at the top level; did you mean 'run'?"),
        ("run", ["digit"], "run names an unknown experiment 'digit'; did you mean 'digits'?"),
        ("run", "digits", "run is 'digits', but must be a list"),
        ("run", [], "run is [], but must be at least 1 long"),
        ("run", ["digits", "digits"], "run is ['digits', 'digits'], which names something twice"),
        ("datasets.digits.sorce", {}, "unknown key 'sorce' at datasets.digits; did you mean"),
        ("experiments.digits", None, "experiments.digits is empty, but must be a section"),
        (
            "experiments.digits.pruning.ammount",
            0.3,
            "unknown key 'ammount' at experiments.digits.pruning; did you mean 'amount'?",
        ),
        (
            "experiments.digits.pruning.recovery.epoch",
            3,
            "unknown key 'epoch' at experiments.digits.pruning.recovery; did you mean 'epochs'?",
        ),
        (
            "experiments.digits.pruning.amount",
            "much",
            "experiments.digits.pruning.amount is 'much', but must be a number or auto",
        ),
        ("experiments.digits.pruning.amount", 1, "is 1, but must be less than 1"),
        ("experiments.digits.pruning.amount", -0.1, "is -0.1, but must be at least 0"),
        ("experiments.digits.training.learning_rate", 0, "is 0, but must be more than 0"),
        ("experiments.digits.training.learning_rate", float("nan"), "is nan, but must be a number"),
        ("experiments.digits.training.epochs", 2.5, "is 2.5, but must be a whole number"),
        ("experiments.digits.training.epochs", True, "is True, but must be a whole number"),
        (
            "experiments.digits.cam.methods",
            ["grad_cam", "grad_camm"],
            "experiments.digits.cam.methods.1 is 'grad_camm'; did you mean 'grad_cam'? Choose from "
            "guided_backprop, grad_cam",
        ),
        (
            "experiments.digits.dataset",
            "digit",
            "experiments.digits.dataset names an unknown data set 'digit'; did you mean 'digits'?",
        ),
        (
            "experiments.digits.device",
            "gpu",
            "is 'gpu'; did you mean 'cuda'? Choose from auto, cpu, cuda",
        ),
        (
            "experiments.a/b",
            SHIPPED["experiments"]["digits"],
            "must be of letters, digits, '_' and '-' (not first)",
        ),
    ],
)
def test_a_mistake_gets_one_sentence(path, value, sentence):
    if path == "experiments.a/b":
        configuration = copy.deepcopy(SHIPPED)
        configuration["experiments"]["a/b"] = value
    else:
        configuration = changed(path, value)
    with pytest.raises(UserError) as error:
        complete(configuration)
    said = str(error.value)
    assert said.startswith("config.yaml: ")
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize(("path", "schema", "required"), ALL_KEYS, ids=[k[0] for k in ALL_KEYS])
def test_a_wrong_type_is_named_at_every_level(path, schema, required):
    """Whatever key is given an impossible value, the sentence names that key."""
    dotted = path.replace("datasets.*", "datasets.digits").replace(
        "experiments.*", "experiments.digits"
    )
    if "*" in dotted:
        pytest.skip("inside a list or a free section")
    # What a section lacks is said before what is wrong below it.
    named = [dotted.rpartition(".")[2], dotted.rpartition(".")[0]]
    with pytest.raises(UserError, match="|".join(map(re.escape, named))):
        complete(changed(dotted, object))


@pytest.mark.parametrize("written", ["1e-4", "1E-4", "0.0001", ".0001"])
def test_numbers_written_as_texts_are_numbers(written):
    """YAML 1.1 takes 1e-4 for a text, and DVC writes it."""
    completed = complete(changed("experiments.digits.training.learning_rate", written))
    assert completed["experiments"]["digits"]["training"]["learning_rate"] == 1e-4


def test_whole_numbers_written_as_texts_stay_whole():
    completed = complete(changed("experiments.digits.training.epochs", "3"))
    epochs = completed["experiments"]["digits"]["training"]["epochs"]
    assert epochs == 3
    assert isinstance(epochs, int)


def test_what_is_given_wins_over_the_default():
    completed = complete(changed("experiments.digits.pruning.amount", 0.35))
    assert completed["experiments"]["digits"]["pruning"]["amount"] == 0.35


def test_the_given_configuration_is_left_as_it_is():
    given_configuration = copy.deepcopy(SHIPPED)
    completed = complete(given_configuration)
    completed["experiments"]["digits"]["seeds"].append("more")
    assert given_configuration == SHIPPED
    assert complete(SHIPPED)["experiments"]["digits"]["seeds"][-1] != "more"


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["run", "datasets", "experiments", "digits", "source", "kind", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict))
)
def test_any_configuration_is_either_complete_or_one_sentence(configuration):
    try:
        completed = complete(configuration)
    except UserError as error:
        assert str(error).startswith("config.yaml: ")
    else:
        assert complete(completed) == completed


def attacked_with(section):
    return complete(changed("experiments.digits.attacks", {"mine": section}))["experiments"][
        "digits"
    ]["attacks"]["mine"]


def test_an_attack_has_the_keys_of_its_method():
    plain, ddn = attacked_with({}), attacked_with({"method": "ddn", "gamma": "1e-1"})
    assert plain["method"] == "carlini_wagner" and plain["learning_rate"] == 0.00005
    assert (ddn["gamma"], ddn["steps"]) == (0.1, 200)
    assert plain.keys() & {"steps", "init_epsilon", "gamma"} == set()
    assert ddn.keys() & {"iterations", "learning_rate", "constant", "search_steps"} == set()
    assert plain["images"] == ddn["images"] == 32


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"method": "ddn", "iterations": 3}, "unknown key 'iterations' at .*attacks.mine; choose"),
        ({"steps": 3}, "unknown key 'steps' at experiments.digits.attacks.mine; "),
        ({"method": "dnd"}, "attacks.mine.method is 'dnd'; did you mean 'ddn'"),
        ({"method": "ddn", "gamma": 1.5}, "gamma is 1.5, but must be less than 1"),
    ],
)
def test_a_key_of_another_method_is_refused(section, sentence):
    with pytest.raises(UserError, match=sentence):
        attacked_with(section)


def test_variations_may_change_what_an_attack_has():
    """The names that the schema allows there are those of an attack's section."""
    variations = SCHEMA["$defs"]["experiment"]["properties"]["attack_variations"]["properties"]
    allowed = variations["changes"]["additionalProperties"]["propertyNames"]["enum"]
    names = ("carlini_wagner", "ddn", "apgd", "ni_fgsm")
    methods = [SCHEMA["$defs"][name] for name in names]
    keys = {key for method in methods for key in method["properties"]}
    assert set(allowed) == keys - {"variants", "method"}
