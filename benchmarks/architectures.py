"""Every family of torchvision's CNNs, and three of its transformers, in 8 bits: one table.

Networks with drawn weights and batch-norm statistics (speed does not depend on them), images of
64×64 (inception_v3: 96, its least; vit_b_32: 224, its only). Columns:

- exported: the graph computes what the network does;
- int8 / fp32: throughput of the step `quantize`'s file over the float graph's, in ONNX Runtime;
- peer / fp32: the same of what ONNX Runtime's quantizer makes of the float graph, called directly
  with a scale for each channel;
- ours / peer: the ratio of the two, file against file;
- int8: layers that ONNX Runtime computed in integers, of those with weights;
- differ: predictions on which twin and engine differ, and, beside it, ONNX Runtime with and without
  its optimisations (the yardstick);
- attack, embedding, guided_backprop, grad_cam: whether a few steps of the attack, the features of
  the layer to embed, and either activation map came out on the twin: `ran`, or the sentence with
  which it was left out.

The three files of a family take turns on the same batches; ratios are medians over turns, and
`--clock cpu_time` leaves out the time that other processes took. The last line is JSON:
`int8_over_peer_min` is the least of `ours / peer`; `finished` counts, of all `families` listed
below, those that were exported, quantized and analysed: each analysis ran or was left out with a
sentence. A family is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.quantizers import quantized_by_us, quantized_directly
from squeezed.foundation.errors import UserError
from squeezed.graphs.engines import Engine, open_engine
from squeezed.graphs.export import export_network
from squeezed.networks import Classifier, build_network

if TYPE_CHECKING:
    from torch import fx

FAMILIES = (
    "vgg16_bn",
    "resnet18",
    "resnet50",
    "googlenet",
    "inception_v3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "densenet121",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "mnasnet0_5",
    "regnet_y_400mf",
    "convnext_tiny",
    "alexnet",
    "vit_b_32",
    "swin_t",
)
SIZES = {"inception_v3": 96, "vit_b_32": 224}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
CLASSES, MEAN, STD = 10, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
CLOCKS = {"wall_time": time.perf_counter, "cpu_time": time.process_time}
BATCH = 10
ANALYSED = 4
"""Images that the analyses are tried on."""


def main() -> None:
    """Measure each family and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", default=FAMILIES, help="default: all")
    parser.add_argument("--threads", type=int, default=1, help="of ONNX Runtime")
    parser.add_argument("--turns", type=int, default=15, help="that each file takes")
    parser.add_argument("--images", type=int, default=500, help="to compare predictions on")
    parser.add_argument("--clock", choices=CLOCKS, default="wall_time")
    parser.add_argument("--one", action="store_true", help="measure here and print JSON alone")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.families[0], arguments)))
        return
    options = [f"--{name}={getattr(arguments, name)}" for name in ("threads", "turns", "images")]
    rows = []
    for family in arguments.families:
        command = [sys.executable, __file__, family, "--one", f"--clock={arguments.clock}"]
        finished = subprocess.run([*command, *options], capture_output=True, text=True)
        if finished.returncode:
            rows.append({"family": family, "problem": finished.stderr.strip().splitlines()[-1]})
        else:
            rows.append(json.loads(finished.stdout.splitlines()[-1]))
        print_row(rows[-1])
    ratios = [row["int8_over_peer"] for row in rows if "int8_over_peer" in row]
    result = {
        "int8_over_peer_min": min(ratios, default=None),
        "finished": sum(all(row["analyses"].values()) for row in rows if "analyses" in row),
        "families": len(FAMILIES),
        "batch_size": BATCH,
        "threads": arguments.threads,
        "turns": arguments.turns,
        "clock": arguments.clock,
        "rows": rows,
    }
    print(json.dumps(result))


