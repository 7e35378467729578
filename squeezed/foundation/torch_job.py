"""A job that computes with a network in PyTorch."""

import functools

import torch

from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.job import Job


class TorchJob(Job):
    """A `Job` with a device."""

    @functools.cached_property
    def device(self) -> torch.device:
        """The device that the job computes on; asked for, it also sets torch's threads.

        Raises:
            UserError: if the settings ask for a GPU and there is none.
        """
        torch.set_num_threads(self.threads)
        device = resolve_device(self.settings["device"])
        self.provenance.facts["device"] = device_name(device)
        return device
