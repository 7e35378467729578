"""Load named tensors into a network."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn


def load_state(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load all tensors of a network, as `load_state_dict` does, from any mapping.

    A state dictionary also carries versions of its layers, which a file of tensors has not; some
    networks (MNASNet) load differently without. They are those of `network` here.

    Raises:
        RuntimeError: if a tensor is lacking, unknown or of another shape.
    """
    state: OrderedDict[str, Tensor] = OrderedDict(tensors)
    setattr(state, "_metadata", getattr(network.state_dict(), "_metadata", {}))  # noqa: B010 (untyped)
    network.load_state_dict(state)
