"""The processes that train one model together, seen from one of them."""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from squeezed.data.share import WHOLE, Share


@dataclass(frozen=True)
class Team:
    """The processes that train one model together. Alone, each method does nothing."""

    share: Share = WHOLE

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.share.processes == 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.share.rank == 0

    def synchronise_batch_norms(self, model: nn.Module, device: torch.device) -> None:
        """Let batch norms normalise by the whole batch, in place; on GPUs only.

        PyTorch has none for processors: there each process uses its share's statistics.
        """
        if not self.alone and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return `model`, made to average its gradients over the team."""
        if self.alone:
            return model
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None
        )

    def weigh(self, loss: Tensor, images: int, batch: int) -> Tensor:
        """Return the mean loss over this share's `images`, made to count by their number.

        The mean over the team of what this returns is the mean over the whole `batch`.
        """
        return loss if self.alone else loss * (images * self.share.processes / batch)

    def add_up(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over the team."""
        if not self.alone:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def agree_on_buffers(self, model: nn.Module) -> None:
        """Give all processes the first one's buffers (running means and variances)."""
        if not self.alone:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)


def current_team() -> Team:
    """Return the team that this process trains in."""
    if not distributed.is_initialized():
        return Team()
    return Team(Share(distributed.get_rank(), distributed.get_world_size()))
