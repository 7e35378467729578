"""The margin between classes: what the attack lowers, and when an image counts as fooled."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Margin:
    """By how much the attacker still loses, for one class for each row.

    Untargeted, the class is the true one, and the margin is its output minus the largest other.
    Targeted, the class is the target, and the margin is the largest other output minus its own.
    Carlini & Wagner (2017), equation (4) of the paper with its τ read as their κ.
    """

    classes: Tensor
    """Shape (n,): the true classes, or the targets."""
    targeted: bool = False
    confidence: float = 0.0
    """κ: by how much the wrong class must lead, in units of the outputs."""
    softmax: bool = False
    """Take the margin between probabilities, as the paper prints, instead of logits."""
    slack: float = 0.0
    """A further margin for outputs that are rounded, relative to the row's largest output."""

    def at(self, rows: Tensor) -> "Margin":
        """Return the margin of some of the rows, by their numbers or a mask."""
        return replace(self, classes=self.classes[rows])

    def values(self, logits: Tensor) -> Tensor:
        """Return the margin of each row, shape (n,)."""
        outputs = logits.softmax(dim=1) if self.softmax else logits
        own = outputs.gather(1, self.classes[:, None])[:, 0]
        others = outputs.scatter(1, self.classes[:, None], -torch.inf).max(dim=1).values
        return others - own if self.targeted else own - others

    def log_odds(self, logits: Tensor) -> Tensor:
        """Return the class's log-odds, shape (n,); minus those of a target.

        They rise and fall with the cross entropy, whose gradient has their gradient's direction but
        vanishes where a network is sure of itself.
        """
        own = logits.gather(1, self.classes[:, None])[:, 0]
        others = logits.scatter(1, self.classes[:, None], -torch.inf).logsumexp(dim=1)
        return others - own if self.targeted else own - others

    def fooled(self, logits: Tensor) -> Tensor:
        """Return which rows are adversarial, shape (n,), as the label that a user would see says.

        On a tie the predicted class (the first of the largest) decides, also for 8-bit outputs,
        where ties are common.
        """
        predicted = logits.argmax(dim=1)
        hit = predicted == self.classes if self.targeted else predicted != self.classes
        return hit & (self.values(logits) <= -self._needed(logits))

    def loss(self, logits: Tensor) -> Tensor:
        """Return f = max(margin + κ, 0) of each row, shape (n,).

        Where the margin is zero by a tie and the row is not fooled the gradient does not vanish:
        clamping would leave an attack on 8-bit outputs standing on the boundary.
        """
        margin = self.values(logits) + self._needed(logits.detach())
        return torch.where(self.fooled(logits.detach()), torch.zeros_like(margin), margin)

    def _needed(self, logits: Tensor) -> Tensor | float:
        """Return the lead that the wrong class needs, for each row where it differs."""
        if not self.slack:
            return self.confidence
        scale = 1.0 if self.softmax else logits.abs().amax(dim=1)
        return self.confidence + self.slack * scale
