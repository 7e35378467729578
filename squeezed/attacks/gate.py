"""The verdict on a robustness figure: checks, each with a bound that is written down here.

They follow Athalye et al. (2018), Carlini et al. (2019, "On Evaluating Adversarial Robustness") and
the flags of AutoAttack (Croce & Hein 2020). Each check can only shake a figure: passing all of them
does not prove that there is no better attack.
"""

from collections.abc import Mapping
from typing import Any

MAXIMUM_SHARE_WITHOUT_GRADIENT = 0.01
MAXIMUM_REPEAT_DIFFERENCE = 1e-3
"""Of the logits' spread: engines add up in another order, but do not draw lots."""
MINIMUM_SHARE_MOVED = 0.99
MINIMUM_SUCCESS = 0.95
"""Of the attack whose figure is shown. A median over fewer images is one over the easy ones."""
MINIMUM_IMAGES = 20
"""Attacked again. A rival that would beat the figure on 30 % of all images beats it on over 10 % of
20 with a probability of 96 %, and one that would on 5 % with one of 8 % (of 8 images: 34 %)."""
MINIMUM_RATIO_OF_DOUBLED_STEPS = 0.95
MAXIMUM_SHARE_SHORTENED = 0.1
"""On which a rival may find a change that is over 5 % shorter. Local minima make a few."""
MINIMUM_UNBOUNDED_SUCCESS = 0.98
MINIMUM_SHARE_KEPT = 0.95
"""Of the adversarial images that must still fool the deployed engine, and when rounded."""
MAXIMUM_NOISE_SHARE = 0.5
"""Of the attack's success: what random noise may reach."""
MAXIMUM_EXCESS = 0.02
"""By which another attack may fool more images: one in 50 is a stray image, not a mask."""
CHANCE = 0.1
"""Larger p-values of McNemar's test leave it to chance which of two attacks fools more images: this
is 5 % on the one side that matters."""


RIVALS = {
    "doubled_steps": "twice the steps find",
    "rival": "another attack finds",
    "smoothed": "gradients averaged over noise find",
    "transfer": "other variants' adversarial images, brought to the boundary, are",
}
"""What finds shorter changes, with its verb."""


