"""How much memory a process takes that does nothing but run one deployed model. Loads no torch.

`python -m squeezed.graphs.peak_memory MODEL THREADS BATCH HEIGHT WIDTH` prints it in bytes.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from squeezed.graphs.engine import Engine


def peak_memory_bytes(
    path: Path, *, threads: int, batch_size: int, image_size: tuple[int, int]
) -> int | None:
    """Run three batches in a process of its own and return the most memory it ever held.

    Returns:
        Bytes of resident memory, the interpreter's and ONNX Runtime's own among them; None where
        the operating system does not say (other than Linux and macOS).
    """
    arguments = [str(value) for value in (path, threads, batch_size, *image_size)]
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
    path, threads, batch_size, height, width = sys.argv[1:]
    engine = Engine(path, int(threads))
    images = np.zeros((int(batch_size), 3, int(height), int(width)), dtype=np.float32)
    for _ in range(3):
        engine.logits(images)
    sys.stdout.write(str(_own_peak_bytes()))


if __name__ == "__main__":
    _main()
