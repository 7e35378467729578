"""The Carlini & Wagner L2 attack (2017), each image an optimisation of its own.

It looks for the smallest change of an image that changes its class:

    minimise  ||x' - x||² + c · f(x'),    x' = (tanh(w) + 1) / 2,

with Adam on w, where f is the margin by which the attacker still loses, and c is searched for each
image by bisection. All images share the network's batches and nothing else: an image has its own
iteration count, its own c and its own Adam state, and its result does not depend on the others.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from squeezed.attacks.objective import Margin
from squeezed.attacks.rows import Rows, from_tanh_space
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, as in PyTorch."""
ABORT_CHECKS = 10
"""With `abort_early` the loss is looked at this many times in a search step."""

BFLOAT16_SLACK = 2**-7
"""The lead that counts in bfloat16, relative to the largest logit: it holds 8 bits of a number."""

Judge = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Protocol:
    """The attack's settings."""

    iterations: int = 40
    """Adam steps (of each step of the search)."""
    learning_rate: float = 0.5e-4
    constant: float = 1.0
    """c, or where the search for it begins."""
    search_steps: int = 1
    """How many values of c are tried; 1 keeps `constant`."""
    confidence: float = 0.0
    """κ: the margin by which an adversarial image must win."""
    softmax: bool = False
    """Margin between probabilities instead of logits."""
    stop_confidence: float | None = None
    """τ: an image stops once it is fooled and the probability of its wrong class is at least τ."""
    abort_early: bool = False
    """End a search step of an image whose loss fell by less than 0.01 % in a tenth of it."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            UserError: if a count is below 1, or the learning rate or constant not positive.
        """
        for name in ("iterations", "search_steps"):
            if getattr(self, name) < 1:
                raise UserError(f"the attack's {name} is {getattr(self, name)}; it must be ≥ 1")
        for name in ("learning_rate", "constant"):
            if not getattr(self, name) > 0:
                raise UserError(f"the attack's {name} is {getattr(self, name)}; it must be > 0")


@dataclass
class Attacked:
    """What the attack found for n images, in their order, on the CPU."""

    attackable: Tensor
    """bool (n,): classified correctly before. The others are wrong anyway, and left alone."""
    success: Tensor
    """bool (n,): an adversarial image was found."""
    best: Tensor
    """float32 (n, C, H, W): the nearest adversarial image; the original where none was found."""
    last: Tensor
    """float32 (n, C, H, W): the last iterate, whether it fools or not."""
    constant: Tensor
    """float32 (n,): the c that the nearest adversarial image was found with; 0 where none was."""
    iterations: Tensor
    """int64 (n,): gradient steps spent on the image."""


def carlini_wagner(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    protocol: Protocol,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
) -> Attacked:
    """Attack images.

    Args:
        victim: gives logits and gradients.
        images: float32 (n, C, H, W), in [0, 1].
        labels: int64 (n,), the true classes.
        protocol: the attack's settings.
        targets: int64 (n,), a class for each image to be taken for; untargeted if None.
        judge: maps any number of images to logits; the nearest image that a search step found
            counts if the judge is fooled, too (by any margin). Default: the victim in float32. A
            deployed integer engine can be the judge; give it a `confidence` above 0.

    Raises:
        UserError: if an image is outside [0, 1], a label is no class, a target is no class or the
            true one, or a logit is NaN.
    """
    _check_images(images)
    clean_logits = judge(images) if judge else victim.logits(images)
    _check_classes(labels, targets, clean_logits)
    attackable = clean_logits.argmax(dim=1) == labels
    rows = Rows(victim, images, labels if targets is None else targets, targets is not None)
    _Search(victim, protocol, rows, judge).run(attackable.nonzero()[:, 0].tolist())
    return Attacked(
        attackable=attackable,
        success=rows.success,
        best=rows.best,
        last=rows.last,
        constant=rows.best_constant,
        iterations=rows.spent,
    )


def _check_images(images: Tensor) -> None:
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        raise UserError(
            f"images to attack must be in [0, 1], but these span {float(images.min()):.4g} to "
            f"{float(images.max()):.4g}; normalisation belongs inside the model"
        )


def _check_classes(labels: Tensor, targets: Tensor | None, logits: Tensor) -> None:
    classes = logits.shape[1]
    for name, given in (("label", labels), ("target", targets)):
        if given is None:
            continue
        if given.shape != labels.shape or len(given) != len(logits):
            raise UserError(f"there must be one {name} for each image")
        if len(given) and not 0 <= int(given.min()) <= int(given.max()) < classes:
            raise UserError(f"a {name} is outside the model's classes 0 to {classes - 1}")
    if targets is not None and bool((targets == labels).any()):
        first = int((targets == labels).nonzero()[0, 0])
        raise UserError(
            f"the target of image {first} is its true class {int(labels[first])}; a targeted "
            "attack needs another class"
        )


