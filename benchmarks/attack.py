"""How fast the Carlini-Wagner attack is, beside torchattacks, foolbox and the arithmetic itself.

    python benchmarks/attack.py [--images 512] [--repeats 5] [--networks vgg6 resnet20]

Everything runs in this process, on one thread, in turn, and is measured in processor time. All
attack the same correctly classified images of the same networks (VGG-6, and on half of them
ResNet-20, trained here, on scikit-learn's digits) with the same settings: 40 steps of Adam,
one c, no search. Ours attacks the twin of the exported graph, as the workflow does; the peers the
network itself, as a user of theirs would. They are as shipped but for their early stops, which are
removed so that all take the same number of steps; each gets the batch size that suits it best. The
floor is the time that the network's multiply-adds alone would take, at the rate of the fastest
large product that this machine's libraries reach in the same precision: per step one forward pass
and the gradient of the input, no gradient of a weight. Ratios are medians over turns of what was
measured in the same turn.

The last line is JSON: what was measured on VGG-6, and on the others under `{network}_*`.
`over_best_peer` (target: at least 3) is the faster peer's time over ours, `of_floor` (target: at
least 0.5) the floor's over ours, in `precision`: bf16 where the processor has it, judged in fp32,
else fp32. The same in fp32 is beside them. `success_*` of a network are equal within a point, or
the exit status is 1. Needs requirements-peers.txt.
"""

import argparse
import inspect
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers import require_peers
from benchmarks.strength import compare_strength
from squeezed.attacks.carlini_wagner import CarliniWagnerSettings, carlini_wagner
from squeezed.attacks.victim import Victim
from squeezed.data.digits import read_digits
from squeezed.foundation.errors import UserError
from squeezed.foundation.precision import usable_precision
from squeezed.graphs.export import export_network
from squeezed.graphs.twin import build_twin
from squeezed.networks import VGG6, Classifier, build_network

SIZE = (32, 32)
STEPS = 40
LEARNING_RATE = 0.02
CONSTANT = 1.0
EPOCHS = 3
BATCH_SIZES = (32, 128)
LARGEST_DIFFERENCE = 0.01
"""Of the success rates: one point."""


NETWORKS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "vgg6": (lambda: VGG6(10), 1),
    "resnet20": (lambda: build_network("resnet_cifar", num_classes=10, image_size=SIZE), 0.5),
}
"""How each is built, and on what share of the images it is attacked."""


