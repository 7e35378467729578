"""Whatever stands in `config.yaml`, `snakemake -n` plans it or refuses it in one sentence."""

import copy
import math
import random
import string
import subprocess

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.configuration.test_completion import SCHEMA
from tests.configuration.test_fuzz import CHANGES, FULL, SMALL, changed_at, places, put
from tests.workflow.planner import Plan, assert_planned_or_refused, planner_of
from tests.workflow.workspace import Workspace

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """A project in which nothing was run, and what plans it."""
    workspace = Workspace.create(tmp_path_factory.mktemp("planning") / "project")
    with planner_of(workspace) as found:
        yield found


def resolved(schema):
    """A part of the schema without its `$ref`; of alternatives, the first."""
    while "$ref" in schema or "oneOf" in schema:
        if "oneOf" in schema:
            schema = {**schema["oneOf"][0], **{k: v for k, v in schema.items() if k != "oneOf"}}
        else:
            found = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
            schema = {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def described(value, schema, path=()):
    """Yield the path of each value of a configuration that the schema describes, with that part."""
    schema = resolved(schema)
    if path:
        yield path, schema
    if isinstance(value, dict):
        for key, below in value.items():
            part = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if isinstance(part, dict):
                yield from described(below, part, (*path, key))


ODD_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["~nobody/x", "a" * 300, "a/" * 3000, "/dev/null", "/proc/self/mem", "..",
                     "*", "{x}", "{wildcards.seed}", "$HOME", "`x`", "'", '"', "\\", "\u202e", " ",
                     "-n", "--x", "a\nb", "é", "e\u0301", "\ud800", "http://x/y", "imagenet",
                     "config.yaml", "x.onnx", "x.npy", "baseline", "all", "digits", "svhn"]),
)  # fmt: skip


def allowed(schema):
    """Values that the schema takes at one place, those at the bounds among them."""
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1e6))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 1e6))
    of_type = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(math.ceil(low), math.floor(high)),
        "number": st.floats(low, high, exclude_min="exclusiveMinimum" in schema,
                            exclude_max="exclusiveMaximum" in schema),
        "string": ODD_TEXTS,
        "object": st.dictionaries(st.sampled_from(string.ascii_lowercase), ODD_TEXTS, max_size=2),
    }  # fmt: skip
    found = [of_type[name] for name in types if name in of_type]
    if "array" in types:
        items = allowed(resolved(schema.get("items", {})))
        found.append(st.lists(items, max_size=4))
    return st.one_of(found) if found else ODD_TEXTS


DESCRIBED = list(described(FULL, SCHEMA))
ALLOWED = st.sampled_from(range(len(DESCRIBED))).flatmap(
    lambda place: allowed(DESCRIBED[place][1]).map(lambda value: (DESCRIBED[place][0], value))
)
VALUES = st.lists(ALLOWED, min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.integers(0, 2**32), CHANGES), min_size=1, max_size=3)

FRAGMENTS = st.sampled_from(
    ["\t", "  ", "\r", "- ", "? ", ": ", "&a ", "*a", "!!set ", "!x ", "!!python/object:os.x ",
     "<<: ", "<<: *a", "{", "}", "[", "]", "|", ">", "'", '"', "#", "%", "@", "---\n", "...\n",
     "\x00", "\x1b", "\ufeff", "\u2028", "é", "010", "1:30", "2024-01-02", "~", "on", "\n", "\\",
     "=", "__use_yte__: true\n", "&a [*a]", "!!binary aaa", "0x1", ".inf"]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), FRAGMENTS | st.text(max_size=3)),
    min_size=1,
    max_size=3,
)


def dumped(configuration):
    return yaml.safe_dump(configuration, sort_keys=False)


def with_values(values):
    configuration = copy.deepcopy(FULL)
    for path, value in values:
        try:
            changed_at(configuration, path, put(value))
        except (KeyError, TypeError):  # an earlier change took the place away
            continue
    return dumped(configuration)


def with_steps(steps, whole):
    configuration = copy.deepcopy(FULL if whole else SMALL)
    for seed, change in steps:
        changed_at(configuration, random.Random(seed).choice(list(places(configuration))), change)
    return dumped(configuration)


def with_edits(edits):
    text = dumped(SMALL)
    for place, deleted, inserted in edits:
        start = int(place * len(text))
        text = text[:start] + inserted + text[start + deleted :]
    return text.encode(errors="surrogatepass")


FUZZES = {
    "values": VALUES.map(with_values),
    "steps": st.builds(with_steps, STEPS, st.booleans()),
    "edits": EDITS.map(with_edits),
}


def fuzz(planner, strategy, examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def one(text):
        planner.write(text)
        assert_planned_or_refused(planner.plan("--quiet"))

    one()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FUZZES)
def test_any_configuration_is_planned_or_refused(planner, kind):
    fuzz(planner, FUZZES[kind], 60)


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FUZZES)
def test_any_configuration_is_planned_or_refused_at_length(planner, kind):
    fuzz(planner, FUZZES[kind], 1000)


def test_the_configuration_that_is_changed_is_planned(planner):
    """Else everything would be refused, and nothing tried."""
    for start in (FULL, SMALL):
        planner.write(dumped(start))
        assert assert_planned_or_refused(planner.plan("--quiet")) is None


