"""The ResNets that He et al. (2016) made for CIFAR-10: ResNet-20, -32, -44, -56, -110.

With the names of Y. Idelbayev's published weights (github.com/akamaster/pytorch_resnet_cifar10),
which expect images normalised by ImageNet's mean and standard deviation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from squeezed.foundation.errors import UserError


class ZeroPadShortcut(nn.Module):
    """Option A: every second row and column, with channels of zeros before and after."""

    order: Tensor

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        """Put the `in_channels` in the middle of `out_channels`."""
        super().__init__()
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride
        before = (out_channels - in_channels) // 2
        self.sources = [
            channel - before if 0 <= channel - before < in_channels else in_channels
            for channel in range(out_channels)
        ]
        """The input channel that each output channel is; `in_channels` means zeros."""
        self._arrange()

    def keep(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Keep some input and output channels; where an output's input is gone, it is zeros."""
        places = {channel: place for place, channel in enumerate(inputs)}
        self.sources = [places.get(self.sources[o], len(inputs)) for o in outputs]
        self.in_channels, self.out_channels = len(inputs), len(outputs)
        self._arrange()

    def _arrange(self) -> None:
        """Find the channels of zeros at both ends, and what is between them."""
        real = [place for place, source in enumerate(self.sources) if source < self.in_channels]
        first, last = (real[0], real[-1] + 1) if real else (0, 1)
        self.before, self.after = first, self.out_channels - last
        order = self.sources[first:last]
        self.in_order = order == list(range(self.in_channels))
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Map values of shape (n, inputs, H, W) to (n, outputs, H/stride, W/stride)."""
        values = values[:, :, :: self.stride, :: self.stride]
        if not self.in_order:
            with_zeros = functional.pad(values, (0, 0, 0, 0, 0, 1))
            values = with_zeros.index_select(1, self.order)
        return functional.pad(values, (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, and a shortcut without parameters."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        """Build a block that maps `in_channels` to `channels`."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == channels
            else ZeroPadShortcut(in_channels, channels, stride)
        )
        self.relu2 = nn.ReLU()

    def forward(self, values: Tensor) -> Tensor:
        """Map values of shape (n, in_channels, H, W)."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(values)))))
        outputs: Tensor = self.relu2(residual + self.shortcut(values))
        return outputs


class ResNetCifar(nn.Module):
    """Three stages of n blocks, as wide as `width` × 1, 2, 4; depth 6n + 2."""

    def __init__(self, num_classes: int, depth: int = 20, width: int = 16) -> None:
        """Build the network.

        Args:
            num_classes: outputs of the last layer.
            depth: 20, 32, 44, 56, 110, … (6n + 2).
            width: channels of the first stage.

        Raises:
            UserError: if the depth is no 6n + 2, or the width is below 2.
        """
        super().__init__()
        if depth < 8 or (depth - 2) % 6 or width < 2:
            raise UserError(
                f"architecture resnet_cifar: depth must be 8, 14, 20, … (6n + 2) and width at "
                f"least 2, not {depth} and {width}"
            )
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        blocks = (depth - 2) // 6
        self.layer1 = self._stage(width, width, 1, blocks)
        self.layer2 = self._stage(width, 2 * width, 2, blocks)
        self.layer3 = self._stage(2 * width, 4 * width, 2, blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def _stage(in_channels: int, channels: int, stride: int, blocks: int) -> nn.Sequential:
        return nn.Sequential(
            *(
                BasicBlock(channels if index else in_channels, channels, 1 if index else stride)
                for index in range(blocks)
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images, shape (n, 3, H, W), to logits, shape (n, num_classes)."""
        values = self.relu(self.bn1(self.conv1(images)))
        values = self.layer3(self.layer2(self.layer1(values)))
        logits: Tensor = self.linear(self.flatten(self.avgpool(values)))
        return logits
