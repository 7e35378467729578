"""Compare the speed of training VGG-6 with a plain loop, and with what its arithmetic alone takes.

    python benchmarks/training.py

Three measurements take turns, each in a process of its own, on the same core or cores:

- `ours`: epochs of `squeezed.training.loop`, with augmentation, as the workflow runs them;
- `plain`: the usual loop: PIL images, torchvision's transforms, a `DataLoader`, fp32 in
  batches of 128;
- `peak` and `forward_peak`: the highest rate, in GFLOP/s, that one of VGG-6's convolutions reaches
  on its own in the precision of `ours`: forward and backward, as in training, and forward alone.

The floor is the time that an image's arithmetic would take at that peak: three times the forward
pass's (forward, gradient of the input, gradient of the weights), of convolutions and fully
connected layers alone. With one thread, time is the processor's, which other work on the machine
takes little of; with more it is the clock's. The last line of the output is JSON:

- `images_per_s`, `plain_images_per_s`: medians over the rounds;
- `floor_images_per_s`: from the best round's peak: a disturbance only ever slows it down;
- `over_plain_loop`: ours by the plain loop's; `of_floor`: ours by the floor's; `of_forward_floor`:
  by a floor that takes the forward peak for all three passes, though nothing reaches that backward.
  In all of them the best round stands for each side.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from squeezed.foundation.allocation import ALLOCATION

IMAGE_SIZE = (32, 32)
CLASSES = 10
SETTINGS = {
    "epochs": 10**6,
    "batch_size": 512,
    "learning_rate": 0.01,
    "schedule": "constant",
    "warmup_share": 0.0,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "label_smoothing": 0.1,
    "precision": "bf16",
    "augmentation": {"horizontal_flip": True, "crop_padding": 4, "resized_crop": None},
}


def main() -> None:
    """Parse the arguments, measure in turns and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="cores (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns (default: %(default)s)")
    parser.add_argument(
        "--images", type=int, default=8192, help="images of each turn (default: %(default)s)"
    )
    parser.add_argument("--only", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        serve(MEASUREMENTS[arguments.only], arguments.threads, arguments.images)
        return

    workers = {name: start(name, arguments.threads, arguments.images) for name in MEASUREMENTS}
    rates: dict[str, list[float]] = {name: [] for name in MEASUREMENTS}
    for turn in range(arguments.rounds):
        for name, worker in workers.items():
            rates[name].append(ask(worker))
        print(f"round {turn + 1}: " + ", ".join(f"{n} {r[-1]:,.0f}" for n, r in rates.items()))
    for worker in workers.values():
        worker.communicate()
    flops = flops_per_image()
    best = {name: max(values) for name, values in rates.items()}
    floor = best["peak"] * 1e9 / flops
    figures = {
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "batch_size": SETTINGS["batch_size"],
        "megaflop_per_image": flops / 1e6,
        "peak_gflop_per_s": best["peak"],
        "forward_peak_gflop_per_s": best["forward_peak"],
        "images_per_s": statistics.median(rates["ours"]),
        "plain_images_per_s": statistics.median(rates["plain"]),
        "floor_images_per_s": floor,
        "over_plain_loop": best["ours"] / best["plain"],
        "of_floor": best["ours"] / floor,
        "of_forward_floor": best["ours"] / (best["forward_peak"] * 1e9 / flops),
    }
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}))


def start(name: str, threads: int, images: int) -> subprocess.Popen[str]:
    """Start a measurement's process; it measures once for each line that it is sent."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if name != "plain":  # the plain loop is as a plain user would start it
        environment |= ALLOCATION
    return subprocess.Popen(
        [
            *(sys.executable, __file__, "--only", name),
            *("--threads", str(threads), "--images", str(images)),
        ],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(worker: subprocess.Popen[str]) -> float:
    """Have a process measure once; return the rate."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        sys.exit("error: a measurement's process has died; the reason is above")
    return float(answer)


def serve(measurement: Callable[[int, int], Callable[[], float]], threads: int, count: int) -> None:
    """Warm up once, then measure and print a rate for each line of standard input."""
    import torch

    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    measure = measurement(count, threads)
    measure()
    for _ in sys.stdin:
        print(measure(), flush=True)


