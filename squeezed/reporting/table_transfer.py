"""Who fools whom: what images made to fool one variant do to each other one."""

from collections.abc import Mapping, Sequence

import pandas as pd

from squeezed.reporting.estimates import (
    Estimate,
    over_seeds,
    share_of_one_network,
    with_images,
)
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.tables import Cell, Column, Table
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import NONE, bare, percent, times, with_interval

FILE = "transfer.csv"
HEAT = (1.05, 1.15, 1.3, 1.6, 2.5)
"""Up to which length, in those of the attack on a variant itself, each shade goes."""
OFTEN = 0.5
"""What fools a smaller share of the images has no shade."""
BRIEF_FROM = 9
"""With so many variants, shares are only said when a cell is pointed at."""

Pair = tuple[str, str]
"""Whom images were made to fool, and who is shown them."""


def transfer_table(key: str, experiment: Experiment) -> Table | None:
    """Return the transfer matrix of the attack that is diagnosed, or None without one.

    A row for each variant that images were made to fool, a column for each that is shown them; on
    the diagonal the attack on the variant itself.
    """
    fooled = _fooled(experiment)
    if not any(source != target for source, target in fooled):
        return None
    lengths = _lengths(experiment)
    known = {variant for pair in fooled for variant in pair}
    variants = [variant for variant in experiment.variants if variant in known]
    is_brief = len(variants) >= BRIEF_FROM
    columns = [
        Column(v, in_words(v), f"How long changes made to fool others are that fool {in_words(v)}")
        for v in variants
    ]
    rows = [
        (source, [_cell((source, v), fooled, lengths, is_brief) for v in variants])
        for source in variants
    ]
    frame = pd.DataFrame(
        [_line(experiment.name, pair, fooled[pair], lengths.get(pair)) for pair in fooled]
    )
    notes = _notes(fooled)
    return Table(key, columns, rows, frame, notes, "Made to fool", is_matrix=True)


def _fooled(experiment: Experiment) -> dict[Pair, Estimate]:
    """Return the share of a variant's images on which another's fool it."""
    found: dict[Pair, Estimate] = {}
    attack = experiment.strong_attack or ""
    for variant in experiment.variants:
        own = experiment.values(variant, attack, "success_rate")
        counts = experiment.values(variant, attack, "n_attackable")
        found |= _estimated((variant, variant), own, counts)
        for source, by_seed in _columns(experiment, variant).items():
            shares = {seed: float(row["fooled"]) for seed, row in by_seed.items()}
            counts = {seed: float(row["n"]) for seed, row in by_seed.items()}
            found |= _estimated((source, variant), shares, counts)
    return found


def _estimated(
    pair: Pair, shares: Mapping[int, float], counts: Mapping[int, float]
) -> dict[Pair, Estimate]:
    """Return the mean with an interval over images, and over seeds where there are several."""
    shares = {seed: share for seed, share in shares.items() if counts.get(seed)}
    if not shares:
        return {}
    by_seed = [share_of_one_network(share, int(counts[seed])) for seed, share in shares.items()]
    mean = over_seeds(shares)
    assert mean is not None
    return {pair: with_images(mean, by_seed) if len(by_seed) > 1 else by_seed[0]}


def _lengths(experiment: Experiment) -> dict[Pair, float]:
    """Return how long the changes that fool are, in those of the attack on the variant itself."""
    attack = experiment.strong_attack or ""
    found: dict[Pair, float] = {}
    for variant in experiment.variants:
        if any(experiment.values(variant, attack, "success_rate").values()):
            found[variant, variant] = 1.0
        for source, by_seed in _columns(experiment, variant).items():
            ratios = pd.Series(
                [row["l2_median"] / row["l2_median_own"] for row in by_seed.values()]
            ).dropna()
            if len(ratios):
                found[source, variant] = float(ratios.mean())
    return found


def _columns(experiment: Experiment, variant: str) -> dict[str, dict[int, pd.Series]]:
    """Return a variant's column of the matrix: whom images were made to fool, then by seed."""
    found: dict[str, dict[int, pd.Series]] = {}
    for seed in experiment.seeds:
        table = experiment.frame(seed, variant, FILE)
        for _, row in () if table is None else table.iterrows():
            if row["from"] in experiment.variants:
                found.setdefault(str(row["from"]), {})[seed] = row
    return found


def _cell(
    pair: Pair, fooled: Mapping[Pair, Estimate], lengths: Mapping[Pair, float], is_brief: bool
) -> Cell:
    estimate, length = fooled.get(pair), lengths.get(pair)
    if estimate is None:
        return Cell(NONE)
    source, target = (in_words(variant) for variant in pair)
    told = f"{with_interval(estimate, percent)} of {estimate.basis}"
    if source == target:
        help_ = f"The attack on {target} itself fools it on {told}"
    else:
        help_ = f"What was made to fool {source} fools {target} on {told}"
    if length is not None and source != target:
        help_ += f"; there it is {times(length)} as long as the attack on {target} itself"
    # What fools few is not near, however short it is where it does.
    level = 0
    if length is not None and estimate.value >= OFTEN:
        level = sum(length <= most for most in HEAT)
    return Cell(
        NONE if length is None else bare(times(length)),
        length,
        beside="" if is_brief else percent(estimate.value),
        basis=estimate.basis,
        shade=f"heat-{level}",
        help=help_,
    )


def _line(
    experiment: str, pair: Pair, estimate: Estimate, length: float | None
) -> dict[str, object]:
    return {
        "experiment": experiment,
        "made_to_fool": pair[0],
        "shown_to": pair[1],
        "fooled_share": estimate.value,
        "fooled_share_low": estimate.low,
        "fooled_share_high": estimate.high,
        "over": estimate.basis,
        "length_ratio": length,
    }


def _notes(fooled: Mapping[Pair, Estimate]) -> Sequence[str]:
    """Say what a public baseline gives away about the compressed variants."""
    shares = {
        target: estimate
        for (source, target), estimate in fooled.items()
        if source == "baseline" != target
    }
    if not shares:
        return []
    least = min(shares, key=lambda v: shares[v].value)
    most = max(shares, key=lambda v: shares[v].value)
    ends = f"{with_interval(shares[least], percent)} ({in_words(least)})"
    if percent(shares[least].value) != percent(shares[most].value):
        ends += f" to {with_interval(shares[most], percent)} ({in_words(most)})"
    elif len(shares) > 1:
        ends = f"{percent(shares[least].value)} (each of {len(shares)} variants)"
    return [f"With the baseline's file alone an attacker fools {ends} of the images."]
