"""A model made ready to be attacked: always the same batch shape, only the input's gradient."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from squeezed.attacks.streamline import in_bfloat16, streamlined
from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.rounding import DynamicFakeQuantize, gradient_of_rounding, is_rounded

LARGE_IMAGE = 3 * 64 * 64


def rows_for(device: torch.device, image_elements: int, precision: str = "fp32") -> int:
    """Return how many images are evaluated together.

    It depends on the device, the precision and the size of an image alone. Kernels choose their
    order of summation by the shape of a batch; with one shape for all batches an image's result is
    the same bits whichever images are attacked beside it, and however many.
    """
    if device.type == "cuda":
        return max(32, min(1024, 2**22 // image_elements))
    if image_elements > LARGE_IMAGE:
        return 8
    return 256 if precision == "bf16" else 64


class Victim:
    """Evaluates a model in batches of one fixed shape, padded where there are fewer images.

    The model (`original`) is copied, so the caller's stays as it is. The copy's parameters take no
    gradient, it is laid out channels-last and, where it is a twin, rearranged: all that only saves
    time.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        straight_through: bool = True,
        rows: int | None = None,
        images: int | None = None,
    ) -> None:
        """Prepare `model`.

        Args:
            model: maps images (n, C, H, W) in [0, 1] to logits (n, classes); a twin, or any other
                module, which is attacked as it is.
            device: where to compute.
            precision: of the network's arithmetic in `step`, `fp32` or `bf16`; `logits` is always
                float32. 8-bit twins compute in float32: bfloat16 would blur their steps.
            straight_through: take the gradient of rounding in 8-bit layers as 1, so that a
                gradient reaches the image. False: its true value, 0, so that none does, as in
                PyTorch's own dynamically quantized layers.
            rows: the fixed batch size; default: by `rows_for`. Results are comparable bit for bit
                only between equal `rows`.
            images: how many will be attacked at most, at least 1: batches by `rows_for` are no
                larger, so that nothing is spent on padding.
        """
        self.original = model
        self.device = torch.device(device)
        self._rows, self._most = rows, images
        self.straight_through = straight_through
        self.model: nn.Module = (
            streamlined(model) if isinstance(model, fx.GraphModule) else copy.deepcopy(model)
        )
        self.model.eval().requires_grad_(False)
        for module in self.model.modules():
            if isinstance(module, DynamicFakeQuantize):
                module.range_of_each_image = True  # else an image's neighbours change its result
        self.precision = "fp32" if is_rounded(self.model) else precision
        self.model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._quick: nn.Module | None = None
        if self.precision == "bf16" and isinstance(self.model, fx.GraphModule):
            self._quick = in_bfloat16(self.model)

    def rows(self, image_shape: torch.Size) -> int:
        """Return the fixed batch size of `step` for images of shape (C, H, W)."""
        return self._fixed(image_shape.numel(), self.precision)

    def logits(self, images: Tensor) -> Tensor:
        """Return the float32 logits of any number of images, on the CPU, shape (n, classes).

        Raises:
            UserError: if a logit is NaN or infinite.
        """
        rows = self._fixed(images.shape[1:].numel())
        batches = [
            self._evaluate(images[start : start + rows], rows)
            for start in range(0, len(images), rows)
        ]
        if not batches:  # the number of classes is known from an evaluation only
            return self._evaluate(images.new_zeros(1, *images.shape[1:]), rows)[:0]
        return torch.cat(batches)

    def step(
        self, images: Tensor, objective: Callable[[Tensor], Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """Evaluate one batch of exactly `rows` images, and the gradient of an objective.

        Args:
            images: shape (rows, C, H, W), float32, on the victim's device.
            objective: maps logits (rows, classes) to one value for each row; None if no gradient
                is needed.

        Returns:
            The logits (rows, classes), float32, and the gradient of the sum of the objective with
            respect to the images. The gradient is None where none was asked for, and where none
            reaches the images: the model cut it.

        Raises:
            UserError: if a logit or the gradient is NaN or infinite.
        """
        if objective is None:
            with torch.no_grad():
                return _finite(self._forward(images)), None
        images = images.detach().requires_grad_(True)
        logits = _finite(self._forward(images))
        if not logits.requires_grad:
            return logits, None
        (gradient,) = torch.autograd.grad(objective(logits).sum(), images, allow_unused=True)
        if gradient is not None and not torch.isfinite(gradient.sum()):  # the sum keeps NaN
            raise UserError("the model's gradient is NaN or infinite, so it cannot be attacked")
        return logits.detach(), gradient

    def _fixed(self, image_elements: int, precision: str = "fp32") -> int:
        usual = self._rows or rows_for(self.device, image_elements, precision)
        return usual if self._rows or self._most is None else min(usual, self._most)

    def _forward(self, images: Tensor) -> Tensor:
        if not self.straight_through:
            with gradient_of_rounding(self.model):
                unrounded: Tensor = self.model(images)
            return unrounded
        if self._quick is not None:
            try:
                quick: Tensor = self._quick(images)
                return quick
            except RuntimeError:  # a graph may insist on float32 somewhere: autocast sees to that
                self._quick = None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = self.model(images)
        return logits.float()

    @torch.no_grad()
    def _evaluate(self, images: Tensor, rows: int) -> Tensor:
        missing = rows - len(images)
        padded = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing else images
        padded = padded.to(device=self.device, memory_format=torch.channels_last)
        return _finite(self.model(padded))[: len(images)].float().cpu()


def _finite(logits: Tensor) -> Tensor:
    if not torch.isfinite(logits).all():
        raise UserError(
            "the model returns NaN or infinite logits for images in [0, 1], so it cannot be "
            "attacked; check its weights (a training that diverged, a range that overflowed)"
        )
    return logits
