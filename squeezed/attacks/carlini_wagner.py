"""The Carlini & Wagner L2 attack (2017), each image an optimisation of its own.

It looks for the smallest change of an image that changes its class:

    minimise  ||x' - x||² + c · f(x'),    x' = (tanh(w) + 1) / 2,

with Adam on w, where f is the margin by which the attacker still loses, and c is searched for each
image by bisection. All images share the network's batches and nothing else: an image has its own
iteration count, its own c and its own Adam state, and its result does not depend on the others.
"""

from collections import deque
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from squeezed.attacks.attacked import (
    Attacked,
    Judge,
    attackable_images,
    bfloat16_slack,
    enlarged_until_fooled,
)
from squeezed.attacks.method import check_ranges
from squeezed.attacks.objective import Margin
from squeezed.attacks.rows import Rows, from_tanh_space
from squeezed.attacks.victim import Victim

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, as in PyTorch."""
LARGEST = 1e30
"""The largest c that a search begins with, far from float32's end."""
ABORT_CHECKS = 10
"""With `abort_early` the loss is looked at this many times in a search step."""


@dataclass(frozen=True)
class CarliniWagnerSettings:
    """The attack's settings, as the configuration names them."""

    iterations: int
    """Adam steps (of each step of the search)."""
    learning_rate: float
    constant: float
    """c, or where the search for it begins."""
    search_steps: int
    """How many values of c are tried; 1 keeps `constant`."""
    confidence: float
    """κ: the margin by which an adversarial image must win."""
    softmax: bool
    """Margin between probabilities instead of logits."""
    stop_confidence: float | None
    """τ: an image stops once it is fooled and the probability of its wrong class is at least τ."""
    abort_early: bool
    """End a search step of an image whose loss fell by less than 0.01 % in a tenth of it."""
    scale_free: bool = False
    """Take c relative to the margin of the image before: multiplied logits change nothing."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            UserError: if a count is below 1, or the learning rate or constant not positive.
        """
        check_ranges(
            self,
            at_least={"iterations": 1, "search_steps": 1},
            above={"learning_rate": 0, "constant": 0},
        )

    def doubled(self) -> "CarliniWagnerSettings":
        """Return the same settings with twice the steps."""
        return replace(self, iterations=2 * self.iterations)


def carlini_wagner(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    settings: CarliniWagnerSettings,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
) -> Attacked:
    """Attack images, as `squeezed.attacks.method` says of every method.

    The nearest image that a search step found counts if the judge is fooled, too (by any margin),
    with its change enlarged by at most a tenth. A deployed integer engine can be the judge; give it
    a `confidence` above 0.

    Returns:
        What was found; its `details` hold `constant`, float32 (n,): the c that the nearest
        adversarial image was found with, 0 where none was.
    """
    attackable = attackable_images(victim, images, labels, targets, judge)
    rows = Rows(victim, images, labels if targets is None else targets, targets is not None)
    constants = torch.full((len(images),), settings.constant)
    if settings.scale_free and len(images):
        margin = Margin(rows.image_classes, rows.targeted, softmax=settings.softmax)
        # What is on the boundary already has no margin; any c does for it.
        before = margin.values(victim.logits(images)).clamp(min=torch.finfo(torch.float32).tiny)
        constants = constants / before
    search = _Search(victim, settings, rows, judge)
    search.run(attackable.nonzero()[:, 0].tolist(), constants.clamp(max=LARGEST).tolist())
    return Attacked(
        attackable=attackable,
        success=rows.success,
        best=rows.best,
        last=rows.last,
        iterations=rows.spent,
        details={"constant": rows.best_constant},
    )


class _Search:
    """Runs the rows until every image is done."""

    def __init__(
        self, victim: Victim, settings: CarliniWagnerSettings, rows: Rows, judge: Judge | None
    ) -> None:
        self.victim, self.settings, self.rows = victim, settings, rows
        self.judge = judge or (None if victim.precision == "fp32" else victim.logits)
        # Another judge has other logits: there κ is what the attack keeps in hand for it.
        self.judged_confidence = 0.0 if judge else settings.confidence

    def run(self, images: list[int], constants: list[float]) -> None:
        """Attack the images with these numbers; `constants` has the first c of every image."""
        rows = self.rows
        waiting = deque(images)
        for row in range(min(len(rows.image), len(waiting))):
            image = waiting.popleft()
            rows.load(row, image, constants[image])
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
                    image = waiting.popleft()
                    rows.load(row, image, constants[image])

    def _iterate(self) -> tuple[Tensor, Tensor]:
        """Evaluate all rows and take one Adam step.

        Returns:
            The images that were evaluated (rows, C, H, W), and which rows end a search step.
        """
        rows, settings = self.rows, self.settings
        slack = bfloat16_slack(self.victim)
        margin = Margin(rows.classes, rows.targeted, settings.confidence, settings.softmax, slack)
        x = from_tanh_space(rows.w)
        at_end = rows.iteration >= settings.iterations
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
                self.settings.softmax,
            )
            if len(chosen):
                self._persuade(chosen, margin, found)
        better = found & (rows.distance_in_step < rows.nearest_distance)
        rows.nearest[better] = rows.nearest_in_step[better]
        rows.nearest_distance[better] = rows.distance_in_step[better]
        rows.nearest_constant[better] = rows.constant[better]
        return found

    def _persuade(self, chosen: Tensor, margin: Margin, found: Tensor) -> None:
        """Enlarge the nearest images of these rows until they fool the judge, or drop them."""
        rows = self.rows
        assert self.judge is not None
        start, nearest = rows.start[chosen].cpu(), rows.nearest_in_step[chosen].cpu()
        goal = replace(margin, classes=margin.classes.cpu())
        fooled, enlarged = enlarged_until_fooled(self.judge, goal, start, nearest)
        found[chosen] = fooled.to(found.device)
        rows.nearest_in_step[chosen] = enlarged.to(rows.w.device)
        distance = torch.linalg.vector_norm(enlarged - start, dim=(1, 2, 3))
        rows.distance_in_step[chosen] = distance.to(rows.w.device)

    def _stopped(self, distance: Tensor, margin: Margin, logits: Tensor, fooled: Tensor) -> Tensor:
        """Return the rows that end their search step before the last iteration."""
        rows, settings = self.rows, self.settings
        stopped = torch.zeros_like(fooled)
        if settings.stop_confidence is not None:
            sure = logits.softmax(dim=1).amax(dim=1) >= settings.stop_confidence
            stopped |= fooled & sure
        if settings.abort_early:
            every = max(1, settings.iterations // ABORT_CHECKS)
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
        scale = (1 - BETA1**steps) / (self.settings.learning_rate * root)
        epsilon = _wide((scale * root * EPSILON / 4).float())
        denominator = torch.addcmul(epsilon, rows.square.sqrt(), _wide(scale.float()))
        rows.w.addcdiv_(rows.mean, denominator, value=-1)

    def _next_constant(self, row: int, found: bool) -> bool:
        """Begin the next search step of a row's image; return False if there is none."""
        rows = self.rows
        rows.search_step[row] += 1
        if rows.search_step[row] >= self.settings.search_steps:
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
