"""What the report's tests share: a compiled report of made-up results, and a browser."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezed.paper.lens import LENS
from squeezed.reporting.collection import collect
from squeezed.reporting.document import Document, compose
from squeezed.reporting.files import write_report
from tests import PROJECT
from tests.report.browser import Browser, find_browser
from tests.report.made_up import VARIANTS, paper_like, settings_of
from tests.report.made_up_harms import write_harms
from tests.report.made_up_pictures import write_pictures

TEMPLATES = PROJECT / "reports" / "templates"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, Path]:
    """Return the document of a made-up run of two experiments, and the folder of its report."""
    folder = tmp_path_factory.mktemp("report")
    results = paper_like().write(folder / "results", "digits")
    paper_like().write(results, "cifar10", seeds=(0, 1, 2))
    write_harms(results, "digits")
    write_harms(results, "cifar10", seeds=(0, 1, 2))
    write_pictures(results / "digits" / "seed0", folder / "data" / "digits.safetensors", VARIANTS)
    settings = {name: settings_of(name) for name in ("digits", "cifar10")}
    experiments = collect(results, None, settings)
    document = compose(experiments, settings, folder / "data", [LENS])
    write_report(document, TEMPLATES, folder / "out")
    return document, folder / "out"


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, Path]:
    """Return the document of a made-up run of the digits alone, and the folder of its report."""
    folder = tmp_path_factory.mktemp("alone")
    made_up = paper_like()
    made_up.arrangement_moves = {"quantized": 0.0}
    results = made_up.write(folder / "results", "digits")
    write_harms(results, "digits", harmed="pruned")
    write_pictures(results / "digits" / "seed0", folder / "data" / "digits.safetensors", VARIANTS)
    settings = {"digits": settings_of("digits")}
    experiments = collect(results, None, settings)
    document = compose(experiments, settings, folder / "data", [LENS], {"run": ["digits"]})
    write_report(document, TEMPLATES, folder / "out")
    return document, folder / "out"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a running browser; without one the tests are skipped, and a warning says so."""
    executable = find_browser()
    if executable is None:
        message = "NO BROWSER: the report was not looked at (apt-get install chromium)"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    with Browser(executable) as running:
        yield running
