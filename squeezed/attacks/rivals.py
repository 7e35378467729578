"""Whether anything finds shorter changes than the attack whose figure is shown.

Each rival attacks the same images, and is compared with that attack image by image: what counts is
on how many images it finds a change that is clearly shorter. None of them has to be a good attack;
one that beats the figure shows that the figure is no distance to the boundary.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from squeezed.attacks.attacked import Attacked
from squeezed.attacks.configured import ConfiguredAttack
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.line_search import transferred
from squeezed.attacks.objective import Margin
from squeezed.attacks.outcome import Table
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim

CLEARLY = 0.95
"""A change at most so long beside another is clearly shorter."""
SMOOTHED = DDNSettings(steps=30, init_epsilon=1.0, gamma=0.05, scale_free=True, noise_draws=2)
WITH_DDN = ("ddn", "ensemble")
"""The methods that DDN is a part of."""
PLAIN = DDNSettings(steps=100, init_epsilon=1.0, gamma=0.05, scale_free=True)


def rivals(
    model: nn.Module,
    images: Tensor,
    shown: StoredAttack,
    attack: ConfiguredAttack,
    *,
    starts: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Attack a subset of the images again, and compare with what is shown.

    Args:
        model: the variant's twin.
        images: float32 (n, C, H, W), classified correctly.
        shown: the attack whose figure is shown, on these images.
        attack: its settings.
        starts: float32 (n, C, H, W), the other model's images that it was given, if any.
        device: where to compute.

    Returns:
        For `doubled_steps` (the same attack with twice the steps), `rival` (DDN) and `smoothed`
        (DDN along gradients averaged over noise as long as its radius): `{name}_shortened`, the
        share of images on which a clearly shorter change is found, and `{name}_ratio`, the median
        of what it found over the median shown, both over the images that both fool. `n_again` is
        n. None where there is nothing to compare, and for what is a part of the attack: that ran
        with twice the steps.
    """
    names = ("doubled_steps", "rival", "smoothed")
    found: dict[str, Any] = {"n_again": len(images)}
    found |= {f"{name}_{what}": None for name in names for what in ("shortened", "ratio")}
    if not bool(shown.success.any()):
        return found
    rows = min(len(images), Victim(model, device=device).rows(images.shape[1:]))
    plain = Victim(
        model, device=device, rows=rows, straight_through=attack.settings.straight_through
    )
    again = {"doubled_steps": attack.doubled().run(plain, images, shown.label, starts=starts)}
    if attack.settings.method not in WITH_DDN:
        again["rival"] = ddn(plain, images, shown.label, PLAIN)
    if not attack.smooths:
        straight = Victim(model, device=device, rows=rows)
        again["smoothed"] = ddn(straight, images, shown.label, SMOOTHED)
    for name, attacked in again.items():
        found |= _compared(name, shown.l2, _distances(images, attacked))
    return found


def transfers(
    victim: Victim, images: Tensor, shown: StoredAttack, others: Mapping[str, StoredAttack]
) -> tuple[dict[str, float | None], dict[str, Tensor]]:
    """Bring the other variants' adversarial images to this one's boundary, and compare.

    Args:
        victim: the variant.
        images: float32 (n, C, H, W), classified correctly.
        shown: the attack whose figure is shown, on these images.
        others: the same attack on each other variant, by its name, on these images.

    Returns:
        `transfer_shortened` and `transfer_ratio` as in `rivals`, for the nearest of all transferred
        images; and by the other's name, float64 (n,), the distance at which its image fools this
        variant, NaN where it does not.
    """
    nearest = torch.full((len(images),), torch.nan, dtype=torch.float64)
    distances = {}
    for name, other in others.items():
        theirs = other.success.nonzero()[:, 0]
        goal = Margin(shown.label[theirs])
        fooled, best = transferred(victim.logits, goal, images[theirs], other.best[theirs])
        distances[name] = torch.full_like(nearest, torch.nan)
        length = (best - images[theirs]).double().flatten(1).norm(dim=1)
        distances[name][theirs[fooled]] = length[fooled]
        nearest = torch.fmin(nearest, distances[name])
    if not distances:
        return {"transfer_shortened": None, "transfer_ratio": None}, distances
    return _compared("transfer", shown.l2, nearest), distances


def transfer_table(shown: StoredAttack, distances: Mapping[str, Tensor]) -> Table:
    """Return the variant's column of the transfer matrix, a row for each other variant.

    Args:
        shown: the attack on this variant, all of its images.
        distances: what `transfers` returned, of the images that this variant classifies correctly.

    Returns:
        `from`; `n`, how many images this variant has right; `fooled`, for how many of them the
        other's adversarial image fools it somewhere on its line, at most `FARTHEST` times as far
        away; `l2_median`, the distance there; `l2_median_own`, of the attack on this variant
        itself. NaN where there is none.
    """
    own = shown.l2[shown.success]
    rows = list(distances.values())
    fooled = [row[~row.isnan()] for row in rows]
    return {
        "from": np.array(list(distances), dtype=str),
        "n": np.array([len(row) for row in rows], dtype=np.int64),
        "fooled": np.array([len(f) / max(1, len(r)) for f, r in zip(fooled, rows, strict=True)]),
        "l2_median": np.array([_median(f) for f in fooled], dtype=np.float64),
        "l2_median_own": np.full(len(rows), _median(own)),
    }


def _median(values: Tensor) -> float:
    return float(values.double().median()) if len(values) else float("nan")


def _compared(name: str, shown: Tensor, found: Tensor) -> dict[str, float | None]:
    shorter = found < CLEARLY * shown.double().nan_to_num(torch.inf)
    both = ~(found.isnan() | shown.isnan())
    ratio = float(found[both].median() / shown[both].double().median()) if both.any() else None
    share = float(shorter.double().mean()) if len(shown) else None
    return {f"{name}_shortened": share, f"{name}_ratio": ratio}


def _distances(images: Tensor, attacked: Attacked) -> Tensor:
    distance = (attacked.best - images).double().flatten(1).norm(dim=1)
    return torch.where(attacked.success, distance, torch.nan)
