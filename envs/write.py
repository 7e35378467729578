"""Write the conda environments of the rules from what their scripts import and requirements.txt.

    python envs/write.py

Python comes from conda; everything else is the pinned wheel of requirements.txt, so that a job in
such an environment computes with the very files that `make setup` installs.
"""

import argparse
import ast
import functools
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from squeezed.foundation.code_digest import imported_files  # noqa: E402 (found by the line above)

PYTHON = "3.12"

PURPOSES = {
    "data": "downloading and preparing data sets",
    "networks": "jobs that compute with a network in PyTorch",
    "deployment": "running and timing the deployed network, without PyTorch",
    "maps": "t-SNE maps, without PyTorch",
    "report": "tables, figures and the report",
}
# Needed, though no script names them: the distributions that libraries import by themselves.
UNNAMED = {"networks": ["onnxscript"]}
# PyTorch's builds need different ones of these; all of them are pinned wherever PyTorch is.
OF_TORCH = ("nvidia-", "cuda-", "triton")


def main() -> None:
    """Write each environment that a rule names."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for name, scripts in scripts_by_environment().items():
        (ROOT / "envs" / f"{name}.yaml").write_text(environment(name, scripts))


def scripts_by_environment() -> dict[str, list[Path]]:
    """Return the scripts that the rules run in each environment, by its name."""
    found: dict[str, list[Path]] = {}
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"^rule ", rules.read_text(), flags=re.MULTILINE)[1:]:
            named = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', rule)
            script = ROOT / "scripts" / f"{rule.partition(':')[0]}.py"
            if named and script.exists():
                found.setdefault(named[1], []).extend([script, *found_by_name(script.stem)])
    return found


def found_by_name(script: str) -> list[Path]:
    """Return the modules that a script imports by a name in its settings: steps and attacks."""
    steps = yaml.safe_load((ROOT / "config.schema.yaml").read_text(encoding="utf-8"))["x-steps"]
    kinds = {
        "make_network": ("network",),
        "make_graph": ("graph",),
        "rehearse": ("network", "graph"),
    }
    found = [
        ROOT / f"squeezed/steps/{s}.py" for s in steps if steps[s]["makes"] in kinds.get(script, ())
    ]
    if "attack" in script:
        found += (ROOT / "squeezed/attacks").glob("*.py")
    return [path for path in found if path.exists()]


def environment(name: str, scripts: Iterable[Path]) -> str:
    """Return the content of an environment's file."""
    needed = set(UNNAMED.get(name, []))
    for script in scripts:
        needed |= set(imported_distributions(script))
    pins = pinned()
    lines = [f"      - {pin}" for key in sorted(closure(needed, pins)) for pin in pins[key]]
    return "\n".join(
        [
            f"# For {PURPOSES[name]}.",
            "# Written by envs/write.py from the scripts' imports and requirements.txt.",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            f"  - python={PYTHON}",
            "  - pip",
            "  - pip:",
            *lines,
            "",
        ]
    )


def pinned() -> dict[str, list[str]]:
    """Return the lines of requirements.txt by distribution (several where markers choose)."""
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        pins.setdefault(canonicalize_name(Requirement(line).name), []).append(line)
    return pins


def imported_distributions(script: Path) -> Iterator[str]:
    """Yield the distributions that a script, or a module of the project that it uses, imports."""
    for source in imported_files(script, ROOT):
        yield from distributions_of(source)


@functools.cache  # most modules serve many scripts
def distributions_of(source: Path) -> frozenset[str]:
    """Return the distributions that a module imports itself."""
    modules = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules.add(node.module)
    tops = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"squeezed"}
    return frozenset(canonicalize_name(name) for top in tops for name in installed()[top])


@functools.cache
def installed() -> Mapping[str, list[str]]:
    """Return the installed distributions by the names that are imported of them."""
    return importlib.metadata.packages_distributions()


def closure(names: Iterable[str], pins: dict[str, list[str]]) -> set[str]:
    """Return the pinned distributions among `names` and all that they need, on any platform."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found or name not in pins:
            continue
        found.add(name)
        if name == "torch":
            pending += [key for key in pins if key.startswith(OF_TORCH)]
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # pinned for another platform
            continue
        for need in map(Requirement, needs):
            if not (need.marker and "extra" in str(need.marker)):
                pending.append(need.name)
    return found


if __name__ == "__main__":
    main()
