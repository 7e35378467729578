"""What 8 bits buy when VGG-6 is deployed: throughput and file size, side by side in one run.

Networks with random weights (time does not depend on them) and the sklearn digits as images. Ways
to run the same network take turns on the same batches, for each batch size; each file is run as it
would be shipped:

- torch_fp32: plain PyTorch, as it comes;
- onnx_fp32: the exported graph in ONNX Runtime;
- int8: the graph in 8 bits (one scale for each channel, symmetric) in ONNX Runtime;
- int8_tensor: the same with one scale for each layer;
- int8_extremes: `weight_range: extremes`, Algorithm 1 to the letter;
- linear_int8: only the fully connected layers in 8 bits (`scheme: dynamic`);
- peer_int8: what ONNX Runtime's own quantizer makes of the exported graph, called directly;
- openvino_fp32, openvino_int8: the files of onnx_fp32 and int8 in OpenVINO, where it is installed.

The last line is JSON. `int8_over_torch_fp32`, `int8_over_onnx_fp32` and `openvino_over_onnx_fp32`
are ratios of throughput at `--batch-size` (default 1: a device classifies the images that it takes,
one by one); `by_batch_size` has them for every batch size. Ratios are medians over turns, so a
machine that is busy slows both sides alike; `--clock cpu_time` also leaves out the time that other
processes took.

On two cores of a Xeon (AVX-512 VNNI, AMX) that others kept busy, onnxruntime 1.32, OpenVINO
2026.4, one thread, `--clock cpu_time`, median of 15 turns; seconds for 10,000 images:

    batch   torch_fp32   onnx_fp32   int8   int8_tensor   int8_extremes   linear_int8  openvino_int8
        1        20.84        8.54   3.74          3.35            6.07          4.60           6.63
       10         9.87        3.83   1.88          1.76            4.11          2.80           1.02
      100         6.00        2.77   1.36          1.42            3.59          2.29           0.55

`int8_extremes` has no gain over ONNX Runtime's fp32 in batches: weights without a sign and with a
zero point keep the convolutions from the runtime's fastest kernels.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.quantizers import quantized_by_us, quantized_directly
from squeezed.foundation.progress import track
from squeezed.foundation.provenance import machine
from squeezed.graphs.engines import open_engine
from squeezed.graphs.export import export_network
from squeezed.networks import VGG6, Classifier
from squeezed.networks.vgg6 import initialise_vgg6

Run = Callable[[NDArray[np.float32]], object]
CLOCKS = {"wall_time": time.perf_counter, "cpu_time": time.process_time}
SIZE = (32, 32)


def main() -> None:
    """Time all of them and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="of both runtimes")
    parser.add_argument("--batch-size", type=int, default=1, help="of the two headline ratios")
    parser.add_argument(
        "--turns", type=int, default=30, help="that each takes, for each batch size"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall_time")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    images = digit_images()
    sizes = sorted({1, 10, 100, arguments.batch_size})
    with tempfile.TemporaryDirectory() as folder:
        runs, file_sizes, paths = deployments(Path(folder), images, arguments.threads)
        seconds = {
            size: take_turns(runs, images, size, arguments.turns, CLOCKS[arguments.clock])
            for size in sizes
        }
    by_size = {size: figures(taken, size) for size, taken in seconds.items()}
    print_table(by_size)
    headline = by_size[arguments.batch_size]
    result = {
        "int8_over_torch_fp32": headline["int8_over_torch_fp32"],
        "int8_over_onnx_fp32": headline["int8_over_onnx_fp32"],
        "openvino_over_onnx_fp32": headline.get("openvino_int8_over_onnx_fp32"),
        "size_ratio": round(file_sizes["int8"] / file_sizes["onnx_fp32"], 4),
        "batch_size": arguments.batch_size,
        "threads": arguments.threads,
        "turns": arguments.turns,
        "clock": arguments.clock,
        "by_batch_size": by_size,
        "file_sizes_bytes": file_sizes,
        "integer_paths": paths,
        "machine": machine(),
    }
    print(json.dumps(result))


def digit_images() -> NDArray[np.float32]:
    """Return 1,797 images, shape (n, 3, 32, 32), in [0, 1]."""
    small = load_digits().images.astype(np.float32) / 16
    return np.repeat(small.repeat(4, axis=1).repeat(4, axis=2)[:, None], 3, axis=1)


def deployments(
    folder: Path, images: NDArray[np.float32], threads: int
) -> tuple[dict[str, Run], dict[str, int], dict[str, str | None]]:
    """Return the ways to run VGG-6, the sizes of their files in bytes, and their integer paths."""
    network = VGG6(10, SIZE)
    initialise_vgg6(network, torch.Generator().manual_seed(0))
    model = Classifier(network, [0.3] * 3, [0.37] * 3).eval()
    graph = export_network(model, SIZE)
    calibration = images[:256]
    onnx.save(graph, folder / "onnx_fp32.onnx")
    forms = {
        "int8": {},
        "int8_tensor": {"granularity": "tensor"},
        "int8_extremes": {"granularity": "tensor", "weight_range": "extremes"},
        "linear_int8": {"scheme": "dynamic", "layers": "linear"},
    }
    for name, changes in forms.items():
        onnx.save(quantized_by_us(graph, calibration, **changes), folder / f"{name}.onnx")
    quantized_directly(folder / "onnx_fp32.onnx", folder / "peer_int8.onnx", calibration)

    def plain_torch(batch: NDArray[np.float32]) -> object:
        with torch.inference_mode():
            return model(torch.from_numpy(batch))

    runs: dict[str, Run] = {"torch_fp32": plain_torch}
    sizes, paths = {}, {}
    for name in ("onnx_fp32", *forms, "peer_int8"):
        path = folder / f"{name}.onnx"
        engine = open_engine(path, threads)
        sizes[name], paths[name], runs[name] = (
            path.stat().st_size,
            engine.integer_path,
            engine.predict,
        )
    if importlib.util.find_spec("openvino"):
        for name, file in (("openvino_fp32", "onnx_fp32"), ("openvino_int8", "int8")):
            runs[name] = open_engine(folder / f"{file}.onnx", threads, "openvino").predict
    return runs, sizes, paths


def take_turns(
    runs: dict[str, Run],
    images: NDArray[np.float32],
    batch_size: int,
    turns: int,
    clock: Callable[[], float],
) -> dict[str, NDArray[np.float64]]:
    """Return each run's seconds for one image, one value for each turn."""
    names = list(runs)
    batches = max(1, 200 // batch_size)
    seconds = {name: np.zeros(turns) for name in names}
    for turn in track(range(-2, turns), f"batch {batch_size}"):  # two turns warm up
        for name in names if turn % 2 else names[::-1]:
            start = clock()
            for index in range(batches):
                first = index * batch_size % (len(images) - batch_size)
                runs[name](images[first : first + batch_size])
            if turn >= 0:
                seconds[name][turn] = (clock() - start) / (batches * batch_size)
    return seconds


def figures(seconds: dict[str, NDArray[np.float64]], batch_size: int) -> dict[str, float]:
    """Return seconds for 10,000 images, and ratios of throughput, each a median over turns."""
    found = {f"{name}_10000_s": float(np.median(s)) * 10_000 for name, s in seconds.items()}
    for name in [name for name in seconds if name not in ("torch_fp32", "onnx_fp32")]:
        for other in ("torch_fp32", "onnx_fp32"):
            found[f"{name}_over_{other}"] = float(np.median(seconds[other] / seconds[name]))
    return {name: round(value, 3) for name, value in found.items()}


def print_table(by_size: dict[int, dict[str, float]]) -> None:
    """Print what was measured, a row for each batch size."""
    for title, ending in {
        "seconds for 10,000 images": "_10000_s",
        "throughput, times plain PyTorch's": "_over_torch_fp32",
        "throughput, times ONNX Runtime's in fp32": "_over_onnx_fp32",
    }.items():
        names = [name for name in next(iter(by_size.values())) if name.endswith(ending)]
        columns = [name.removesuffix(ending) for name in names]
        print(f"\n{title}\nbatch  " + "".join(f"{column:>15}" for column in columns))
        for size, found in by_size.items():
            print(f"{size:>5}  " + "".join(f"{found[name]:>15.2f}" for name in names))
    print()


if __name__ == "__main__":
    main()
