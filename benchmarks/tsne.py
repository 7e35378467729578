"""Time a t-SNE map with openTSNE, as the workflow makes it, against scikit-learn's.

Both start from PCA, with the same perplexity and threads and otherwise their own defaults, which
include the number of iterations (750 and 1,000); `--iterations` sets scikit-learn's. The
processor's time is compared beside the clock's, because it hardly changes with what else the
machine does. How well the maps keep the classes apart stands beside the times: a fast map that is
worse would not count.

The last line is JSON. Target: at least 3 times as fast at 10,000 points.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PERPLEXITY = 30.0


def main() -> None:
    """Parse the arguments, time both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--threads", type=int, default=1, help="of either library (default: 1)")
    parser.add_argument(
        "--features",
        type=Path,
        help="an embedding.safetensors of the workflow; default: ten clusters in 1,024 dimensions",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=1000,
        help="of scikit-learn (default: its own, 1000; openTSNE's are 750)",
    )
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # before any library reads it

    from squeezed.explain.map_scores import score_maps
    from squeezed.explain.tsne import tsne_maps

    features, labels = load(arguments.features, arguments.points)

    def ours() -> NDArray[np.float64]:
        options = {"perplexity": PERPLEXITY, "random_runs": 0, "seed": 0}
        return tsne_maps(features, **options, threads=arguments.threads).drawn

    def theirs() -> NDArray[np.float64]:
        from sklearn.manifold import TSNE

        tsne = TSNE(
            perplexity=PERPLEXITY,
            init="pca",
            max_iter=arguments.iterations,
            n_jobs=arguments.threads,
            random_state=0,
        )
        return tsne.fit_transform(features)

    result: dict[str, float] = {"points": len(features), "threads": arguments.threads}
    result["scikit_learn_iterations"] = arguments.iterations
    for name, make in (("opentsne", ours), ("scikit_learn", theirs)):
        points, wall_s, cpu_s = timed(make)
        (scores,) = score_maps(features, [points], labels, 10)
        result |= {
            f"{name}_wall_s": round(wall_s, 2),
            f"{name}_cpu_s": round(cpu_s, 2),
            f"{name}_trustworthiness": round(float(scores["trustworthiness"].mean()), 4),
            f"{name}_map_knn_accuracy": round(float(scores["map_knn_accuracy"].mean()), 4),
        }
        print(f"{name}: {wall_s:.1f} s, {cpu_s:.1f} s of processor time", file=sys.stderr)
    result["speedup_wall"] = round(result["scikit_learn_wall_s"] / result["opentsne_wall_s"], 2)
    result["speedup_cpu"] = round(result["scikit_learn_cpu_s"] / result["opentsne_cpu_s"], 2)
    print(json.dumps(result))


def load(path: Path | None, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features, shape (count, d), and labels; fewer where the file has fewer."""
    if path is not None:
        from safetensors.numpy import load_file

        embedding = load_file(path)
        return embedding["features"][:count], embedding["labels"][:count]
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, count)
    centres = generator.normal(size=(10, 1024))
    return (centres[labels] * 0.3 + generator.normal(size=(count, 1024))).astype("f"), labels


def timed(
    make: Callable[[], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], float, float]:
    """Return what `make` makes, and the wall-clock and processor seconds that it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = make()
    return made, time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
