"""How near the ensemble's images are, beside foolbox's and torchattacks' on the same graphs.

    python benchmarks/attack.py --strength --graphs models/cifar10/seed0/{baseline,quantized}.onnx \
        --dataset data/cifar10.safetensors

All attack the twin of each graph, on the same correctly classified test images; ours is
`squeezed.attack` as it is, an ensemble at the effort `thorough`. The peers are foolbox's DDN with
1,000 steps and Carlini-Wagner, and of AutoAttack's parts in L2 those that torchattacks has: FAB,
and APGD at the fixed budgets. What a peer finds counts where the deployed engine is fooled, asked
about one image at a time, if need be enlarged by a tenth, as ours counts. A peer's distance of an
image is that of the nearest image of any peer.

The last line is JSON: for each graph `distance_over_best_peer_{graph}` (target: at most 1.00), the
median of ours over the median of the peers' minimum, and `robust_accuracy_{graph}_{budget}` and
`..._peers` (target: ours at most half a point higher). Needs requirements-peers.txt.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

import squeezed
from benchmarks.peers import require_peers
from squeezed.attacks.attacked import Judge, enlarged_until_fooled
from squeezed.attacks.diagnostics import one_at_a_time
from squeezed.attacks.objective import Margin
from squeezed.data import choose_indices, open_dataset
from squeezed.graphs.engines import open_engine

BUDGETS = (0.1, 0.2, 0.3)
DDN_STEPS = 1000
SEARCH_STEPS, CW_STEPS = 5, 300
FAB_STEPS = 100
APGD_STEPS = 100
BATCH = 64

Peer = Callable[[fx.GraphModule, Tensor, Tensor], Tensor]
"""From a network, images and labels: to the images that a batch ends with, or to distances."""


def compare_strength(graphs: list[Path], dataset: Path, count: int) -> int:
    """Attack `count` test images of each graph, print a table and a line of JSON.

    Returns:
        0.
    """
    require_peers("foolbox", "torchattacks")
    test = open_dataset(dataset).test
    indices = choose_indices(len(test), count, 0)
    images = torch.from_numpy(test.images(indices))
    labels = torch.from_numpy(test.labels[indices].astype(np.int64))
    found: dict[str, float] = {}
    print("| graph | attack | fools | median L2 | " + " | ".join(f"robust at {b}" for b in BUDGETS)
          + " | CPU s |")  # fmt: skip
    print("|---" * (5 + len(BUDGETS)) + "|")
    for graph in graphs:
        name = graph.stem
        twin: Any = squeezed.load(graph)
        judge = one_at_a_time(open_engine(graph, 1).predict)
        ours, peers = None, torch.full((len(images),), torch.inf, dtype=torch.float64)
        right = judge(images).argmax(dim=1) == labels
        for attack, run in _attacks(judge):
            began = time.process_time()
            distance = torch.where(right, run(twin, images, labels), 0.0)
            taken = time.process_time() - began
            if ours is None:
                ours = distance
            else:
                peers = torch.minimum(peers, distance)
            _print(name, attack, distance[right], distance, taken)
        assert ours is not None
        _print(name, "all peers", peers[right], peers, None)
        ratio = float(ours[right].median() / peers[right].median())
        found[f"distance_over_best_peer_{name}"] = round(ratio, 4)
        for budget in BUDGETS:
            for whose, distance in (("", ours), ("_peers", peers)):
                key = f"robust_accuracy_{name}_{budget}{whose}"
                found[key] = round(float((distance > budget).double().mean()), 4)
    print(json.dumps(found))
    return 0


def _print(name: str, attack: str, of_right: Tensor, of_all: Tensor, taken: float | None) -> None:
    robust = " | ".join(f"{100 * float((of_all > b).double().mean()):.1f} %" for b in BUDGETS)
    fooled = 100 * float(of_right.isfinite().double().mean())
    seconds = "" if taken is None else f"{taken:.0f}"
    print(
        f"| {name} | {attack} | {fooled:.1f} % | {float(of_right.median()):.4f} | {robust} | "
        f"{seconds} |",
        flush=True,
    )


def _attacks(judge: Judge) -> Iterator[tuple[str, Peer]]:
    """Yield each attack: a network, images and labels to L2 distances, infinity where it fails."""

    def ours(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
        found = squeezed.attack(twin, images, labels)
        return _judged(judge, images, found.best, labels)

    yield "squeezed", ours
    for name, peer in {"foolbox DDN": _ddn, "foolbox C&W": _carlini_wagner, "FAB": _fab}.items():
        yield name, _in_batches(peer, judge)

    def fixed(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
        nearest = torch.full((len(images),), torch.inf, dtype=torch.float64)
        for budget in BUDGETS:
            for loss in ("ce", "dlr"):
                peer = _in_batches(_apgd(budget, loss), judge)
                distance = peer(twin, images, labels)
                nearest = torch.minimum(nearest, distance)
        return nearest

    yield "APGD", fixed


def _in_batches(peer: Peer, judge: Judge) -> Peer:
    def run(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
        ends = [
            peer(twin, images[start : start + BATCH], labels[start : start + BATCH]).detach()
            for start in range(0, len(images), BATCH)
        ]
        return _judged(judge, images, torch.cat(ends), labels)

    return run


def _judged(judge: Judge, images: Tensor, ends: Tensor, labels: Tensor) -> Tensor:
    fooled, ends = enlarged_until_fooled(judge, Margin(labels), images, ends.clamp(0, 1))
    distance = (ends - images).double().flatten(1).norm(dim=1)
    return torch.where(fooled, distance, torch.inf)


def _ddn(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
    import foolbox

    return _by_foolbox(foolbox.attacks.DDNAttack(steps=DDN_STEPS), twin, images, labels)


def _carlini_wagner(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
    import foolbox

    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=SEARCH_STEPS, steps=CW_STEPS, stepsize=0.01, initial_const=0.1
    )
    return _by_foolbox(attack, twin, images, labels)


def _by_foolbox(attack: Any, twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
    import foolbox

    model = foolbox.PyTorchModel(twin, bounds=(0, 1), device="cpu")
    ends: Tensor = attack(model, images, labels, epsilons=None)[0]
    return ends


def _fab(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
    import torchattacks

    attack = torchattacks.FAB(twin, norm="L2", eps=10.0, steps=FAB_STEPS, seed=0)
    ends: Tensor = attack(images, labels)
    return ends


def _apgd(budget: float, loss: str) -> Peer:
    def run(twin: fx.GraphModule, images: Tensor, labels: Tensor) -> Tensor:
        import torchattacks

        attack = torchattacks.APGD(twin, norm="L2", eps=budget, steps=APGD_STEPS, loss=loss, seed=0)
        ends: Tensor = attack(images, labels)
        return ends

    return run
