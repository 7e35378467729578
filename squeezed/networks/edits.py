"""The structural edits of a network, each named by its verb, and how they are done again.

An edit is a small JSON object. A network file lists those that its steps made, in order; loading
makes the architecture anew, replays them, and then loads the tensors.

- `{"edit": "cut", "convolutions": 1}`: the last convolutions of a sequence are gone
  (`squeezed.networks.cut_sequence`).
- `{"edit": "cut", "after": "layer4.0.relu_1"}`: everything between that activation map and the
  pooling is gone (`squeezed.networks.cut_trunk`).
- `{"edit": "remove", "channels": {"conv1": {"inputs": [], "outputs": [0, 5]}}}`: these input and
  output channels of these modules are gone (`squeezed.networks.channels`).
- `{"edit": "factorize", "ranks": {"fc": 32}}`: these layers are two in a row
  (`squeezed.networks.low_rank`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from squeezed.foundation.errors import UserError, first_line
from squeezed.networks.channels import remove_channels
from squeezed.networks.cut_sequence import remove_last_convolutions
from squeezed.networks.cut_trunk import cut_after
from squeezed.networks.low_rank import split_layers

Edit = dict[str, Any]


def replay(
    network: nn.Module, edits: Sequence[Mapping[str, Any]], image_size: tuple[int, int]
) -> nn.Module:
    """Do structural edits again, in order; the weights of what they make are undefined.

    Args:
        network: freshly built, changed in place where that is possible.
        edits: as a network file lists them.
        image_size: height and width of the network's images.

    Returns:
        The edited network, which may be another object.

    Raises:
        UserError: if an edit is unknown or does not fit the network.
    """
    for edit in edits:
        parameters = dict(edit)
        verb = parameters.pop("edit", None)
        if not isinstance(verb, str) or verb not in VERBS:
            raise UserError(f"there is no edit {verb!r}; known are {', '.join(VERBS)}")
        try:
            network = VERBS[verb](network, image_size, **parameters)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise UserError(f"the edit {verb!r} does not fit ({first_line(error)})") from error
    return network


def _cut(
    network: nn.Module,
    image_size: tuple[int, int],
    *,
    convolutions: int | None = None,
    after: str | None = None,
) -> nn.Module:
    if (convolutions is None) == (after is None):
        raise ValueError("it needs one of 'convolutions' and 'after'")
    if after is not None:
        return cut_after(network, after, image_size).network
    assert convolutions is not None
    remove_last_convolutions(network, convolutions, image_size)
    return network


def _remove(
    network: nn.Module, image_size: tuple[int, int], *, channels: Mapping[str, Any]
) -> nn.Module:
    remove_channels(network, channels)
    return network


def _factorize(
    network: nn.Module, image_size: tuple[int, int], *, ranks: Mapping[str, int]
) -> nn.Module:
    split_layers(network, ranks)
    return network


VERBS: dict[str, Callable[..., nn.Module]] = {
    "cut": _cut,
    "remove": _remove,
    "factorize": _factorize,
}