class _Search:
    """Runs the rows until every image is done."""

    def __init__(self, victim: Victim, protocol: Protocol, rows: Rows, judge: Judge | None) -> None:
        self.victim, self.protocol, self.rows = victim, protocol, rows
        self.judge = judge or (None if victim.precision == "fp32" else victim.logits)
        # Another judge has other logits: there κ is what the attack keeps in hand for it.
        self.judged_confidence = 0.0 if judge else protocol.confidence

    def run(self, images: list[int]) -> None:
        """Attack the images with these numbers."""
        rows, first_constant = self.rows, self.protocol.constant
        waiting = deque(images)
        for row in range(min(len(rows.image), len(waiting))):
            rows.load(row, waiting.popleft(), first_constant)
        while bool(rows.occupied.any()):
            x, ended = self._iterate()
            if not bool(ended.any()):
                continue
            found = self._keep_nearest(ended)
            for row in ended.nonzero()[:, 0].tolist():
                rows.spent[rows.image[row]] += int(rows.iteration[row])
                if self._next_constant(row, bool(found[row])):
                    continue
                rows.store(row, x[row])
                if waiting:
                    rows.load(row, waiting.popleft(), first_constant)

    def _iterate(self) -> tuple[Tensor, Tensor]:
        """Evaluate all rows and take one Adam step.

        Returns:
            The images that were evaluated (rows, C, H, W), and which rows end a search step.
        """
        rows, protocol = self.rows, self.protocol
        slack = BFLOAT16_SLACK if self.victim.precision == "bf16" else 0.0
        margin = Margin(rows.classes, rows.targeted, protocol.confidence, protocol.softmax, slack)
        x = from_tanh_space(rows.w)
        at_end = rows.iteration >= protocol.iterations
        unfinished = bool((rows.occupied & ~at_end).any())
        logits, gradient = self.victim.step(x, margin.loss if unfinished else None)
        fooled = margin.fooled(logits) & rows.occupied
        change = x - rows.start
        distance = torch.linalg.vector_norm(change, dim=(1, 2, 3))
        nearer = fooled & (distance < rows.distance_in_step)
        rows.nearest_in_step[nearer] = x[nearer]
        rows.distance_in_step[nearer] = distance[nearer]
        ended = (at_end | self._stopped(distance, margin, logits, fooled)) & rows.occupied
        if unfinished:
            self._adam(x, change, gradient)
            rows.iteration += ~ended
        return x, ended

    def _keep_nearest(self, ended: Tensor) -> Tensor:
        """Keep what the ended search steps found where it is nearer than what was known.

        Returns:
            In which rows the ended step found an adversarial image, shape (rows,).
        """
        rows = self.rows
        found = ended & torch.isfinite(rows.distance_in_step)
        if self.judge:
            chosen = found.nonzero()[:, 0]
            margin = Margin(
                rows.classes[chosen],
                rows.targeted,
                self.judged_confidence,
                self.protocol.softmax,
            )
            if len(chosen):
                logits = self.judge(rows.nearest_in_step[chosen].cpu()).to(found.device)
                found[chosen] = margin.fooled(logits)
        better = found & (rows.distance_in_step < rows.nearest_distance)
        rows.nearest[better] = rows.nearest_in_step[better]
        rows.nearest_distance[better] = rows.distance_in_step[better]
        rows.nearest_constant[better] = rows.constant[better]
        return found

    def _stopped(self, distance: Tensor, margin: Margin, logits: Tensor, fooled: Tensor) -> Tensor:
        """Return the rows that end their search step before the last iteration."""
        rows, protocol = self.rows, self.protocol
        stopped = torch.zeros_like(fooled)
        if protocol.stop_confidence is not None:
            sure = logits.softmax(dim=1).amax(dim=1) >= protocol.stop_confidence
            stopped |= fooled & sure
        if protocol.abort_early:
            every = max(1, protocol.iterations // ABORT_CHECKS)
            due = (rows.iteration % every == 0) & (rows.iteration > 0)
            if bool(due.any()):
                loss = distance.square() + rows.constant * margin.loss(logits)
                stopped |= due & (loss > 0.9999 * rows.previous_loss)
                rows.previous_loss = torch.where(due, loss, rows.previous_loss)
        return stopped

    def _adam(self, x: Tensor, change: Tensor, gradient: Tensor | None) -> None:
        """Take one step of Adam in every row (those that ended are filled anew).

        Args:
            x: the images that were evaluated.
            change: how far they are from where they started; overwritten.
            gradient: of the classification term with respect to x, if one reaches it.
        """
        # The state is larger than the cache: what counts is how often its pixels are passed over.
        # A quarter of the gradient with a quarter of ε makes the same step, in fewer passes:
        # dx'/dw is 2 x' (1 - x'), and the distance brings another 2.
        rows = self.rows
        quarter = change
        if gradient is not None:
            quarter.addcmul_(gradient, _wide(rows.constant / 2))
        quarter.mul_(x).addcmul_(quarter, x, value=-1)
        rows.mean.lerp_(quarter, 1 - BETA1)
        rows.square.mul_(BETA2).addcmul_(quarter, quarter, value=1 - BETA2)
        steps = rows.iteration.double() + 1
        root = (1 - BETA2**steps).sqrt()
        scale = (1 - BETA1**steps) / (self.protocol.learning_rate * root)
        epsilon = _wide((scale * root * EPSILON / 4).float())
        denominator = torch.addcmul(epsilon, rows.square.sqrt(), _wide(scale.float()))
        rows.w.addcdiv_(rows.mean, denominator, value=-1)

    def _next_constant(self, row: int, found: bool) -> bool:
        """Begin the next search step of a row's image; return False if there is none."""
        rows = self.rows
        rows.search_step[row] += 1
        if rows.search_step[row] >= self.protocol.search_steps:
            return False
        constant = rows.constant[row].clone()
        if found:
            rows.upper[row] = torch.minimum(rows.upper[row], constant)
        else:
            rows.lower[row] = torch.maximum(rows.lower[row], constant)
        bounded = bool(torch.isfinite(rows.upper[row]))
        middle = (rows.lower[row] + rows.upper[row]) / 2
        rows.begin_step(row, middle if bounded else constant * 10)
        return True


def _wide(per_row: Tensor) -> Tensor:
    """Return a value for each row in a shape that goes with images."""
    return per_row[:, None, None, None]
