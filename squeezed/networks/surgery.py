"""Replace a module inside a network by its name, so that all other names stay as they are."""

from torch import nn


def replace_module(network: nn.Module, name: str, replacement: nn.Module) -> None:
    """Put `replacement` where `network.get_submodule(name)` was.

    Raises:
        AttributeError: if there is no such module.
    """
    parent_name, _, own_name = name.rpartition(".")
    parent = network.get_submodule(parent_name)
    parent.get_submodule(own_name)
    setattr(parent, own_name, replacement)


def remove_module(network: nn.Module, name: str) -> None:
    """Take a module out of the `nn.Sequential` that holds it; its neighbours keep their names."""
    parent_name, _, own_name = name.rpartition(".")
    delattr(network.get_submodule(parent_name), own_name)
