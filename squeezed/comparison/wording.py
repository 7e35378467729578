"""What a comparison found, in sentences."""

from typing import Any

import pandas as pd

from squeezed.statistics.comparisons import LEVEL

SLOWER = 1.05
"""Times the original's latency from which a sentence says so."""

LARGER = 1.005
"""Times the original's size from which a sentence says so: below, it would read 1.00."""

NOTEWORTHY = 0.95
"""Share of the parameters below which a sentence says that some are gone; rounding zeroes a few."""


def points(change: float, digits: int = 2) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    return f"{in_points(change, digits)} points"


def in_points(change: float, digits: int) -> str:
    """Write the figure of it alone; what rounds to nothing has no sign."""
    text = f"{100 * change:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def sentences_on_answers(summary: pd.DataFrame, classes: pd.DataFrame | None) -> list[str]:
    """Say what became of the predictions."""
    rows: dict[str, Any] = {row["measure"]: row for row in summary.to_dict("records")}
    changed = rows["changed"]
    n = int(changed["n"])
    said = []
    text = f"{int(changed['count'])} of {n} predictions change ({changed['value']:.1%}, "
    text += f"{changed['low']:.1%} to {changed['high']:.1%})"
    if classes is not None:
        before, after = rows["accuracy_original"], rows["accuracy_compressed"]
        change = rows["accuracy_change"]
        said.append(
            f"Accuracy {before['value']:.2%} → {after['value']:.2%}: "
            f"{points(change['value'])} ({points(change['low'])} to {points(change['high'])}, "
            f"n = {n})."
        )
        kinds = ", ".join(
            f"{int(rows[kind]['count'])} {kind.replace('_', ' ')}"
            for kind in ("broken", "fixed", "other_wrong")
        )
        text += f": {kinds}"
    said.append(f"{text}.")
    for which in ("original", "compressed"):
        ties = int(rows[f"ties_{which}"]["count"])
        if ties:
            said.append(
                f"For {ties} of {n} images the two highest answers of the {which} tie; the first "
                "class is taken."
            )
    if classes is not None:
        lost = [
            f"{row['class']} ({points(row['change'], 1)})"
            for row in classes.to_dict("records")
            if row["p_value_holm"] < LEVEL and row["change"] < 0
        ]
        if lost:
            said.append(
                f"By more than chance, corrected for {len(classes)} classes, these lose: "
                f"{', '.join(lost)}."
            )
    return said


def sentences_on_divergence(divergence: pd.DataFrame) -> list[str]:
    """Say where the networks part most."""
    worst: Any = max(
        divergence.to_dict("records"),
        key=lambda row: float(row["relative_error"]),
        default={"relative_error": 0.0},
    )
    if not worst["relative_error"]:
        return []
    return [
        f"Their layers differ most at {worst['layer'].split(';')[0]}: by "
        f"{worst['relative_error']:.1%} of what it gives (on {worst['n']} images; layers paired by "
        f"{worst['matched_by']})."
    ]


def milliseconds(value: float) -> str:
    """Return a time with three digits: two that differ by `SLOWER` do not read alike."""
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def sentences_on_files(files: pd.DataFrame) -> list[str]:
    """Say in words what a user would not expect of a compressed file."""
    original, compressed = (files.iloc[k] for k in (0, 1))
    said = []
    layers = int(compressed["layers"])
    stored, executed = (
        int(compressed[f"layers_{what}_in_float"]) for what in ("stored", "executed")
    )
    integers = stored < layers or executed < layers
    if stored:
        still = "still " if integers else ""
        said.append(f"{stored} of {layers} layers are {still}float.")
    if executed > stored:
        said.append(
            f"{executed - stored} of {layers} layers are stored in 8 bits or fewer, but the engine "
            "computes them in float."
        )
    ratio = float(compressed["size_bytes"] / original["size_bytes"])
    if ratio >= LARGER:
        said.append(f"The file is {ratio:.2f} times as large as the original.")
    before, after = float(original["latency_ms"]), float(compressed["latency_ms"])
    if after > SLOWER * before:
        said.append(
            f"It runs slower than the original: {milliseconds(after)} an image instead of "
            f"{milliseconds(before)}."
        )
    kept = float(compressed["nonzero_parameters"] / original["nonzero_parameters"])
    if kept < NOTEWORTHY:
        said.append(f"{1 - kept:.1%} of the parameters are gone or zero.")
    return said
