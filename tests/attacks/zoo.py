"""Models whose robustness is a mask, and models that are what they seem, on scikit-learn's digits.

The networks are trained here, small, on images of 16×16.
"""

import copy
import functools
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

SIDE = 16
ATTACKED = 30


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """All 1,797 images, float32 (n, 1, 16, 16) in [0, 1], and their labels."""
    data = load_digits()
    small = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    large = functional.interpolate(small, (SIDE, SIDE), mode="bilinear").clamp(0, 1)
    order = torch.randperm(len(large), generator=torch.Generator().manual_seed(0))
    return large[order], torch.tensor(data.target)[order]


def test_images() -> tuple[Tensor, Tensor]:
    """The images that are attacked, and on which no network was trained."""
    images, labels = digits()
    return images[:ATTACKED], labels[:ATTACKED]


def network(width: int = 8, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Two convolutions and two fully connected layers, untrained."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 32),
        activation(),
        nn.Linear(32, 10),
    )


def trained(
    model: nn.Module, *, epochs: int = 6, seed: int = 0, adversarial: float = 0.0
) -> nn.Module:
    """Train on the images that are not attacked; against changes of this L2 length, if any."""
    torch.manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    images, labels = (part[ATTACKED:] for part in digits())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(64):
            x, y = images[chosen], labels[chosen]
            if adversarial:
                x = _worst(model, x, y, adversarial)
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model.eval()


def _worst(model: nn.Module, images: Tensor, labels: Tensor, length: float) -> Tensor:
    """Five steps of projected gradient ascent within an L2 ball (Madry et al. 2018)."""
    change = torch.zeros_like(images)
    for _ in range(5):
        x = (images + change).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(functional.cross_entropy(model(x), labels), x)
        norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
        change = change + length / 3 * gradient / norm
        norm = change.flatten(1).norm(dim=1).clamp(min=length)[:, None, None, None]
        change = change * length / norm
    return (images + change).clamp(0, 1)


@functools.cache
def baseline() -> nn.Module:
    """The network that the masks are put before, behind and into."""
    return trained(network())


class Composed(nn.Module):
    """A function of the image before the network, and one of the logits behind it."""

    def __init__(
        self,
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], Tensor] = lambda z: z,
    ) -> None:
        super().__init__()
        self.network, self.before, self.after = baseline(), before, after

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.network(self.before(images)))

    def __deepcopy__(self, memo: dict[int, object]) -> "Composed":
        return Composed(self.before, self.after)


class KWinners(nn.Module):
    """k-winners-take-all (Xiao et al. 2020): all but a share of the activations are zero."""

    def __init__(self, share: float = 0.15) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        least = flat.topk(max(1, int(self.share * flat.shape[1])), dim=1).values[:, -1:]
        return torch.where(flat >= least, flat, 0).view_as(x)


class Misled(nn.Module):
    """The network's logits with another network's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.network = baseline()
        torch.manual_seed(7)
        self.other = network().eval()

    def forward(self, images: Tensor) -> Tensor:
        own, other = self.network(images).detach(), self.other(images)
        return own + other - other.detach()


class HalfDetached(nn.Module):
    """A gradient reaches the left half of the image alone."""

    def __init__(self) -> None:
        super().__init__()
        self.network = baseline()

    def forward(self, images: Tensor) -> Tensor:
        left = torch.arange(images.shape[3]) < images.shape[3] // 2
        return self.network(torch.where(left, images, images.detach()))


class Stairs(nn.Module):
    """An activation in steps, whose gradient is zero but for a leak."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.02 * x + 0.98 * ((4 * x).round() / 4).relu()


def ripple(images: Tensor, size: float = 0.01, waves: float = 50.0) -> Tensor:
    return images + size * torch.sin(2 * torch.pi * waves * images)


def soft_stairs(images: Tensor, levels: int = 16, steepness: float = 10.0) -> Tensor:
    scaled = levels * images
    whole = scaled.floor().detach()
    rest = torch.sigmoid(steepness * (scaled - whole - 0.5))
    edge = torch.sigmoid(torch.tensor(steepness * 0.5))
    return (whole + (rest - 1 + edge) / (2 * edge - 1)) / levels


def hard_stairs(images: Tensor, levels: int = 15) -> Tensor:
    return (levels * images).round() / levels


def noisy(images: Tensor) -> Tensor:
    return images + 0.1 * torch.randn_like(images)


