"""Renders the report through its templates, and writes everything that goes beside it."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from squeezed.foundation.files import atomic_path
from squeezed.reporting.blocks import SCREENS
from squeezed.reporting.colours import style_of
from squeezed.reporting.document import Document
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import interval, with_interval


def environment(templates: Path) -> jinja2.Environment:
    """Return the templates' environment: a missing variable is an error, HTML is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "in_words": in_words,
        "with_interval": with_interval,
        "interval": interval,
        "csv_link": csv_link,
        "anchor": anchor,
        "in_short": in_short,
        "code_markup": code_markup,
    }
    return made


def render(document: Document, templates: Path) -> dict[str, str]:
    """Return the report as HTML and as Markdown, by file name."""
    made = environment(templates)
    colours = [colour for s in document.sections for colour in s.colours.values()]
    return {
        name: made.get_template(f"{name}.j2").render(
            document=document,
            sections=document.sections,
            screens=SCREENS,
            style=(templates / "report.css").read_text(encoding="utf-8") + style_of(colours),
            script=(templates / "report.js").read_text(encoding="utf-8"),
        )
        for name in ("report.html", "report.md")
    }


def anchor(text: str) -> str:
    """Return a word as an id: letters, digits and dashes."""
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")


def in_short(title: str) -> str:
    """Return a title for the contents list: what is before its colon, and after it in brackets."""
    before, _, after = title.partition(":")
    bracket = re.search(r"\([^()]*\)$", after)
    return f"{before} {bracket.group()}" if bracket else before


def csv_link(frame: pd.DataFrame) -> str:
    """Return a table as a `data:` link, so that the page carries the figures that it shows."""
    text = frame.to_csv(index=False, float_format="%.6g")
    return f"data:text/csv;base64,{base64.b64encode(text.encode()).decode()}"


def code_markup(text: str) -> str:
    """Return text for Markdown tables: no bars, no line breaks."""
    return text.replace("|", "\\|").replace("\n", " ")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all; figures with nine significant digits."""
    write_text(path, frame.to_csv(index=False, float_format="%.9g"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
