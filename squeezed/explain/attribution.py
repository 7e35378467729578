"""Which pixels a network's decision rests on: guided backpropagation and Grad-CAM, with captum."""

import copy
import warnings

import torch
from captum.attr import GuidedBackprop, LayerAttribution, LayerGradCam
from torch import Tensor, nn

from squeezed.explain.layers import map_layer
from squeezed.foundation.errors import UserError
from squeezed.networks.classifier import Classifier

METHODS = ("guided_backprop", "grad_cam")


class Attributor:
    """Makes maps of one network with one method."""

    def __init__(
        self, model: Classifier, method: str, image: Tensor, layer: str | None = None
    ) -> None:
        """Prepare a copy of `model`; the model itself keeps no hook.

        Args:
            model: in evaluation mode; a quantized one passes gradients straight through.
            method: one of `METHODS`.
            image: any one image, shape (1, 3, H, W), on the model's device.
            layer: the module that Grad-CAM weighs, instead of the last convolution's ReLU.

        Raises:
            UserError: if there is no such method or layer, or guided backpropagation finds no ReLU.
        """
        self._model = _hookable(model)
        self._method = method
        if method == "guided_backprop":
            if not any(isinstance(module, nn.ReLU) for module in model.modules()):
                raise UserError(
                    "guided_backprop needs ReLU modules and the network has none; "
                    "leave it out of cam.methods"
                )
            self._captum = GuidedBackprop(self._model)
        elif method == "grad_cam":
            chosen = map_layer(self._model, image, layer)
            module = self._model.network.get_submodule(chosen.name)
            self._captum = LayerGradCam(self._model, module)
        else:
            raise UserError(f"cam.methods names {method!r}; choose from {', '.join(METHODS)}")

    def maps(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return how much each pixel speaks for a class, shape (n, H, W), at least 0, no unit.

        Guided backpropagation: the largest positive gradient of the colour channels. Grad-CAM:
        the layer's channels, weighed by their mean gradients, rectified and enlarged (bilinear).

        Args:
            images: shape (n, 3, H, W), in [0, 1].
            targets: the class to explain of each image, shape (n,).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum announces its hooks at every call
            if self._method == "guided_backprop":
                gradients = self._captum.attribute(images.detach().clone(), target=targets)
                return gradients.clamp(min=0).amax(dim=1).detach()
            coarse = self._captum.attribute(
                images.detach().clone(), target=targets, relu_attributions=True
            )
        size = (int(images.shape[2]), int(images.shape[3]))
        enlarged: Tensor = LayerAttribution.interpolate(coarse, size, "bilinear")
        return enlarged[:, 0].detach()


def _hookable(model: Classifier) -> Classifier:
    """Copy a model so that captum's hooks see every ReLU's own input and output.

    An in-place ReLU writes over the tensor that the hooks read.
    """
    hookable = copy.deepcopy(model).eval().requires_grad_(False)
    for module in hookable.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return hookable


@torch.no_grad()
def predictions(model: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the predicted class of each image and its probability, both of shape (n,)."""
    confidence, predicted = model(images).softmax(dim=1).max(dim=1)
    return predicted, confidence
