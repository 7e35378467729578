"""A comparison, or one model alone, as an HTML page that needs no other file."""

import base64
import html
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from squeezed.comparison.comparison import Comparison
from squeezed.comparison.pictures import Pictures
from squeezed.comparison.single import Description
from squeezed.comparison.tables import WORST
from squeezed.comparison.wording import points
from squeezed.foundation.files import atomic_path

GALLERY = 48
"""Changed images that are shown."""
SIDE = 96
"""Pixels of the longer side of one of them."""
_SHARES = ("accuracy", "change", "broken", "fixed", "other", "ties", "confidence", "overconfidence")
_IN_PERCENT = re.compile(r"(accuracy|confidence).*|change|low|high|relative_error")
"""Columns of shares."""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d1d1f; background: #fff; }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; min-width: 7rem; overflow-wrap: anywhere; }
td:not(:first-child) { white-space: nowrap; }
p { overflow-wrap: anywhere; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr));
  gap: 1rem; }
figure { margin: 0; font-size: 13px; overflow-wrap: anywhere; }
img { display: block; image-rendering: auto; min-width: 64px; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #1b1b1d; }
  th, td { border-color: #444; } }
@media print { table { display: table; width: 100%; font-size: 9px; overflow-x: visible; }
  th, td { padding: .1rem .25rem; } th:first-child, td:first-child { min-width: 4.5rem; } }
"""


def write_page(path: str | Path, comparison: Comparison, pictures: Pictures, title: str) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file.
        comparison: what it says.
        pictures: those that were compared on.
        title: the comparison's name.
    """
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(sentence)}</p>" for sentence in comparison.sentences),
        "<h2>Predictions, with 95 % intervals over images</h2>",
        _table(comparison.summary.apply(_readable, axis=1)),
        "<h2>Files</h2>",
        _table(comparison.files),
    ]
    if comparison.worst_classes is not None:
        parts += ["<h2>The classes that lost most</h2>", _table(comparison.worst_classes)]
    if len(comparison.changed):
        parts += [
            f"<h2>Changed predictions ({len(comparison.changed)}), the most confident first</h2>",
            _gallery(comparison.changed, pictures, _change),
        ]
    if len(comparison.divergence):
        parts += ["<h2>Where the layers part</h2>", _table(comparison.divergence)]
    parts += ["<h2>Precision of the layers</h2>", _table(comparison.layers)]
    _write(path, title, parts)


def write_description(
    path: str | Path, description: Description, pictures: Pictures, title: str
) -> None:
    """Write the page of one model alone, whole or not at all.

    Args:
        path: the HTML file.
        description: what it says.
        pictures: those that the model was run on.
        title: its name.
    """
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(sentence)}</p>" for sentence in description.sentences),
        "<h2>Predictions, with 95 % intervals over images</h2>",
        _table(description.summary.apply(_readable, axis=1)),
        "<h2>File</h2>",
        _table(description.files),
    ]
    if description.classes is not None:
        parts += [
            "<h2>The classes with the lowest accuracy</h2>",
            _table(description.classes.head(WORST)),
        ]
    mistakes = description.mistakes
    if mistakes is not None and len(mistakes):
        parts += [
            f"<h2>Mistakes ({len(mistakes)}), the most confident first</h2>",
            _gallery(mistakes, pictures, _mistake),
        ]
    parts += ["<h2>Precision of the layers</h2>", _table(description.layers)]
    _write(path, title, parts)


def _write(path: str | Path, title: str, parts: list[str]) -> None:
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _readable(row: pd.Series) -> pd.Series:
    """Return a row of `summary` as texts: shares in percent, changes of them in points."""
    name = str(row["measure"])
    if name.endswith("_change"):
        figures = [points(row[key]) for key in ("value", "low", "high")]
    elif name.startswith(_SHARES):
        figures = [f"{100 * row[key]:.2f} %" for key in ("value", "low", "high")]
    else:
        figures = [f"{row[key]:.4f}" for key in ("value", "low", "high")]
    count = "" if pd.isna(row["count"]) else f"{int(row['count'])}"
    return pd.Series([name.replace("_", " "), *figures, count, int(row["n"])], index=row.index)


def _table(table: pd.DataFrame) -> str:
    """Return a table in words, shares in percent."""
    shown = {}
    for name, column in table.items():
        words = str(name).replace("_", " ")
        if pd.api.types.is_float_dtype(column) and _IN_PERCENT.fullmatch(str(name)):
            words, column = f"{words} (%)", (100 * column).map("{:.2f}".format, na_action="ignore")
        elif pd.api.types.is_integer_dtype(column):
            column = column.map("{:,}".format)
        shown[words] = column
    frame = pd.DataFrame(shown)
    return frame.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format)


def _gallery(
    rows: pd.DataFrame, pictures: Pictures, caption: Callable[[dict[str, Any]], str]
) -> str:
    places = {name: k for k, name in enumerate(pictures.names)}
    figures = []
    for row in rows.head(GALLERY).to_dict("records"):
        (image,) = pictures.images(np.array([places[str(row["file"])]]))
        figures.append(
            f'<figure><img alt="" src="{_encoded(image)}"><figcaption>'
            f"{html.escape(caption({str(k): v for k, v in row.items()}))}</figcaption></figure>"
        )
    return f'<div class="gallery">{"".join(figures)}</div>'


def _change(row: dict[str, Any]) -> str:
    truth = "" if row["label"] is None else f", is {row['label']}"
    return (
        f"{row['original']} → {row['compressed']}{truth} ({row['kind']}, "
        f"{row['original_confidence']:.0%} → {row['compressed_confidence']:.0%})"
    )


def _mistake(row: dict[str, Any]) -> str:
    return f"{row['prediction']} ({row['confidence']:.0%}), is {row['label']}"


def _encoded(image: np.ndarray) -> str:
    pixels = (image * 255).round().astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(np.repeat(pixels, 3 // pixels.shape[2], axis=2))
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