def main() -> int:
    """Train, attack with all implementations in turn, and print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512, help="to attack (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="default: all"
    )
    parser.add_argument(
        "--strength", action="store_true", help="how near instead of how fast (benchmarks.strength)"
    )
    parser.add_argument("--graphs", nargs="+", type=Path, help="with --strength: .onnx files")
    parser.add_argument("--dataset", type=Path, help="with --strength: the prepared data set")
    arguments = parser.parse_args()
    require_peers("torchattacks", "foolbox")
    torch.set_num_threads(1)
    if arguments.strength:
        if not arguments.graphs or not arguments.dataset:
            parser.error("--strength takes --graphs and --dataset")
        try:
            return compare_strength(arguments.graphs, arguments.dataset, arguments.images)
        except UserError as error:
            sys.exit(f"error: {error}")
    results = {}
    for name in arguments.networks:
        build, share = NETWORKS[name]
        results[name] = compare(build, round(share * arguments.images), arguments.repeats)
        print(f"\n{name}")
        for key, value in results[name].items():
            print(f"{key:>24} {value}")
    flat: dict[str, Any] = {}
    for name, result in results.items():
        prefix = "" if name == "vgg6" else f"{name}_"
        flat |= {prefix + key: value for key, value in result.items()}
    print(json.dumps(flat))
    differences = [result["success_difference"] for result in results.values()]
    return 0 if max(differences) <= LARGEST_DIFFERENCE + 1e-9 else 1


def compare(build: Callable[[], nn.Module], count: int, repeats: int) -> dict[str, Any]:
    """Train a network, attack it with all implementations in turn, and return what it took."""
    model, images, labels = trained(build, count)
    twin = build_twin(export_network(model, SIZE))
    peers = {"torchattacks": torchattacks_attack, "foolbox": foolbox_attack}
    attacks: dict[str, Callable[[], Tensor]] = {
        "ours_fp32": lambda: our_attack(twin, images, labels, "fp32")
    }
    best = usable_precision("bf16", torch.device("cpu"))
    if best == "bf16":
        attacks["ours_bf16"] = lambda: our_attack(twin, images, labels, "bf16")
    for name, peer in peers.items():
        size = best_batch_size(peer, model, images, labels)
        print(f"{name}: fastest with batches of {size}")
        attacks[name] = lambda peer=peer, size=size: peer(model, images, labels, size)  # type: ignore[misc]

    times: dict[str, list[float]] = {name: [] for name in attacks}
    found: dict[str, Tensor] = {}
    floors: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for _ in range(repeats):
        for precision in floors:
            floors[precision].append(floor_ms(twin, precision))
        for name, attack in attacks.items():
            started = time.process_time()
            found[name] = attack()
            times[name].append(1000 * (time.process_time() - started) / len(images))

    judge = Victim(twin)
    result: dict[str, Any] = {"images": len(images), "steps": STEPS, "precision": best}
    for name in attacks:
        result[f"{name}_ms"] = round(statistics.median(times[name]), 2)
        fooled = judge.logits(found[name]).argmax(dim=1) != labels
        result[f"success_{name}"] = round(float(fooled.float().mean()), 4)
        change = (found[name] - images)[fooled].flatten(1).norm(dim=1)
        result[f"l2_median_{name}"] = round(float(change.median()), 4)
    fastest_peer = [min(turn) for turn in zip(*(times[name] for name in peers), strict=True)]
    for precision in ("fp32", "bf16"):
        result[f"floor_{precision}_ms"] = round(statistics.median(floors[precision]), 2)
        if f"ours_{precision}" in times:
            ours = times[f"ours_{precision}"]
            result[f"over_best_peer_{precision}"] = median_ratio(fastest_peer, ours)
            result[f"of_floor_{precision}"] = median_ratio(floors[precision], ours)
    result["over_best_peer"] = result[f"over_best_peer_{best}"]
    result["of_floor"] = result[f"of_floor_{best}"]
    successes = [value for name, value in result.items() if name.startswith("success_")]
    result["success_difference"] = round(max(successes) - min(successes), 4)
    return result


def median_ratio(times: list[float], ours: list[float]) -> float:
    """Return the median over turns of `times` over `ours`."""
    return round(statistics.median(a / b for a, b in zip(times, ours, strict=True)), 2)


def trained(build: Callable[[], nn.Module], count: int) -> tuple[Classifier, Tensor, Tensor]:
    """Train a network on digits, and return it with images that it classifies correctly."""
    torch.manual_seed(0)
    pixels, digits = read_digits()
    images, labels = torch.from_numpy(pixels).float() / 255, torch.from_numpy(digits)
    model = Classifier(build(), [0.3] * 3, [0.37] * 3)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for batch in [batch for _ in range(EPOCHS) for batch in torch.randperm(len(labels)).split(64)]:
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        right = model(images).argmax(dim=1) == labels
    if int(right.sum()) < count:
        raise RuntimeError(f"only {int(right.sum())} images are classified correctly")
    return model, images[right][-count:], labels[right][-count:]


def our_attack(twin: fx.GraphModule, images: Tensor, labels: Tensor, precision: str) -> Tensor:
    """Attack with this project's implementation, preparing the twin included."""
    settings = CarliniWagnerSettings(
        iterations=STEPS,
        learning_rate=LEARNING_RATE,
        constant=CONSTANT,
        search_steps=1,
        confidence=0.0,
        softmax=False,
        stop_confidence=None,
        abort_early=False,
    )
    return carlini_wagner(Victim(twin, precision=precision), images, labels, settings).best


