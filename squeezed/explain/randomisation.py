"""Whether a map depends on what the network has learned (Adebayo et al. 2018)."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from squeezed.explain.layers import weighted_layers
from squeezed.networks.classifier import Classifier


def cascade(model: Classifier, image: Tensor, *, seed: int) -> Iterator[tuple[str, Classifier]]:
    """Yield ever more of the network re-initialised, from the logits down to the image.

    A layer is re-initialised by shuffling its weights, and its biases: it keeps their
    distribution (and a pruned layer its sparsity, a quantized one its integers), and nothing of
    what was learned is left but that.

    Args:
        model: in evaluation mode; left as it is.
        image: one image, shape (1, 3, H, W), to see in which order the layers run.
        seed: of the shuffling.

    Yields:
        the name of the layer that was last re-initialised, and the network so far. It is the same
        object each time, changed in place.
    """
    randomised = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for name in reversed(weighted_layers(model, image)):
        module = randomised.network.get_submodule(name)
        for tensor in (module.weight, module.bias):
            if isinstance(tensor, Tensor):
                _shuffle(tensor.data, generator)
        yield name, randomised


def _shuffle(tensor: Tensor, generator: torch.Generator) -> None:
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    tensor.copy_(tensor.flatten()[order].view_as(tensor))
