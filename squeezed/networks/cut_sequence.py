"""Cut a sequence of convolutions: take the last ones away (the paper's Algorithm 2)."""

import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks.surgery import remove_module, replace_module

# What belongs to a convolution and goes with it. Pooling stays: the paper's ablated VGG-16 is
# smaller by one convolution's weights alone (540 → 531 MB), so its flattened size did not change.
BELONGS_TO_CONVOLUTION = (nn.BatchNorm2d, nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU)


def remove_last_convolutions(
    network: nn.Module, count: int, image_size: tuple[int, int]
) -> str | None:
    """Remove the last convolutions of `network`, in place, and what belongs to each.

    The first fully connected layer is replaced by one with the new number of inputs, and random
    weights, only where that number changes.

    Args:
        network: its convolutions are direct children of one `nn.Sequential` called `features`,
            and at least one `nn.Linear` follows, as in VGG.
        count: how many convolutions to remove; at least one must stay.
        image_size: height and width of the network's images.

    Returns:
        The name of the reshaped fully connected layer, None where the weights still fit.

    Raises:
        UserError: if the network is not built so, or has too few convolutions.
    """
    if not is_sequence(network):
        raise UserError(
            f"the last convolutions of {type(network).__name__} cannot be removed: they must all "
            "be in one nn.Sequential called 'features', as in vgg6 or vgg16_bn"
        )
    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    inside = _convolutions(network)
    if not 1 <= count < len(inside):
        raise UserError(
            f"cannot ablate {count} of {len(inside)} convolutions of {type(network).__name__}; "
            f"choose from 1 to {len(inside) - 1}"
        )
    linear_name = _first_linear(network)
    for convolution in inside[-count:]:
        _remove_convolution(network, features, convolution)
    return _reshape(network, linear_name, image_size)


def is_sequence(network: nn.Module) -> bool:
    """Tell whether all convolutions are in one `nn.Sequential` called `features`, one by one."""
    features = getattr(network, "features", None)
    return isinstance(features, nn.Sequential) and all(
        name.startswith("features.") and name.count(".") == 1 for name in _convolutions(network)
    )


def _convolutions(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]


def _first_linear(network: nn.Module) -> str:
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            return name
    raise UserError(
        f"{type(network).__name__} cannot be ablated: it has no fully connected layer to retrain"
    )


def _remove_convolution(network: nn.Module, features: nn.Sequential, name: str) -> None:
    own_name = name.rpartition(".")[2]
    names = list(dict(features.named_children()))
    doomed = [own_name]
    for following in names[names.index(own_name) + 1 :]:
        if not isinstance(features.get_submodule(following), BELONGS_TO_CONVOLUTION):
            break
        doomed.append(following)
    for each in doomed:
        remove_module(network, f"features.{each}")


def _reshape(network: nn.Module, name: str, image_size: tuple[int, int]) -> str | None:
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    inputs = _inputs_of(network, name, image_size)
    if inputs == old.in_features:
        return None
    new = nn.Linear(inputs, old.out_features, bias=old.bias is not None)
    replace_module(network, name, new)
    return name


def _inputs_of(network: nn.Module, name: str, image_size: tuple[int, int]) -> int:
    """Return how many values reach the layer `name` for one image."""

    class Reached(Exception):
        pass

    def stop(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        raise Reached(inputs[0].shape[-1])

    hook = network.get_submodule(name).register_forward_pre_hook(stop)
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, *image_size))
    except Reached as reached:
        return int(reached.args[0])
    finally:
        hook.remove()
        network.train(training)
    raise UserError(f"{type(network).__name__} cannot be ablated: {name} is never reached")
