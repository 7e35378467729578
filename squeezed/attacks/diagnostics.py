"""Is a model robust, or only hard to differentiate? The measurements that the gate judges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from squeezed.attacks.attacked import Judge
from squeezed.attacks.carlini_wagner import CarliniWagnerSettings, carlini_wagner
from squeezed.attacks.configured import ConfiguredAttack
from squeezed.attacks.objective import Margin
from squeezed.attacks.outcome import rounded_to_pixels
from squeezed.attacks.rivals import rivals, transfers
from squeezed.attacks.square import square_attack
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from squeezed.statistics.intervals import mcnemar_p_value

ENLARGEMENTS = (1.0, 1.02, 1.05, 1.1)
"""By how much a change may be enlarged to get across a boundary that moved a little."""
ROUNDING_ENLARGEMENTS = (1.0, 1.1, 1.25, 1.5, 2.0)
"""The same where pixels are rounded. That moves a 32×32 image by an L2 of 0.06, farther than some
images need to be moved to be taken for another class; doubled, such a change outlasts it."""
STANDS_STILL = 1e-6
"""The attack's start is within this of the original: less than that is no movement."""
NO_LIMIT = 1e4
"""A constant c beside which the distance does not count."""
BASELINE = "baseline"
"""The variant whose median distance is the Square attack's budget."""


@dataclass(frozen=True)
class DiagnosticsSettings:
    """The checks' settings, as the configuration names them."""

    attack: str
    """The attack that is examined, by its name."""
    images: int
    """How many images the checks that attack anew take."""
    iterations: int
    """Steps of the attack without a limit on the distance."""
    learning_rate: float
    square_queries: int
    noise_draws: int


