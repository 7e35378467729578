"""What a figure is to the report."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class FigureBlock:
    """A figure: its markup (inline SVG or `<img>` with data), its caption, the data behind it."""

    key: str
    title: str
    html: str | None
    """None: there are no data for it."""
    caption: str
    data: pd.DataFrame | None = None
    file: str = ""
    """The figure beside the report, relative to it."""
