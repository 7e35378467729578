"""Whether a comparison keeps within a user's thresholds, as far as the images can tell."""

from dataclasses import dataclass, fields
from enum import IntEnum

import pandas as pd

from squeezed.comparison.comparison import Comparison
from squeezed.foundation.errors import UserError

TIE_SHARE = 0.02
"""Ties beyond which figures depend on how they are decided."""


class Verdict(IntEnum):
    """The exit status of `python -m squeezed.check`."""

    WITHIN = 0
    BEYOND = 1
    BAD_INPUT = 2
    UNDECIDED = 3


@dataclass(frozen=True)
class Thresholds:
    """What is allowed; None: anything. Shares are in [0, 1]."""

    maximum_drop: float | None = None
    """Of accuracy, original minus compressed."""
    maximum_flips: float | None = None
    """Share of predictions that change."""
    maximum_broken: float | None = None
    """Share of predictions that were right and are wrong."""
    maximum_size_ratio: float | None = None
    """Size of the file over the original's."""
    maximum_float_layers: int | None = None
    """Layers that the engine computes in float."""
    require_reliable: bool = False
    """Whether the comparison itself must hold: the preprocessing suits, ties are few."""

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        values = [getattr(self, field.name) for field in fields(self)]
        # By identity: a threshold of 0 is one.
        return any(value is not None and value is not False for value in values)


@dataclass(frozen=True)
class Finding:
    """One threshold and what became of it."""

    name: str
    verdict: Verdict
    sentence: str


def judge(comparison: Comparison, thresholds: Thresholds) -> list[Finding]:
    """Return what became of each threshold that was set.

    One that chance has a part in is within if the whole 95 % interval is, beyond if none of it is,
    and undecided otherwise.

    Raises:
        UserError: if nothing is asked for, or accuracy without labels.
    """
    if not thresholds.any:
        raise UserError("no threshold is given: name one, such as --maximum-drop 0.01")
    findings = []
    if thresholds.maximum_drop is not None:
        row = _row(comparison, "accuracy_change", "maximum_drop")
        findings.append(
            _by_interval(
                "maximum_drop",
                "Accuracy falls by",
                (-float(row["value"]), -float(row["high"]), -float(row["low"])),
                thresholds.maximum_drop,
                int(row["n"]),
            )
        )
    for name, measure, words in (
        ("maximum_flips", "changed", "The share of changed predictions is"),
        ("maximum_broken", "broken", "The share of broken predictions is"),
    ):
        limit = getattr(thresholds, name)
        if limit is not None:
            row = _row(comparison, measure, name)
            figures = (float(row["value"]), float(row["low"]), float(row["high"]))
            findings.append(_by_interval(name, words, figures, limit, int(row["n"])))
    original, compressed = (comparison.files.iloc[k] for k in (0, 1))
    if thresholds.maximum_size_ratio is not None:
        ratio = float(compressed["size_bytes"] / original["size_bytes"])
        findings.append(
            _exact(
                "maximum_size_ratio",
                f"The file is {ratio:.3f} times the original's size",
                ratio,
                thresholds.maximum_size_ratio,
            )
        )
    if thresholds.maximum_float_layers is not None:
        layers = int(compressed["layers_executed_in_float"])
        findings.append(
            _exact(
                "maximum_float_layers",
                f"{layers} of {int(compressed['layers'])} layers are computed in float",
                layers,
                thresholds.maximum_float_layers,
            )
        )
    if thresholds.require_reliable:
        findings.append(_reliable(comparison))
    return findings


def worst(findings: list[Finding]) -> Verdict:
    """Return what the whole comes to: beyond if any is, undecided if any other is, else within."""
    for verdict in (Verdict.BEYOND, Verdict.UNDECIDED):
        if any(finding.verdict == verdict for finding in findings):
            return verdict
    return Verdict.WITHIN


def _row(comparison: Comparison, measure: str, name: str) -> "pd.Series[float]":
    try:
        return comparison.value(measure)
    except KeyError as error:
        raise UserError(
            f"{name} needs labels: give class folders, or a CSV file of labels"
        ) from error


def _by_interval(
    name: str, words: str, figures: tuple[float, float, float], limit: float, n: int
) -> Finding:
    value, low, high = figures
    if high <= limit:
        verdict, end = Verdict.WITHIN, "within"
    elif low > limit:
        verdict, end = Verdict.BEYOND, "beyond"
    else:
        verdict, end = Verdict.UNDECIDED, "too few images to say whether within"
    return Finding(
        name,
        verdict,
        f"{words} {value:.2%} ({low:.2%} to {high:.2%}, n = {n}): {end} the {limit:.2%} allowed.",
    )


def _exact(name: str, words: str, value: float, limit: float) -> Finding:
    within = value <= limit
    verdict = Verdict.WITHIN if within else Verdict.BEYOND
    return Finding(
        name, verdict, f"{words}: {'within' if within else 'beyond'} the {limit:g} allowed."
    )


def _reliable(comparison: Comparison) -> Finding:
    check = comparison.preprocessing_check
    if check is None:
        return Finding(
            "require_reliable",
            Verdict.UNDECIDED,
            "Without labels it cannot be told whether the preprocessing suits the models.",
        )
    warning = check.sentence()
    if warning is not None:
        return Finding("require_reliable", Verdict.BEYOND, warning)
    for which in ("original", "compressed"):
        ties = comparison.value(f"ties_{which}")
        if float(ties["value"]) > TIE_SHARE:
            return Finding(
                "require_reliable",
                Verdict.BEYOND,
                f"The two highest answers of the {which} tie for {ties['value']:.1%} of images, "
                f"more than {TIE_SHARE:.0%}: the figures depend on how ties are decided.",
            )
    return Finding(
        "require_reliable",
        Verdict.WITHIN,
        f"No usual preprocessing does clearly better on {check.images} images, and ties are few.",
    )
