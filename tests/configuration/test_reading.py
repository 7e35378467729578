"""What YAML would take otherwise than it was meant is refused, with its line."""

import itertools

import pytest

from squeezed.configuration.reading import check_file
from squeezed.configuration.targets import asks_to_touch, check_targets
from squeezed.foundation.errors import UserError
from tests import PROJECT
from tests.configuration.test_completion import SHIPPED, complete

LAUGHS = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(8 * [f'*{before}'])}]\n"
    for before, name in itertools.pairwise("abcdefghij")
)
"""Ten lines that name more than 10⁹ values by aliases of aliases."""


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
        ("a: 1\n---\nb: 1\n", "line 2: not valid YAML (but found another document)"),
        ("a: \0\n", "not valid YAML"),
        ("a:\n  <<: 3\n", "line 2: not valid YAML (expected a mapping or list of mappings"),
        ("", "must be sections of keys and values"),
        ("- a\n", "must be sections of keys and values"),
        ("digits\n", "must be sections of keys and values"),
        ("a: &x\n- *x\n", "line 1: the section or list that begins here holds itself"),
        ("a: &x\n  b: {c: [*x]}\n", "holds itself"),
        ("a: !!set {b}\n", "tag:yaml.org,2002:set is no kind of value"),
        ("a: !!python/object:os.system x\n", "python/object:os.system is no kind of value"),
        ("run: [2024-01-02]\n", 'line 1: YAML reads 2024-01-02 as a date: write it in quotes'),
        ("a: " + "[" * 5000, "nests too many lists or sections"),
        (LAUGHS, "has more than 100,000 keys and values, counting what aliases"),
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


@pytest.mark.parametrize("place", ["folder", "not-there"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"{place} cannot be read"):
        check_file(tmp_path / place)


@pytest.mark.parametrize(
    "text",
    ["\ufeffa: 1\n", "a: 1\n", "2024: 1\n",
     "a: &x {b: 1}\nc: *x\n", "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n",
     "a: -3\nb: 0\nc: 1_000\nd: '010'\n"],
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


@pytest.mark.parametrize(
    ("arguments", "touches"),
    [
        (["--touch"], True),
        (["--cores", "2", "-t"], True),
        (["--tou"], True),
        (["-nt"], True),
        (["-n", "--cores", "2"], False),
        (["--target-jobs", "all"], False),
        (["--quiet", "data/digits.json", "t", "--config", "a=t"], False),
    ],
)
def test_outputs_are_taken_for_good_where_that_is_asked(arguments, touches):
    assert asks_to_touch(arguments) is touches


def test_snakemake_reads_its_options_so_too():
    """What is known here of cut and joined options is what its own parser makes of them."""
    from snakemake.cli import parse_args

    for arguments in (["--touch"], ["-t"], ["--tou"], ["-nt"], ["--to"], ["-n"], ["-p"]):
        assert parse_args(arguments)[1].touch is asks_to_touch(arguments)
