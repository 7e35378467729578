"""What YAML would take otherwise than it was meant is refused, with its line."""

import pytest

from squeezed.configuration.reading import check_file
from squeezed.configuration.targets import check_targets
from squeezed.foundation.errors import UserError
from tests import PROJECT
from tests.configuration.test_completion import SHIPPED, complete


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("run:\n- a\nrun:\n- b\n", "line 3: the key 'run' is there twice in this section, in l"),
        ("a:\n  b:\n    c: 1\n    d: 2\n    c: 3\n", "line 5: the key 'c' is there twice"),
        ("a: {b: 1, b: 2}\n", "line 1: the key 'b' is there twice"),
        ("list:\n- x: 1\n  x: 2\n", "line 3: the key 'x' is there twice"),
        ("a: 1\n\"a\": 2\n", "line 2: the key 'a' is there twice"),
        ("experiments:\n  on: 1\n", 'line 2: YAML reads the key on as true or false: write it in'),
        ("no: 1\n", "YAML reads the key no as true or false"),
        ("null: 1\n", "YAML reads the key null as empty"),
        ("~: 1\n", "YAML reads the key ~ as empty"),
        ("2024-01-02: 1\n", "YAML reads the key 2024-01-02 as a date"),
        ("1.5: 1\n", "YAML reads the key 1.5 as a number"),
        ("? [a, b]\n: 1\n", "line 1: a key must be a text"),
        ("epochs: 010\n", "line 1: YAML does not read 010 as the decimal number"),
        ("time: 1:30\n", "YAML does not read 1:30 as"),
        ("x: 0x1F\n", "YAML does not read 0x1F as"),
        ("a: [1\n", "not valid YAML"),
        ("a:\n\tb: 1\n", "line 2: not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_read_otherwise_is_named_with_its_line(tmp_path, text, sentence):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        check_file(path)
    assert sentence in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_another_encoding_is_said_to_be_one(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes("description: Zürich\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"is not in UTF-8 .*: save it as UTF-8"):
        check_file(path)


@pytest.mark.parametrize(
    "text",
    ["", "a: 1\n", "2024: 1\n", "a: &x {b: 1}\nc: *x\n", "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n",
     "a: -3\nb: 0\nc: 1_000\nd: '010'\n", "a: &x\n- *x\n"],
)  # fmt: skip
def test_what_says_one_thing_is_taken(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    check_file(tmp_path / "config.yaml")


def test_the_shipped_file_is_taken():
    check_file(PROJECT / "config.yaml")


CONFIGURATION = complete(SHIPPED)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("data/digit.json", "config.yaml has no data set 'digit'; did you mean 'digits'?"),
        ("models/digit/seed0/baseline.onnx", "has no experiment 'digit'; did you mean 'digits'?"),
        ("results/x/seed0/timing.json", "has no experiment 'x'; choose from digits, svhn"),
        ("results/digits/seed0/prunned/evaluation.json", "has no variant 'prunned'; did you mean"),
        ("results/digits/seed0/baseline/attack_stronk.json", "no attack 'stronk'; did you mean 's"),
        ("results/digits/seed0/baseline/attack_nope_images.csv", "has no attack 'nope'"),
        ("results/digits/seedx/baseline/evaluation.json", "seedx names no seed"),
    ],
)
def test_a_file_of_what_is_not_configured_is_named(target, sentence):
    with pytest.raises(UserError) as error:
        check_targets(["--cores", "2", target], CONFIGURATION)
    assert str(error.value).startswith(f"{target}: ")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "target",
    [
        "all",
        "data/digits.safetensors",
        "results/digits/seed7/baseline/evaluation.json",
        "results/digits/seed0/pruned/attack_strong_curve.csv",
        "results/digits/seed0/attack_timing.json",
        "results/digits/seed0/baseline/attack_variations.json",
        "reports/generated/report.html",
        "--config=a.b=1",
    ],
)
def test_what_can_be_made_is_left_to_the_workflow(target):
    check_targets([target], CONFIGURATION)
