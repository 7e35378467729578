"""How much memory a process takes that does nothing but run one deployed model. Loads no torch.

`python -m squeezed.graphs.peak_memory GRAPH ENGINE THREADS BATCH CHANNELS HEIGHT WIDTH` prints it
in bytes.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from squeezed.graphs.engines import open_engine


def peak_memory_bytes(
    path: Path,
    *,
    threads: int,
    batch_size: int,
    image_shape: tuple[int, ...],
    engine: str = "onnxruntime",
) -> int | None:
    """Run three batches in a process of its own and return the most memory it ever held.

    Args:
        path: the graph.
        threads: of the engine.
        batch_size: images of each batch.
        image_shape: channels, height and width.
        engine: one of `squeezed.graphs.engines.ENGINES`.

    Returns:
        Bytes of resident memory, the interpreter's and the engine's own among them; None where
        the operating system does not say (other than Linux and macOS).
    """
    arguments = [str(value) for value in (path, engine, threads, batch_size, *image_shape)]
    finished = subprocess.run(
        [sys.executable, "-m", "squeezed.graphs.peak_memory", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(finished.stdout) or None


def _own_peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux it counts the process that started this one.
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 0


def _main() -> None:
    path, name, *numbers = sys.argv[1:]
    threads, *shape = (int(number) for number in numbers)
    engine = open_engine(path, threads, name)
    images = np.zeros(shape, dtype=np.float32)
    for _ in range(3):
        engine.predict(images)
    sys.stdout.write(str(_own_peak_bytes()))


if __name__ == "__main__":
    _main()
