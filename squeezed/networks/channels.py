"""Take channels out of a network: smaller layers, not zeros.

Which channels depend on each other (through additions, concatenations, depthwise convolutions) is
the business of `squeezed.steps.channel_groups`; here they are taken out, layer by layer.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from squeezed.networks.resnet_cifar import ZeroPadShortcut

Removal = Mapping[str, Sequence[int]]
"""`inputs` and `outputs`: the indices of a module's channels that go."""


def remove_channels(network: nn.Module, channels: Mapping[str, Removal]) -> None:
    """Take channels out of modules, in place; all other weights stay bit for bit.

    Args:
        network: of which modules are changed.
        channels: by the name of a module (a convolution, fully connected layer, batch norm, layer
            norm or `ZeroPadShortcut`), the indices of its `inputs` and `outputs` to remove. Layers
            with one set of channels (norms, depthwise convolutions) have `outputs` alone.

    Raises:
        ValueError: if an index is outside of its module, all of its channels would go, or a group
            of a grouped convolution would lose more than another.
        AttributeError: if there is no such module.
        TypeError: if channels of such a module cannot be removed.
    """
    for name, removal in channels.items():
        if set(removal) - {"inputs", "outputs"}:
            raise ValueError(f"{name}: its channels are 'inputs' or 'outputs', not {set(removal)}")
        module = network.get_submodule(name)
        inputs, outputs = removal.get("inputs", ()), removal.get("outputs", ())
        if isinstance(module, nn.Conv2d):
            _shrink_convolution(name, module, inputs, outputs)
        elif isinstance(module, nn.Linear):
            kept_in = _kept(name, module.in_features, inputs)
            kept_out = _kept(name, module.out_features, outputs)
            module.weight = _parameter(module.weight, kept_out, kept_in)
            if module.bias is not None:
                module.bias = _parameter(module.bias, kept_out)
            module.in_features, module.out_features = len(kept_in), len(kept_out)
        elif isinstance(module, nn.BatchNorm2d):
            _shrink_batch_norm(name, module, outputs)
        elif isinstance(module, ZeroPadShortcut):
            module.keep(
                _kept(name, module.in_channels, inputs).tolist(),
                _kept(name, module.out_channels, outputs).tolist(),
            )
        else:
            raise TypeError(f"channels cannot be removed from {name}, a {type(module).__name__}")


def _kept(name: str, total: int, removed: Sequence[int]) -> Tensor:
    gone = set(removed)
    if not gone <= set(range(total)) or len(gone) == total:
        raise ValueError(f"{name} has {total} channels; some of them must stay")
    return torch.tensor([index for index in range(total) if index not in gone])


def _parameter(old: Tensor, *kept: Tensor) -> nn.Parameter:
    tensor = old.detach()
    for dimension, indices in enumerate(kept):
        tensor = tensor.index_select(dimension, indices.to(tensor.device))
    return nn.Parameter(tensor.clone(), requires_grad=old.requires_grad)


def _shrink_convolution(
    name: str, module: nn.Conv2d, inputs: Sequence[int], outputs: Sequence[int]
) -> None:
    kept_out = _kept(name, module.out_channels, outputs)
    if module.groups == module.in_channels == module.out_channels > 1:  # depthwise
        module.weight = _parameter(module.weight, kept_out)
        module.in_channels = module.groups = len(kept_out)
    else:
        groups = module.groups
        kept_in_list = _kept(name, module.in_channels, inputs).tolist()
        width_in, width_out = module.in_channels // groups, module.out_channels // groups
        rows = [[o for o in kept_out.tolist() if o // width_out == g] for g in range(groups)]
        columns = [
            [i - g * width_in for i in kept_in_list if i // width_in == g] for g in range(groups)
        ]
        if len({len(row) for row in rows}) > 1 or len({len(column) for column in columns}) > 1:
            raise ValueError(f"{name}: each group of a convolution must lose as many channels")
        weight = module.weight.detach()
        parts = [weight[row][:, column] for row, column in zip(rows, columns, strict=True)]
        module.weight = nn.Parameter(torch.cat(parts).clone(), module.weight.requires_grad)
        module.in_channels = len(kept_in_list)
    if module.bias is not None:
        module.bias = _parameter(module.bias, kept_out)
    module.out_channels = len(kept_out)


def _shrink_batch_norm(name: str, module: nn.BatchNorm2d, outputs: Sequence[int]) -> None:
    kept = _kept(name, module.num_features, outputs)
    if module.affine:
        module.weight = _parameter(module.weight, kept)
        module.bias = _parameter(module.bias, kept)
    if module.running_mean is not None and module.running_var is not None:
        module.running_mean = module.running_mean[kept].clone()
        module.running_var = module.running_var[kept].clone()
    module.num_features = len(kept)