def measure(family: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return one row of the table."""
    side = SIZES.get(family, 64)
    model = drawn_network(family, (side, side))
    generator = np.random.default_rng(0)
    images = drawn_images(generator, arguments.images, side)
    calibration = images[: 64 if side <= 96 else 16]
    row: dict[str, Any] = {"family": family, "image_size": side}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in ("fp32", "int8", "peer")}
        start = time.perf_counter()
        graph = export_network(model, (side, side))
        row["export_s"] = round(time.perf_counter() - start, 1)
        onnx.save(graph, paths["fp32"])
        row["export_error"] = export_error(model, paths["fp32"], images[:4])
        quantized = quantized_by_us(graph, calibration)
        onnx.save(quantized, paths["int8"])
        quantized_directly(paths["fp32"], paths["peer"], calibration)
        engines = {name: open_engine(path, arguments.threads) for name, path in paths.items()}
        seconds = take_turns(engines, images, arguments.turns, CLOCKS[arguments.clock])
        row["fp32_ms"] = round(float(np.median(seconds["fp32"])) * 1000, 3)
        row["int8_over_fp32"] = ratio(seconds["fp32"], seconds["int8"])
        row["peer_over_fp32"] = ratio(seconds["fp32"], seconds["peer"])
        row["int8_over_peer"] = ratio(seconds["peer"], seconds["int8"])
        executed = list(engines["int8"].executed_precisions().values())
        row["layers"], row["layers_in_int8"] = len(executed), executed.count("int8")
        row |= analyses(quantized, engines["int8"], paths["int8"], images)
    return row


def drawn_images(generator: np.random.Generator, n: int, side: int) -> NDArray[np.float32]:
    """Return images of coloured shapes: noise alone would look the same to every network."""
    coarse = generator.random((n, 3, 4, 4), dtype=np.float32)
    smooth = coarse.repeat(side // 4, axis=2).repeat(side // 4, axis=3)
    noise = generator.random((n, 3, side, side), dtype=np.float32)
    return (0.8 * smooth + 0.2 * noise).astype(np.float32)


def drawn_network(family: str, size: tuple[int, int]) -> Classifier:
    """Return a network whose layers neither vanish nor explode, as if it had been trained."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = build_network(
        family, num_classes=CLASSES, image_size=size, arguments=ARGUMENTS.get(family, {})
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.3, 2.0, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return Classifier(network, MEAN, STD).eval()


def export_error(model: Classifier, path: Path, images: NDArray[np.float32]) -> float:
    """Return the largest difference of a logit from the network's, in parts of their range."""
    import torch

    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    found = open_engine(path, 1).predict(images)
    return float(np.abs(found - expected).max() / np.ptp(expected))


def take_turns(
    engines: dict[str, Engine],
    images: NDArray[np.float32],
    turns: int,
    clock: Callable[[], float],
) -> dict[str, NDArray[np.float64]]:
    """Return each engine's seconds for one image, one value for each turn."""
    names = list(engines)
    # Batches enough for a clock to see, few enough for large networks.
    begin = time.perf_counter()
    engines[names[0]].predict(images[:BATCH])
    batches = int(np.clip(0.1 / (time.perf_counter() - begin), 1, 20))
    seconds = {name: np.zeros(turns) for name in names}
    for turn in range(-2, turns):  # two turns warm up
        for name in names if turn % 2 else names[::-1]:
            start = clock()
            for index in range(batches):
                first = index * BATCH % (len(images) - BATCH)
                engines[name].predict(images[first : first + BATCH])
            if turn >= 0:
                seconds[name][turn] = (clock() - start) / (batches * BATCH)
    return seconds


def ratio(slow: NDArray[np.float64], fast: NDArray[np.float64]) -> float:
    """Return how many times as fast, as a median over turns."""
    return round(float(np.median(slow / fast)), 3)


def analyses(
    graph: onnx.ModelProto, engine: Engine, path: Path, images: NDArray[np.float32]
) -> dict[str, Any]:
    """Return how an 8-bit graph's twin compares with the engine, and which analyses ran on it."""
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    deployed = engine.predict_batches(batches).argmax(1)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    unoptimised = np.concatenate([plain.run(None, {"images": b})[0] for b in batches]).argmax(1)
    found: dict[str, Any] = {"engine_differs": int((unoptimised != deployed).sum())}
    import torch

    from squeezed.graphs.twin import build_twin

    twin = build_twin(graph)
    with torch.no_grad():
        predictions = [twin(torch.from_numpy(batch)).argmax(1).numpy() for batch in batches]
    found["twin_differs"] = int((np.concatenate(predictions) != deployed).sum())
    found["analyses"] = {
        name: ran_or_left_out(run)
        for name, run in analyses_of(twin, images[:ANALYSED], np.concatenate(predictions)).items()
    }
    return found


def analyses_of(
    twin: fx.GraphModule, images: NDArray[np.float32], predictions: NDArray[np.int64]
) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """Return each analysis by its name; called, it gives something of each image."""
    import torch

    from squeezed.data.array_split import ArraySplit
    from squeezed.explain.attribution import METHODS
    from squeezed.explain.cam import Pictures, attribution_maps
    from squeezed.explain.layers import embed, feature_layer
    from squeezed.face import attack

    pictures = Pictures(torch.from_numpy(images), torch.from_numpy(predictions[: len(images)]))

    def attacked() -> NDArray[np.float32]:
        steps = {"iterations": 5, "search_steps": 1, "learning_rate": 0.05}
        adversarial = attack(twin, pictures.images, pictures.targets, **steps).last
        return (adversarial - pictures.images).numpy()

    def embedded() -> NDArray[np.float32]:
        indices = np.arange(len(images))
        layer = feature_layer(twin)
        return embed(twin, layer, ArraySplit(images), indices, torch.device("cpu"))[0]

    maps = {name: partial(attribution_maps, twin, pictures, name) for name in METHODS}
    return {"attack": attacked, "embedding": embedded, **maps}


def ran_or_left_out(run: Callable[[], NDArray[np.float32]]) -> str:
    """Return `ran`, the sentence that leaves an analysis out, or nothing: it went wrong."""
    try:
        found = run()
    except UserError as error:
        return str(error)
    values = found.reshape(len(found), -1)
    return "ran" if np.isfinite(values).all() and np.any(values, axis=1).any() else ""


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    if "problem" in row:
        print(f"{row['family']:>20}  {row['problem']}", flush=True)
        return
    print(
        f"{row['family']:>20}  exported {row['export_error']:.0e}  "
        f"int8/fp32 {row['int8_over_fp32']:.2f}  peer/fp32 {row['peer_over_fp32']:.2f}  "
        f"ours/peer {row['int8_over_peer']:.3f}  int8 {row['layers_in_int8']}/{row['layers']}  "
        f"differ: twin {row['twin_differs']}, engine {row['engine_differs']}  "
        + "  ".join(f"{name} {outcome}" for name, outcome in row["analyses"].items()),
        flush=True,
    )


if __name__ == "__main__":
    main()
