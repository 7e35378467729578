"""Whether a map depends on what the network has learned (Adebayo et al. 2018)."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, fx

from squeezed.explain.trunk import Trunk, weight_of


def cascade(twin: fx.GraphModule, *, seed: int) -> Iterator[tuple[str, fx.GraphModule]]:
    """Yield ever more of the network re-initialised, from the logits down to the image.

    A layer is re-initialised by shuffling its weights, and its biases: it keeps their
    distribution (and a pruned layer its sparsity, a quantized one its steps), and nothing of
    what was learned is left but that.

    Args:
        twin: left as it is.
        seed: of the shuffling.

    Yields:
        the name of the layer that was last re-initialised, and the network so far. It is the same
        object each time, changed in place.
    """
    randomised = copy.deepcopy(twin)
    generator = torch.Generator().manual_seed(seed)
    for node in reversed(Trunk(randomised).weighted_nodes()):
        weight = weight_of(randomised, node)
        assert weight is not None
        _shuffle(weight.data, generator)
        if node.op == "call_module":
            bias = randomised.get_submodule(str(node.target)).bias
            if isinstance(bias, Tensor):
                _shuffle(bias.data, generator)
        yield node.meta.get("onnx_node") or node.name, randomised


def _shuffle(tensor: Tensor, generator: torch.Generator) -> None:
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    tensor.copy_(tensor.flatten()[order].view_as(tensor))
