"""What `make compare` costs on a pair of files, by the number of images: time and peak memory.

    python benchmarks/compare.py model.onnx model_int8.onnx photos/ --range=0,255

Further words are those of scripts/compare.py. The processor's seconds tell more than the clock's on
a machine that does other work, too. `tests/comparison/efficientnet.py` makes the pair that the
project's own figures are of.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "scripts/compare.py"
KIB_A_MIB = 1024


def measure(words: list[str]) -> tuple[float, float, float]:
    """Return the seconds of the clock and the processor, and the peak memory in MiB, of one run.

    Raises:
        SystemExit: if the comparison fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        program = subprocess.Popen(
            [sys.executable, str(SCRIPT), *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stderr is not None
        said = program.stderr.read()
        _, status, used = os.wait4(program.pid, 0)
        seconds = time.perf_counter() - began
    if status:
        raise SystemExit(said.splitlines()[-1] if said else "the comparison failed")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / KIB_A_MIB


def main() -> None:
    """Measure and print a line for each count."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("original", "compressed", "images"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--threads", type=int, default=2)
    arguments, further = parser.parse_known_args()
    pair = [
        f"--{name}={getattr(arguments, name).resolve()}"
        for name in ("original", "compressed", "images")
    ]
    for count in arguments.counts:
        words = [*pair, f"--threads={arguments.threads}", f"--limit={count}", *further]
        seconds, processor, memory = measure(words)
        print(
            f"{count} images: {seconds:.1f} s, {processor:.1f} s of the processor, {memory:.0f} MiB"
        )


if __name__ == "__main__":
    main()