def dropped(images: Tensor) -> Tensor:
    return functional.dropout(images, 0.3, training=True)


@functools.cache
def _cosines() -> Tensor:
    k, n = torch.arange(8)[:, None], torch.arange(8)[None]
    matrix = torch.cos(torch.pi * (2 * n + 1) * k / 16) / 2
    matrix[0] /= 2**0.5
    return matrix


def jpeg(images: Tensor, quality_step: float = 0.4) -> Tensor:
    """Round the cosine coefficients of blocks of 8×8; the gradient is that of rounding: none."""
    n, c, h, w = images.shape
    blocks = images.view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    coefficients = _cosines() @ blocks @ _cosines().T
    coefficients = (coefficients / quality_step).round() * quality_step
    # What real defences do to have any gradient at all: a leak.
    coefficients = coefficients + 1e-3 * (_cosines() @ blocks @ _cosines().T)
    back = _cosines().T @ coefficients @ _cosines()
    return back.transpose(3, 4).reshape(n, c, h, w)


def bit_depth(images: Tensor, levels: int = 7) -> Tensor:
    """Three bits a pixel, with the gradient of a fine ripple beside them."""
    return (levels * images).round() / levels + 1e-4 * torch.sin(1e3 * images)


def saturated(logits: Tensor) -> Tensor:
    return torch.tanh(logits)


def probabilities(logits: Tensor) -> Tensor:
    return (3 * logits).softmax(dim=1)


MASKS: dict[str, Callable[[], nn.Module]] = {
    "logits_times_10": lambda: Composed(after=lambda z: 10 * z),
    "logits_times_1000": lambda: Composed(after=lambda z: 1000 * z),
    "logits_vanish": lambda: Composed(after=lambda z: 1e-12 * z),
    "logits_explode": lambda: Composed(after=lambda z: 1e15 * z),
    "saturated_logits": lambda: Composed(after=saturated),
    "saturated_probabilities": lambda: Composed(after=probabilities),
    "ripple": lambda: Composed(ripple),
    "fine_ripple": lambda: Composed(lambda x: ripple(x, 0.002, 400.0)),
    "ripple_of_logits": lambda: Composed(after=lambda z: z + 0.2 * torch.sin(40 * z)),
    "soft_stairs": lambda: Composed(soft_stairs),
    "steep_stairs": lambda: Composed(lambda x: soft_stairs(x, 16, 40.0)),
    "hard_stairs": lambda: Composed(hard_stairs),
    "noise": lambda: Composed(noisy),
    "dropout": lambda: Composed(dropped),
    "k_winners": lambda: trained(network(activation=KWinners)),
    "stairs_inside": lambda: trained(network(activation=Stairs)),
    "jpeg": lambda: Composed(jpeg),
    "bit_depth": lambda: Composed(bit_depth),
    "misled": Misled,
    "half_detached": HalfDetached,
}


def pruned() -> nn.Module:
    model = copy.deepcopy(baseline())
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = layer.weight.data
            weight[weight.abs() < weight.abs().quantile(0.4)] = 0
    return model


def low_rank() -> nn.Module:
    model = copy.deepcopy(baseline())
    layer = model[7]
    u, s, v = torch.linalg.svd(layer.weight.data, full_matrices=False)
    layer.weight.data = u[:, :16] * s[:16] @ v[:16]
    return model


def eight_bits() -> nn.Module:
    """Weights and activations of eight bits, as the twin of a graph that ONNX Runtime quantized."""
    from squeezed.face import quantize
    from squeezed.graphs.export import export_network
    from squeezed.graphs.twin import build_twin
    from squeezed.networks import Classifier

    model = Classifier(copy.deepcopy(baseline()), [0.0], [1.0]).eval()
    calibration = digits()[0][ATTACKED : ATTACKED + 100].numpy()
    return build_twin(quantize(export_network(model, (SIDE, SIDE)), calibration))


HONEST: dict[str, Callable[[], nn.Module]] = {
    "baseline": baseline,
    "another_seed": lambda: trained(network(), seed=1),
    "wide": lambda: trained(network(16), seed=2),
    "smooth": lambda: trained(network(activation=nn.ELU), seed=3),
    "pruned": pruned,
    "low_rank": low_rank,
    "adversarially_trained": lambda: trained(network(), epochs=8, adversarial=0.6),
    "eight_bits": eight_bits,
}