def now(threads: int) -> float:
    """Return seconds: of this process's own work if it has one thread, else by the clock."""
    return time.process_time() if threads == 1 else time.perf_counter()


def ours(count: int, threads: int) -> Callable[[], float]:
    """Return what measures images per second of this project's training."""
    import torch

    from squeezed.data.tensor_file import TensorSplit
    from squeezed.networks.classifier import Classifier
    from squeezed.networks.vgg6 import VGG6
    from squeezed.training.run import TrainingRun

    class Images:
        """What a run asks of a data set."""

        train = TensorSplit(*_images(count))
        validation = TensorSplit(*_images(1))

    model = Classifier(VGG6(CLASSES), [0.5] * 3, [0.25] * 3)
    run = TrainingRun(model, Images(), SETTINGS, 0, torch.device("cpu"), {}, None)  # type: ignore[arg-type]

    def measure() -> float:
        started = now(threads)
        run.epoch(len(run.history) + 1)
        return count / (now(threads) - started)

    return measure


def plain(count: int, threads: int) -> Callable[[], float]:
    """Return what measures images per second of the loop that most scripts have."""
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from squeezed.networks.vgg6 import VGG6

    pixels, labels = _images(count)
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )

    class Images(Dataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            image = Image.fromarray(pixels[index].transpose(1, 2, 0))
            return transform(image), int(labels[index])

    # More processes than cores would only take turns: none beside the loop.
    loader = DataLoader(Images(), batch_size=128, shuffle=True, num_workers=threads - 1)
    network = VGG6(CLASSES).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)

    def measure() -> float:
        started = now(threads)
        for images, targets in loader:
            loss = loss_of(network(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return count / (now(threads) - started)

    return measure


def peak(count: int, threads: int) -> Callable[[], float]:
    """Return what measures the highest rate of a convolution's three passes, in GFLOP/s."""
    return lambda: max(_rate(*shape, threads, backward=True) for shape in _convolutions()[1:])


def forward_peak(count: int, threads: int) -> Callable[[], float]:
    """Return what measures the highest rate of a convolution's forward pass, in GFLOP/s."""
    return lambda: max(_rate(*shape, threads, backward=False) for shape in _convolutions()[1:])


def _rate(channels: int, filters: int, side: int, threads: int, backward: bool) -> float:
    """Return one convolution's highest rate in GFLOP/s, over batches of several sizes."""
    import torch
    from torch import nn

    layer = nn.Conv2d(channels, filters, 3, padding=1).to(torch.bfloat16)
    layer = layer.to(memory_format=torch.channels_last)
    fastest = 0.0
    for images in (64, 256):
        batch = torch.randn(images, channels, side, side, dtype=torch.bfloat16)
        batch = batch.to(memory_format=torch.channels_last).requires_grad_(backward)
        gradient = torch.randn(images, filters, side, side, dtype=torch.bfloat16)
        gradient = gradient.to(memory_format=torch.channels_last)
        flops = (3 if backward else 1) * 2 * images * filters * channels * 9 * side * side
        for _ in range(10):
            started = now(threads)
            with torch.set_grad_enabled(backward):
                output = layer(batch)
            if backward:
                torch.autograd.grad(output, (batch, layer.weight), gradient)
            fastest = max(fastest, flops / (now(threads) - started) / 1e9)
    return fastest


MEASUREMENTS: dict[str, Callable[[int, int], Callable[[], float]]] = {
    "ours": ours,
    "plain": plain,
    "peak": peak,
    "forward_peak": forward_peak,
}


def flops_per_image() -> int:
    """Return the FLOPs of training on one image: two for each multiply-add, three passes."""
    convolutions = sum(9 * c * f * side * side for c, f, side in _convolutions())
    linear = 2048 * 1024 + 1024 * 512 + 512 * CLASSES
    return 3 * 2 * (convolutions + linear)


def _convolutions() -> list[tuple[int, int, int]]:
    """Return (input channels, filters, side of the image) of each convolution of VGG-6."""
    from squeezed.networks.vgg6 import PAPER_WIDTHS

    channels = [3, *PAPER_WIDTHS]
    return [(channels[i], channels[i + 1], IMAGE_SIZE[0] >> (i // 2)) for i in range(6)]


def _images(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, *IMAGE_SIZE), dtype=np.uint8)
    return pixels, generator.integers(0, CLASSES, count)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main()
