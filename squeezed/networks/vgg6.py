"""VGG-6, the paper's small network for 32×32 images."""

import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError

# The paper gives no widths. These are our choice: they flatten to the 2,048 features it states at
# 32×32, reach its CIFAR-10 accuracy, and their 110,160 numbers outside the fully connected layers
# (109,584 trainable, 576 running means and variances) are what its 9.87 → 2.79 MB leaves in 32 bits
# (110,080, a MB being 1.024e6 bytes) if only the fully connected layers are quantized. The 9.87 MB
# itself cannot be: the fully connected layers alone take 10.5e6 bytes.
PAPER_WIDTHS = (16, 16, 32, 32, 64, 128)
HIDDEN_FEATURES = (1024, 512)


class VGG6(nn.Module):
    """3×3 convolutions with batch norm and ReLU, pooled in pairs, then three linear layers.

    With the default arguments and ten classes it has 2,737,690 trainable parameters.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int] = (32, 32),
        widths: tuple[int, ...] = PAPER_WIDTHS,
        hidden_features: tuple[int, int] = HIDDEN_FEATURES,
    ) -> None:
        """Build the network.

        Args:
            num_classes: outputs of the last layer.
            image_size: height and width of the input; each is halved (rounded down) three times.
            widths: output channels of the convolutions; pooling follows each second one.
            hidden_features: outputs of the first and second fully connected layer.

        Raises:
            UserError: if an image is too small to be halved that often.
        """
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        height, width = image_size
        for index, width_out in enumerate(widths, start=1):
            layers += [
                nn.Conv2d(channels, width_out, kernel_size=3, padding=1),
                nn.BatchNorm2d(width_out),
                nn.ReLU(),
            ]
            channels = width_out
            if index % 2 == 0:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        if min(height, width) < 1:
            raise UserError(
                f"images of {image_size[0]}×{image_size[1]} are too small for vgg6 with "
                f"{len(widths)} convolutions: each side needs at least {2 ** (len(widths) // 2)}"
            )
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(channels * height * width, hidden_features[0]),
            nn.ReLU(),
            nn.Linear(hidden_features[0], hidden_features[1]),
            nn.ReLU(),
            nn.Linear(hidden_features[1], num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images, shape (n, 3, H, W), to logits, shape (n, num_classes)."""
        logits: Tensor = self.classifier(self.flatten(self.features(images)))
        return logits


def initialise_vgg6(network: VGG6, generator: torch.Generator) -> None:
    """Draw the weights anew: He's normal initialisation, biases zero (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
