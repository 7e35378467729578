"""Take a picture of each reference report's first screen, and write docs/gallery.

    python -m tests.report.gallery

needs Chromium.
"""

import sys
from pathlib import Path

from PIL import Image

from tests import PROJECT
from tests.report.browser import Browser, find_browser

REFERENCE = PROJECT / "reports" / "reference"
GALLERY = PROJECT / "docs" / "gallery"
WIDTH, HEIGHT = 1280, 800
COLOURS = 192
"""Of a picture: enough for text and a few hues, at a quarter of the size."""

WORDS = {
    "cifar10": "CIFAR-10, VGG-6, three seeds (version 0.1.0)",
    "svhn": "A sample of SVHN, VGG-6, three seeds (version 0.1.0)",
    "imagenet10": "Ten classes of ImageNet, VGG-16-BN: a proof of the path (version 0.1.0)",
    "digits": "The digits: what `make run` shows",
    "sweep": "A sweep on the digits: what compression costs as more is taken away",
    "resnet8": "MLPerf Tiny's ResNet-8, float against its published 8 bits",
    "resnet56/channel": "ResNet-56 for CIFAR-10 against our 8 bits, one scale per channel",
    "resnet56/tensor": "The same, one scale per layer",
    "adversarially_trained": "Adversarially trained ResNet-2B and -4B in 8 bits",
    "efficientnet_lite0/channel": "EfficientNet-Lite0 against our 8 bits, one scale per channel",
    "efficientnet_lite0/tensor": "The same, one scale per layer",
}
"""Reports in the order of the page, each with what it is."""


def reports() -> list[str]:
    """Return the reports that there are, below `reports/reference`, in the order of the page."""
    pages = REFERENCE.rglob("report.html")
    found = {page.parent.relative_to(REFERENCE).as_posix() for page in pages}
    return [name for name in WORDS if name in found] + sorted(found - WORDS.keys())


def picture_of(report: str) -> Path:
    """Return where the picture of a report is."""
    return GALLERY / f"{report.replace('/', '_')}.png"


def page() -> str:
    """Return the gallery's page."""
    lines = [
        "# Gallery",
        "",
        "The first screen of each [reference report](../../reports/reference/README.md); a click",
        "leads to the report. Made by `python -m tests.report.gallery`.",
    ]
    for report in reports():
        target = f"../../reports/reference/{report}/report.html"
        picture = picture_of(report).name
        words = WORDS.get(report, report)
        lines += ["", f"## {words}", "", f"[![{words}]({picture})]({target})"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Take the pictures and write the page."""
    executable = find_browser()
    if executable is None:
        sys.exit("error: no Chromium here (apt-get install chromium)")
    GALLERY.mkdir(exist_ok=True)
    with Browser(executable) as browser:
        browser.resize(WIDTH, HEIGHT)
        for report in reports():
            path = picture_of(report)
            browser.open(REFERENCE / report / "report.html")
            browser.screenshot(path)
            with Image.open(path) as image:
                reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            reduced.save(path, optimize=True)
    (GALLERY / "README.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
