"""Fold batch normalisation into the convolution before it: the same function, fewer layers."""

import copy

from torch import fx, nn

from squeezed.networks.call_graph import call_graph
from squeezed.networks.surgery import replace_module


def fold_batch_norm(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return a copy of `network` without the batch norms that directly follow a convolution.

    Each becomes an `nn.Identity` and its convolution gets new weights and a bias, so that class
    and names stay. In evaluation mode the copy computes the same logits (up to rounding).

    Args:
        network: any network that torch.fx can trace.

    Returns:
        The copy, in evaluation mode, and the names of the folded batch norms.

    Raises:
        UserError: if torch.fx cannot trace the network.
    """
    network = copy.deepcopy(network).eval()
    pairs = convolution_batch_norm_pairs(network)
    for convolution_name, batch_norm_name in pairs:
        convolution = network.get_submodule(convolution_name)
        batch_norm = network.get_submodule(batch_norm_name)
        assert isinstance(convolution, nn.Conv2d) and isinstance(batch_norm, nn.BatchNorm2d)
        _fold(convolution, batch_norm)
        replace_module(network, batch_norm_name, nn.Identity())
    return network, [batch_norm for _, batch_norm in pairs]


def convolution_batch_norm_pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Return the names of each convolution and the batch norm that alone reads its output.

    Raises:
        UserError: if torch.fx cannot trace the network.
    """
    graph = call_graph(network)
    modules = dict(network.named_modules())
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    pairs = []
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[str(node.target)], nn.BatchNorm2d):
            continue
        source = node.args[0]
        if (
            isinstance(source, fx.Node)
            and source.op == "call_module"
            and isinstance(modules[str(source.target)], nn.Conv2d)
            and len(source.users) == 1
            and calls.count(str(source.target)) == calls.count(str(node.target)) == 1
            and modules[str(node.target)].running_mean is not None
        ):
            pairs.append((str(source.target), str(node.target)))
    return pairs


def _fold(convolution: nn.Conv2d, batch_norm: nn.BatchNorm2d) -> None:
    """Put γ(conv(x) + b − mean)/√(var + ε) + β into the convolution's weight and bias."""
    assert batch_norm.running_mean is not None and batch_norm.running_var is not None
    mean = batch_norm.running_mean.double()
    factor = (batch_norm.running_var.double() + batch_norm.eps).rsqrt()
    if batch_norm.weight is not None:
        factor = factor * batch_norm.weight.detach().double()
    bias = -mean if convolution.bias is None else convolution.bias.detach().double() - mean
    bias = bias * factor
    if batch_norm.bias is not None:
        bias = bias + batch_norm.bias.detach().double()
    weight = convolution.weight.detach()
    folded = weight.double() * factor.view(-1, 1, 1, 1)
    convolution.weight = nn.Parameter(folded.to(weight.dtype))
    convolution.bias = nn.Parameter(bias.to(weight.dtype))
