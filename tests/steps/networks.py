"""Small networks with weights and batch-norm statistics that are not the initial ones."""

import torch
from torch import nn

from squeezed.networks import VGG6, Classifier, build_network

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
SIZE = (8, 8)
CLASSES = 5


def disturb(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw all parameters and batch-norm statistics anew, as if the network had been trained."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.3, 2.0, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return network.eval()


def tiny_vgg(seed: int = 0, widths: tuple[int, ...] = (4, 6, 6, 8)) -> Classifier:
    """A VGG-6 with four narrow convolutions, for 8×8 images."""
    network = VGG6(CLASSES, SIZE, widths=widths, hidden_features=(12, 10))
    return Classifier(disturb(network, seed), MEAN, STD).eval()


def narrow_vgg16(seed: int = 0) -> Classifier:
    """torchvision's VGG-16 with batch norm, whose fully connected layers are 16 wide."""
    from torchvision.models import vgg16_bn

    with torch.device("meta"):  # without drawing 10⁸ weights that are replaced at once
        network = vgg16_bn(num_classes=CLASSES, dropout=0.0)
        network.classifier[0] = nn.Linear(512 * 7 * 7, 16)
        network.classifier[3] = nn.Linear(16, 16)
        network.classifier[6] = nn.Linear(16, CLASSES)
    network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return Classifier(disturb(network, seed), MEAN, STD).eval()


def resnet18(seed: int = 0) -> Classifier:
    """torchvision's ResNet-18 with random weights."""
    network = build_network("resnet18", num_classes=CLASSES, image_size=(32, 32))
    return Classifier(disturb(network, seed), MEAN, STD).eval()


def images(n: int, size: tuple[int, int] = SIZE, seed: int = 0) -> torch.Tensor:
    """Random images in [0, 1], shape (n, 3, H, W)."""
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))
