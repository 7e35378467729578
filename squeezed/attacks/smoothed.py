"""A victim whose gradient is averaged over noise: it sees past what only blurs a gradient."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from squeezed.attacks.victim import Victim


class SmoothedVictim(Victim):
    """Hands back the mean gradient around an image, with the logits of the image itself.

    Ripples, staircases and switches that are finer than the noise have a gradient of their own,
    which leads nowhere; its mean is that of what they are laid over (Athalye et al. 2018).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: torch.device | str = "cpu",
        rows: int | None = None,
        length: float,
        draws: int,
        seed: int = 0,
    ) -> None:
        """Prepare `model`.

        Args:
            model: as for `Victim`, evaluated in float32 with straight-through gradients.
            device: where to compute.
            rows: the fixed batch size, as for `Victim`.
            length: of the noise, in L2.
            draws: pairs of noise and its opposite for each gradient.
            seed: of the noise.
        """
        super().__init__(model, device=device, rows=rows)
        self._length, self._draws = length, draws
        self._random = torch.Generator().manual_seed(seed)

    def step(
        self, images: Tensor, objective: Callable[[Tensor], Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """Evaluate one batch of exactly `rows` images, and the mean gradient around each of them.

        See `Victim.step`.
        """
        logits, mean = super().step(images, None)[0], None
        if objective is None:
            return logits, None
        sigma = self._length / images[0].numel() ** 0.5
        for _ in range(self._draws):
            noise = sigma * torch.randn(images.shape, generator=self._random).to(images.device)
            for moved in (images + noise, images - noise):
                gradient = super().step(moved.clamp(0, 1), objective)[1]
                if gradient is not None:
                    mean = gradient if mean is None else mean + gradient
        return logits, mean
