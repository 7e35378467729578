"""Made-up images, and the arrays that go with them: what the report's pictures are drawn from."""

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from squeezed.data.tensor_file import write_tensor_dataset

CLASSES = [f"class {label}" for label in range(10)]
SHOWN, ATTACKED, IMAGES = 60, 200, 1000
"""Images with a map, those that were attacked, and all that the made-up predictions are of."""


def write_pictures(results: Path, data: Path, variants: tuple[str, ...]) -> None:
    """Write a data set of blots, and adversarial images, t-SNE maps and activation maps of it.

    Args:
        results: the folder of one seed's variants; `attack_strong_images.csv` must be there.
        data: the data set's file.
        variants: whose arrays to write.
    """
    generator = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 10
    across, down = np.meshgrid(np.arange(32), np.arange(32))
    blots = np.stack([(across - 3 * label) ** 2 + (down - 16) ** 2 < 60 for label in labels])
    pixels = np.repeat(blots[:, None], 3, axis=1).astype(np.uint8) * 200
    data.parent.mkdir(parents=True, exist_ok=True)
    write_tensor_dataset(
        data,
        name=data.stem,
        class_names=CLASSES,
        splits=dict.fromkeys(("train", "validation", "test"), (pixels, labels)),
        source={"kind": "made up"},
    )
    originals = pixels[:ATTACKED].astype(np.float32) / 255
    for variant in variants:
        folder = results / variant
        table = pd.read_csv(folder / "attack_strong_images.csv").head(ATTACKED)
        table.to_csv(folder / "attack_strong_images.csv", index=False)
        noise = 0.1 * generator.standard_normal(originals.shape).astype(np.float32)
        adversarial = np.clip(originals + noise, 0, 1)
        tensors = {"best": adversarial, "last": adversarial}
        save_file(tensors, folder / "attack_strong.safetensors")
        places = generator.normal(labels[:SHOWN, None], 0.3, (SHOWN, 2))
        columns = {"index": np.arange(SHOWN), "label": labels[:SHOWN]}
        columns |= {"prediction": labels[:SHOWN], "x": places[:, 0], "y": places[:, 1]}
        pd.DataFrame(columns).to_csv(folder / "tsne.csv", index=False)
        maps = generator.random((SHOWN, 32, 32)).astype(np.float16)
        arrays = {"guided_backprop": maps, "grad_cam": maps, "indices": np.arange(SHOWN)}
        arrays |= {"labels": labels[:SHOWN], "predictions": labels[:SHOWN]}
        arrays |= {"probabilities": np.full(SHOWN, 0.9, np.float32)}
        if variant != "baseline":
            arrays |= _changed(results, variant)
        save_file(arrays, folder / "cam.safetensors")


def _changed(results: Path, variant: str) -> dict[str, np.ndarray]:
    """Return maps of the images that a variant changes: the baseline's heat above its own."""
    said = [
        pd.read_csv(results / v / "predictions.csv")["prediction"] for v in ("baseline", variant)
    ]
    indices = np.flatnonzero(said[0] != said[1])
    above = np.broadcast_to(np.arange(32)[:, None] < 16, (len(indices), 32, 32))
    maps = {"changed_baseline_guided_backprop": above, "changed_guided_backprop": ~above}
    return {"changed_indices": indices, **{k: v.astype(np.float16) for k, v in maps.items()}}