def failures(checks: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a robustness figure, a clause for each check that fails.

    Args:
        checks: the fields that `squeezed.attacks.diagnostics` measures. A check that could not be
            made (None) fails, except the transfer where there is no other variant, and a rival that
            is a part of the attack.
    """
    found = []

    def check(name: str, passes: bool | None, clause: str) -> None:
        if checks[name] is None:
            found.append(f"{name.replace('_', ' ')} could not be measured")
        elif not passes:
            found.append(clause)

    def at_most(name: str, bound: float, clause: str) -> None:
        value = checks[name]
        check(name, value is not None and value <= bound + 1e-9, clause)

    def at_least(name: str, bound: float, clause: str) -> None:
        value = checks[name]
        check(name, value is not None and value >= bound, clause)

    def does_no_better(name: str, own: str, p_value: str, clause: str) -> None:
        other, bound = checks[name], (checks[own] or 0.0) + MAXIMUM_EXCESS
        by_chance = (checks[p_value] or 0.0) > CHANCE
        check(name, other is not None and (other <= bound + 1e-9 or by_chance), clause)

    at_most(
        "repeat_difference",
        MAXIMUM_REPEAT_DIFFERENCE,
        "the model gives the same image other logits when it is asked again",
    )
    at_most(
        "share_without_gradient",
        MAXIMUM_SHARE_WITHOUT_GRADIENT,
        f"no gradient of the classes reaches {_percent(checks['share_without_gradient'])} of the "
        "images",
    )
    at_least(
        "share_moved",
        MINIMUM_SHARE_MOVED,
        f"the attack moved only {_percent(checks['share_moved'])} of the images at all",
    )
    at_least(
        "success_unbounded",
        MINIMUM_UNBOUNDED_SUCCESS,
        f"even without a limit on the distance the attack fools only "
        f"{_percent(checks['success_unbounded'])}",
    )
    if checks["success_unbounded"] is not None and checks["success_one_step"] is not None:
        check(
            "success_unbounded",
            # Where one step fools them all nothing is left to rise.
            checks["success_unbounded"] > checks["success_one_step"]
            or checks["success_one_step"] == 1,
            "success does not rise with iterations",
        )
    at_least(
        "success",
        MINIMUM_SUCCESS,
        f"the attack fools only {_percent(checks['success'])}, so that its distances are those of "
        "the easy images",
    )
    if checks["n_again"] is not None and checks["n_again"] < MINIMUM_IMAGES:
        found.append(
            f"too few images to tell ({checks['n_again']} were attacked again, of at least "
            f"{MINIMUM_IMAGES} that it takes)"
        )
    else:
        at_least(
            "doubled_steps_ratio",
            MINIMUM_RATIO_OF_DOUBLED_STEPS,
            f"still falling: an upper bound (twice the steps find "
            f"{_times(checks['doubled_steps_ratio'])} the median distance)",
        )
        for name, words in RIVALS.items():
            share = checks[f"{name}_shortened"]
            if name != "doubled_steps" and share is None:
                continue  # it is a part of the attack, or there is no other variant
            at_most(
                f"{name}_shortened",
                MAXIMUM_SHARE_SHORTENED,
                f"{words} clearly shorter changes for {_percent(share)} of the images",
            )
    at_least(
        "deployed_success_enlarged",
        MINIMUM_SHARE_KEPT,
        f"only {_percent(checks['deployed_success_enlarged'])} of the adversarial images fool the "
        "deployed engine, even enlarged",
    )
    does_no_better(
        "square_success",
        "success_at_square_budget",
        "square_p_value",
        f"an attack without gradients fools more images ({_percent(checks['square_success'])}) "
        f"than the gradient attack does at the same distance "
        f"({_percent(checks['success_at_square_budget'])})",
    )
    at_most(
        "noise_success",
        MAXIMUM_NOISE_SHARE * (checks["success"] or 0.0),
        f"random noise of the same length fools {_percent(checks['noise_success'])}",
    )
    at_least(
        "rounded_success_enlarged",
        MINIMUM_SHARE_KEPT,
        f"only {_percent(checks['rounded_success_enlarged'])} of the adversarial images survive "
        "rounding to 8-bit pixels, even doubled",
    )
    return list(dict.fromkeys(found))


def verdict(checks: Mapping[str, Any], why_no_twin: str | None = None) -> tuple[bool, str]:
    """Return whether a figure is reliable, and the reason in a sentence.

    Args:
        checks: as in `failures`.
        why_no_twin: why the variant has none, so that no gradient could be asked for; None: it has.
    """
    if not checks["n_attackable"]:
        return False, "Unreliable: the model classifies no image correctly, so none was attacked."
    if why_no_twin is not None:
        return False, _without_gradients(checks, why_no_twin)
    found = failures(checks)
    if found:
        return False, f"Unreliable: {'; '.join(found)}."
    return True, (
        f"Reliable: a gradient reaches every image, the attack fools "
        f"{_percent(checks['success_unbounded'])} without a limit on the distance, "
        f"{_percent(checks['deployed_success_enlarged'])} of what it finds fools the deployed "
        f"engine, twice the steps find {_times(checks['doubled_steps_ratio'])} the median "
        "distance, no rival finds clearly shorter changes, and neither an attack without gradients "
        f"({_percent(checks['square_success'])}, against "
        f"{_percent(checks['success_at_square_budget'])} at the same distance) nor random noise "
        f"({_percent(checks['noise_success'])}) does better."
    )


def _without_gradients(checks: Mapping[str, Any], why: str) -> str:
    """Say what was found without a gradient, of which an attack with one would find more."""
    said = f"Judged without gradients, because {why}"
    if checks["square_budget_l2"] is None:
        return f"{said}: no attack on the baseline found a distance for the Square attack to take."
    said += (
        f": within L2 {checks['square_budget_l2']:.2g}, the baseline's median, the Square attack "
        f"fools {_percent(checks['square_success'])}"
    )
    if checks["transfer_shortened"] is not None:  # the attack itself found nothing
        said += (
            "; other variants' adversarial images, brought to the boundary, fool "
            f"{_percent(checks['transfer_shortened'])}"
        )
    return f"{said}. An attack with gradients may find more."


def arrangement_verdict(
    share_without_gradient: float | None, max_abs_change: float | None
) -> tuple[bool, str]:
    """Judge an attack that takes its gradient through 8-bit layers as PyTorch gives it.

    Args:
        share_without_gradient: share of images that no gradient of the classes reaches.
        max_abs_change: the largest change of a pixel in the last iterates.
    """
    if share_without_gradient is None or max_abs_change is None:
        return False, "Unreliable: the model classifies no image correctly, so none was attacked."
    if share_without_gradient > MAXIMUM_SHARE_WITHOUT_GRADIENT:
        moved = (
            "not one pixel moved"
            if max_abs_change < 1e-6
            else f"the largest change of a pixel is {255 * max_abs_change:.2g} grey levels"
        )
        return False, (
            "Unreliable: no gradient of the classes reaches "
            f"{_percent(share_without_gradient)} of the images and {moved}, so the attack was "
            "switched off, not withstood."
        )
    return True, "Reliable: a gradient reaches every image."


def _times(ratio: float | None) -> str:
    return "none of" if ratio is None else f"{ratio:.2f}×"


def _percent(share: float | None) -> str:
    if share is None:
        return "none"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"