def test_a_variants_strong_attack_waits_for_the_baselines(planner):
    """Its images are a member of the ensemble; an attack that does not ask for them waits not."""
    planner.write(dumped(FULL))
    strong, paper = (
        planner.plan(f"results/digits/seed0/quantized/attack_{name}.json").output
        for name in ("strong", "paper")
    )
    assert "Attack baseline of digits, seed 0, with protocol strong" in strong
    assert "Attack quantized of digits, seed 0, with protocol strong" in strong
    assert "Attack baseline" not in paper and "Attack quantized" in paper


ODD_FILES = {
    "another encoding": ("description: Zürich\n".encode("latin-1"), "is not in UTF-8"),
    "two bytes a letter": ("run: [digits]\n".encode("utf-16"), "is not in UTF-8"),
    "a list": (b"- digits\n", "must be sections of keys and values"),
    "an alias of itself": (b"run: &x\n- *x\n", "line 1: the section or list that begins here"),
    "a tab": (b"run:\n\t- digits\n", "line 2: not valid YAML"),
}


@pytest.mark.parametrize(("content", "sentence"), ODD_FILES.values(), ids=ODD_FILES)
def test_a_file_that_is_no_configuration_is_refused_by_the_command_itself(
    planner, content, sentence
):
    """Snakemake reads the file before any line of ours unless that is the first thing to do."""
    planner.write(content)
    done = planner.workspace.snakemake("-n", check=False)
    said = assert_planned_or_refused(Plan(done.returncode, done.output))
    assert said is not None and sentence in said


def test_a_plan_is_printed_in_any_locale(planner):
    """Snakemake prints messages and settings, which hold what a terminal may have no sign for."""
    planner.write(dumped(SMALL))
    done = subprocess.run(
        ["snakemake", "-n", "--cores", "1"],
        cwd=planner.workspace.folder,
        env={**planner.workspace.environment, "PYTHONIOENCODING": "ascii:strict"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert assert_planned_or_refused(Plan(done.returncode, done.stdout)) is None
    assert "Logging error" not in done.stdout
    assert r"\u2026" in done.stdout


@pytest.mark.parametrize(
    ("key", "section", "made"),
    [
        ("experiments.digits.cam.masks", {"object": "masks", "masks": "no/such"}, None),
        (
            "datasets.digits.source.path",
            {"kind": "folder", "path": "no/such"},
            "data/digits.safetensors",
        ),
        (
            "experiments.digits.architecture.weights",
            {"name": "vgg6", "weights": "no/such"},
            "models/digits/seed0/baseline.safetensors",
        ),
        (
            "experiments.digits.variants.theirs.path",
            {"step": "import", "path": "no/such"},
            "models/digits/seed0/theirs.onnx",
        ),
    ],
    ids=["masks", "images", "weights", "import"],
)
def test_a_file_that_is_not_there_is_refused_before_any_job(planner, key, section, made):
    """Where something was made of it, as before `dvc pull`, it need not be there any more."""
    configuration = copy.deepcopy(SMALL)
    place = tuple(key.split(".")[:-1])
    configuration["experiments"]["digits"]["variants"] = {"baseline": None}
    changed_at(configuration, place, put(section))
    planner.write(dumped(configuration))
    said = assert_planned_or_refused(planner.plan())
    assert said is not None
    assert f"config.yaml: {key} is 'no/such', and there is no such file" in said
    if made is not None:
        path = planner.workspace.folder / made
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        records = planner.workspace.folder / ".snakemake" / "metadata"
        records.mkdir(parents=True, exist_ok=True)
        (records / "any").touch()
        plan = planner.plan()
        path.unlink()
        (records / "any").unlink()
        assert "no such file" not in plan.output


@pytest.mark.parametrize("more", ["experiments=3", "run=digits", "run=[x]", "workers=-1", "nope=1"])
def test_what_the_command_line_configures_is_checked_too(planner, more):
    planner.write(dumped(SMALL))
    assert assert_planned_or_refused(planner.plan("--config", more)) is not None


@pytest.mark.parametrize("way", ["directory", "snakefile"])
def test_the_workflow_is_run_in_its_own_folder(planner, tmp_path, way):
    """Elsewhere its scripts and templates are not found, one by one."""
    planner.write(dumped(SMALL))
    if way == "directory":
        plan = planner.plan("--directory", str(tmp_path))
    else:
        snakefile = planner.workspace.folder / "Snakefile"
        done = subprocess.run(
            ["snakemake", "-n", "--cores", "1", "--snakefile", snakefile],
            cwd=tmp_path,
            env=planner.workspace.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        plan = Plan(done.returncode, done.stdout)
    said = assert_planned_or_refused(plan)
    assert said is not None
    assert "the workflow runs in its own folder" in said
    assert f"change to {planner.workspace.folder}" in said


def test_a_checkout_behind_a_link_is_the_same_folder(planner, tmp_path):
    planner.write(dumped(SMALL))
    (tmp_path / "link").symlink_to(planner.workspace.folder)
    linked = Workspace(tmp_path / "link")
    done = linked.snakemake("-n", "--quiet", check=False)
    assert assert_planned_or_refused(Plan(done.returncode, done.output)) is None