def torchattacks_attack(model: Classifier, images: Tensor, labels: Tensor, size: int) -> Tensor:
    """Attack with torchattacks, without its early stop (it looks at the cost of a whole batch)."""
    import torchattacks
    from torchattacks.attacks import cw

    stop = "if cost.item() > prev_cost:"
    source = inspect.getsource(cw.CW)
    if stop not in source:
        raise RuntimeError("torchattacks has changed: its early stop is not where it was")
    scope = vars(cw).copy()
    exec(source.replace(stop, "if False:"), scope)
    assert torchattacks.__version__
    attack = scope["CW"](model, c=CONSTANT, kappa=0, steps=STEPS, lr=LEARNING_RATE)
    parts = zip(images.split(size), labels.split(size), strict=True)
    return torch.cat([attack(x, y).detach() for x, y in parts])


def foolbox_attack(model: Classifier, images: Tensor, labels: Tensor, size: int) -> Tensor:
    """Attack with foolbox, without its early stop; what it could not fool is put back.

    (It returns an all-black image there, which would look like a success.)
    """
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=1,
        steps=STEPS,
        stepsize=LEARNING_RATE,
        initial_const=CONSTANT,
        abort_early=False,
    )
    found = []
    for x, y in zip(images.split(size), labels.split(size), strict=True):
        adversarial = attack.run(wrapped, x, foolbox.criteria.Misclassification(y))
        black = (adversarial == 0).flatten(1).all(dim=1)
        found.append(torch.where(black[:, None, None, None], x, adversarial))
    return torch.cat(found)


def best_batch_size(
    peer: Callable[[Classifier, Tensor, Tensor, int], Tensor],
    model: Classifier,
    images: Tensor,
    labels: Tensor,
) -> int:
    """Return the batch size with which a peer is fastest (its first run warms up, uncounted)."""
    few = max(BATCH_SIZES)
    peer(model, images[:32], labels[:32], 32)
    times = {}
    for size in BATCH_SIZES:
        started = time.process_time()
        peer(model, images[:few], labels[:few], size)
        times[size] = time.process_time() - started
    return min(times, key=lambda size: times[size])


def floor_ms(twin: fx.GraphModule, precision: str) -> float:
    """Return the ms that one image's multiply-adds take in `STEPS` steps, at the best rate."""
    operations = 2 * multiply_adds(twin) * 2 * STEPS  # forward, and the gradient of the input
    return 1000 * operations / fastest_rate(precision)


def multiply_adds(twin: fx.GraphModule) -> int:
    """Count the multiply-adds of one image's forward pass in convolutions and linear layers."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        total += output.numel() * (module.weight.numel() // len(module.weight))

    layers = [module for module in twin.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        twin(torch.zeros(1, 3, *SIZE))
    for hook in hooks:
        hook.remove()
    return total


def fastest_rate(precision: str) -> float:
    """Return operations a second of the fastest large product: matrices, or a 3×3 convolution."""
    kind = torch.float32 if precision == "fp32" else torch.bfloat16
    matrix = torch.rand(1024, 1024).to(kind)
    channels = torch.rand(8, 128, 32, 32).to(kind).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(128, 128, 3, padding=1, bias=False).to(kind)
    layer = layer.to(memory_format=torch.channels_last)
    products: list[tuple[float, Callable[[], Tensor]]] = [
        (2 * 1024**3, lambda: matrix @ matrix),
        (2 * 8 * 128 * 128 * 9 * 32 * 32, lambda: layer(channels)),
    ]
    best = 0.0
    with torch.no_grad():
        for operations, product in products:
            product()
            for _ in range(10):
                started = time.process_time()
                product()
                best = max(best, operations / (time.process_time() - started))
    return best


if __name__ == "__main__":
    sys.exit(main())
