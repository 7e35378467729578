"""The gate of diagnostics, a row for each variant: what was measured, and what it is held against.

The bounds are those of `squeezed.attacks.gate`, which judges; here they are only written beside.
"""

from dataclasses import dataclass

import pandas as pd

from squeezed.reporting.estimates import metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import unreliable_reason, without_verdict
from squeezed.reporting.tables import Cell, Column, Table
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import NONE, percent

ANALYSIS = "diagnostics"
ARRANGEMENT = "with the gradient that PyTorch's 8-bit layers hand back"


@dataclass(frozen=True)
class Check:
    """A diagnostic: the share measured, and what it is compared with."""

    key: str
    label: str
    title: str
    beside: str
    """Written below the figure; a share in braces is another field's."""
    fields: tuple[str, ...] = ()


CHECKS = (
    Check(
        "share_without_gradient",
        "No gradient",
        "Share of the images that no gradient of the classes reaches",
        "at most 1 %",
    ),
    Check("share_moved", "Moved", "Share of the images that the attack moved", "at least 99 %"),
    Check(
        "success_unbounded",
        "Fooled without a limit",
        "Success when the distance is not limited; it must rise with iterations",
        "{} after one step",
        ("success_one_step",),
    ),
    Check(
        "doubled_steps_shortened",
        "Nearer with twice the steps",
        "Share of the images attacked again for which twice the steps find a change over 5 % "
        "shorter; the median may fall by 5 %",
        "at most 10 %",
    ),
    Check(
        "smoothed_shortened",
        "… along smoothed gradients",
        "The same for an attack along gradients that are averaged over noise",
        "at most 10 %",
    ),
    Check(
        "transfer_shortened",
        "… by other variants' images",
        "The same for the other variants' adversarial images, brought to this one's boundary",
        "at most 10 %",
    ),
    Check(
        "deployed_success_enlarged",
        "Fool the deployed engine",
        "Share of the adversarial images, slightly enlarged, that fool the deployed engine",
        "at least 95 %",
    ),
    Check(
        "square_success",
        "Fooled without gradients",
        "Success of the Square attack against the gradient attack's at the same distance",
        "with gradients {}",
        ("success_at_square_budget",),
    ),
    Check(
        "noise_success",
        "Fooled by noise",
        "Share that random noise of the same length fools",
        "by the attack {}",
        ("success",),
    ),
    Check(
        "rounded_success_enlarged",
        "Survive rounding",
        "Share of the adversarial images, doubled where need be, that fool with 8-bit pixels",
        "at least 95 %",
    ),
)


def gate_table(experiment: Experiment) -> Table | None:
    """Return the diagnostics of every variant that has them, or None."""
    made = [check for check in CHECKS if _is_made(experiment, check)]
    columns = [Column("verdict", "Verdict", "What the gate finds")]
    columns += [Column(check.key, check.label, check.title, percent) for check in made]
    rows, flat = [], []
    reasons: dict[str, list[str]] = {}
    for variant in experiment.variants:
        records = [experiment.record(seed, variant, ANALYSIS) for seed in experiment.seeds]
        known = [record for record in records if record is not None]
        if not known:
            continue
        reason = unreliable_reason(experiment, variant)
        verdict = Cell("reliable" if reason is None else "unreliable", float(reason is None))
        rows.append((variant, [verdict, *(_cell(experiment, variant, c) for c in made)]))
        flat += [{"experiment": experiment.name, "variant": variant, **one} for one in known]
        if reason is not None:
            reasons.setdefault(reason, []).append(in_words(variant))
        if known[0].get("paper_arrangement_reason"):
            why = without_verdict(known[0]["paper_arrangement_reason"])
            words = f"{ARRANGEMENT}: {why}"
            reasons.setdefault(words, []).append(in_words(variant))
    if not rows:
        return None
    frame = pd.DataFrame(flat).drop(columns=["measured", "provenance"], errors="ignore")
    notes = [f"{listed(names)}{_after(reason)}" for reason, names in reasons.items()]
    return Table("gate", columns, rows, frame, notes)


def _is_made(experiment: Experiment, check: Check) -> bool:
    """Return whether any variant has it: what is a part of the attack is no check of it."""
    return any(experiment.values(variant, ANALYSIS, check.key) for variant in experiment.variants)


def _after(reason: str) -> str:
    return f", {reason}" if reason.startswith(ARRANGEMENT) else f": {reason}"


def _cell(experiment: Experiment, variant: str, check: Check) -> Cell:
    estimate = metric(experiment, variant, ANALYSIS, check.key, images="n_attackable")
    if estimate is None:
        return Cell(NONE)
    beside = []
    for field in check.fields:
        other = metric(experiment, variant, ANALYSIS, field)
        beside.append(NONE if other is None else percent(other.value))
    return Cell(percent(estimate.value), estimate.value, check.beside.format(*beside))