def one_at_a_time(predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Judge:
    """Return a judge that asks an engine about each image alone.

    Dynamic quantization takes the range of a whole batch: an image's neighbours could change its
    label.

    Args:
        predict: maps images (n, C, H, W) to logits (n, classes), such as a deployed engine's.
    """

    def judge(images: Tensor) -> Tensor:
        singles = [torch.from_numpy(predict(image[None].numpy())) for image in images]
        return torch.cat(singles)

    return judge


def share_without_gradient(victim: Victim, images: Tensor, labels: Tensor) -> float | None:
    """Return the share of images that no gradient of the classification term reaches."""
    if not len(images):
        return None
    rows = victim.rows(images.shape[1:])
    without = 0
    for start in range(0, len(images), rows):
        batch, classes = images[start : start + rows], labels[start : start + rows]
        missing = rows - len(batch)
        padded = torch.cat([batch, batch[-1:].expand(missing, -1, -1, -1)]).to(victim.device)
        padded_classes = torch.cat([classes, classes[-1:].expand(missing)]).to(victim.device)
        _, gradient = victim.step(padded, Margin(padded_classes).values)
        if gradient is None:
            without += len(batch)
        else:
            without += int((gradient[: len(batch)].flatten(1) == 0).all(dim=1).sum())
    return without / len(images)


def success_by_iterations(
    victim: Victim, images: Tensor, labels: Tensor, *, iterations: int, learning_rate: float
) -> dict[str, float | None]:
    """Attack without a limit on the distance: how many fall after one step, and after all."""
    unlimited = CarliniWagnerSettings(
        iterations=iterations,
        learning_rate=learning_rate,
        constant=NO_LIMIT,
        search_steps=1,
        confidence=0.0,
        softmax=False,
        stop_confidence=0.0,  # the first success ends it
        abort_early=False,
        scale_free=True,
    )
    result = carlini_wagner(victim, images, labels, unlimited)

    def within(steps: int) -> float | None:
        return _share(result.success & (result.iterations <= steps))

    return {
        "success_one_step": within(1),
        "success_quarter_of_steps": within(iterations // 4),
        "success_unbounded": within(iterations),
    }


def smallest_enlargements(
    judge: Judge,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    factors: Sequence[float] = ENLARGEMENTS,
) -> Tensor:
    """Return by how much each change must be enlarged before the judge is fooled.

    Returns:
        Shape (n,): the smallest of `factors` that fools, infinity where none does.
    """
    needed = torch.full((len(images),), torch.inf)
    for factor in factors:
        left = torch.isinf(needed).nonzero()[:, 0]
        if len(left):
            enlarged = enlarge(images[left], adversarial[left], factor)
            needed[left[judge(enlarged).argmax(dim=1) != labels[left]]] = factor
    return needed


def enlarge(images: Tensor, adversarial: Tensor, factor: float) -> Tensor:
    """Return the images with their changes multiplied by `factor`, within [0, 1]."""
    return (images + factor * (adversarial - images)).clamp(0, 1)


def noise_success(
    victim: Victim, images: Tensor, labels: Tensor, lengths: Tensor, *, draws: int, seed: int
) -> float | None:
    """Return how often Gaussian noise of each image's own L2 length fools, over several draws."""
    if not len(images):
        return None
    generator = torch.Generator().manual_seed(seed)
    shares = []
    for _ in range(draws):
        noise = torch.randn(images.shape, generator=generator)
        noise *= (lengths / noise.flatten(1).norm(dim=1))[:, None, None, None]
        fooled = victim.logits((images + noise).clamp(0, 1)).argmax(dim=1) != labels
        shares.append(float(fooled.float().mean()))
    return sum(shares) / draws


def repeat_difference(victim: Victim, images: Tensor) -> float | None:
    """Return by how much the logits of the same images differ at most when they are asked again.

    In units of the spread of all their logits.
    """
    if not len(images):
        return None
    first, second = victim.logits(images).double(), victim.logits(images).double()
    spread = float(first.std()) or 1.0
    return float((first - second).abs().max()) / spread


def measure(
    victim: Victim,
    deployed: Judge,
    images: Tensor,
    shown: StoredAttack,
    others: Mapping[str, StoredAttack],
    attack: ConfiguredAttack,
    settings: DiagnosticsSettings,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Make all measurements for one variant.

    Args:
        victim: the variant's twin, with straight-through gradients.
        deployed: the variant's deployed engine, asked about one image at a time (`one_at_a_time`).
        images: float32 (n, C, H, W): the originals that `shown` was run on.
        shown: the variant's strong attack, whose figure is shown.
        others: the same attack on the other variants, on the same images, the baseline's among
            them unless it is the variant.
        attack: the strong attack's settings.
        settings: of the checks.

    Returns:
        What `squeezed.attacks.gate.verdict` judges. Shares are of the images that the variant
        classifies correctly (those that can be attacked); of the adversarial images found for
        `deployed_`, `rounded_` and `noise_`; None where there are no such images. And the
        distances, float64 (attackable,), at which each other variant's images fool this one.

    Raises:
        UserError: if another variant was attacked on other images.
    """
    for name, other in others.items():
        if not torch.equal(shown.index, other.index):
            raise UserError(
                f"{name} was attacked on other images than the variant; run its attack again"
            )
    mask = shown.attackable
    images, shown = images[mask], shown.chosen(mask)
    others = {name: other.chosen(mask) for name, other in others.items()}
    few = _first(settings.images, len(images))
    change_last = (shown.last - images).abs().flatten(1).amax(dim=1) if len(images) else None
    transfer, distances = transfers(victim, images, shown, others)
    checks: dict[str, Any] = {
        "n_attackable": len(images),
        "success": _share(shown.success),
        "repeat_difference": repeat_difference(victim, images),
        "share_without_gradient": share_without_gradient(victim, images, shown.label),
        "share_moved": None if change_last is None else _share(change_last > STANDS_STILL),
        "max_abs_change": None if change_last is None else float(change_last.max()),
        **success_by_iterations(
            victim,
            images[few],
            shown.label[few],
            iterations=settings.iterations,
            learning_rate=settings.learning_rate,
        ),
        **rivals(
            victim.original,
            images[few],
            shown.chosen(few),
            attack,
            starts=others[BASELINE].best[few] if BASELINE in others else None,
            device=victim.device,
        ),
        **transfer,
        **_survival(victim, deployed, images, shown, settings),
    }
    reference = others.get(BASELINE, shown)
    checks |= _square(deployed, images[few], shown.chosen(few), reference, settings)
    return checks, distances


def _survival(
    victim: Victim,
    deployed: Judge,
    images: Tensor,
    attack: StoredAttack,
    settings: DiagnosticsSettings,
) -> dict[str, float | None]:
    """Ask what becomes of the adversarial images outside of the engine they were made with."""
    found = attack.success
    images, attack = images[found], attack.chosen(found)

    def judge_rounded(given: Tensor) -> Tensor:
        return victim.logits(rounded_to_pixels(given))

    result: dict[str, float | None] = {}
    for name, judge, factors in (
        ("deployed", deployed, ENLARGEMENTS),
        ("rounded", judge_rounded, ROUNDING_ENLARGEMENTS),
    ):
        needed = smallest_enlargements(judge, images, attack.best, attack.label, factors)
        result[f"{name}_success"] = _share(needed == 1)
        result[f"{name}_success_enlarged"] = _share(torch.isfinite(needed))
    noise = noise_success(
        victim, images, attack.label, attack.l2, draws=settings.noise_draws, seed=0
    )
    return {**result, "noise_success": noise}


def _square(
    deployed: Judge,
    images: Tensor,
    attack: StoredAttack,
    reference: StoredAttack,
    settings: DiagnosticsSettings,
) -> dict[str, float | None]:
    """Run the Square attack on the deployed engine, within the baseline's median distance."""
    names = (
        "square_budget_l2",
        "square_success",
        "success_at_half_budget",
        "success_at_square_budget",
        "success_at_twice_budget",
        "square_p_value",
    )
    distances = reference.l2[reference.success]
    if not len(images) or not len(distances):
        return dict.fromkeys(names)
    budget = float(distances.median())

    def logits(given: NDArray[np.float32]) -> NDArray[np.float32]:
        return deployed(torch.from_numpy(given)).numpy()

    result = square_attack(
        logits,
        images.numpy(),
        attack.label.numpy(),
        budget=budget,
        queries=settings.square_queries,
        seed=0,
    )
    own = [attack.success & (attack.l2 <= factor * budget) for factor in (0.5, 1, 2)]
    p_value = mcnemar_p_value(own[1].numpy(), result.success)
    found = [_share(fooled) for fooled in (torch.from_numpy(result.success), *own)]
    return dict(zip(names, (budget, *found, p_value), strict=True))


def _first(few: int, n: int) -> Tensor:
    return torch.arange(n) < few


def _share(mask: Tensor | Sequence[bool]) -> float | None:
    return float(torch.as_tensor(mask).double().mean()) if len(mask) else None
