"""Run an attack again with single settings changed, to see how much each of them matters."""

import json

import numpy as np

from squeezed.attacks.configured import attack_images, changed_section, read_attack, table_of
from squeezed.attacks.outcome import attack_metrics, write_table
from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import one
from squeezed.foundation.progress import track
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.twin import load_twin

SHOWN = (
    "accuracy_after",
    "success_rate",
    "success_rate_rounded",
    "confidence_before",
    "confidence_after",
    "confidence_after_best",
    "l2_median",
    "max_abs_change",
    "iterations_mean",
)


@script_main
def main() -> None:
    """Attack once for each variation and write the table."""
    job = TorchJob(
        __doc__,
        inputs={
            "graph": one("the variant to attack (.onnx)"),
            "dataset": one("the prepared data set"),
        },
        outputs={"table": one("the variations, to write (CSV)")},
        settings="the section of the attack to vary, attack_variations, device and threads",
    )
    section, variations = job.settings["attack"], job.settings["attack_variations"]
    dataset = open_dataset(job.input["dataset"])
    test, classes = dataset.test, len(dataset.class_names)
    indices = choose_indices(len(test), variations["images"], section["images_seed"])
    model = load_twin(job.input["graph"])
    rows = []
    changes = {"as_configured": {}, **variations["changes"]}
    for name, changed in track(changes.items(), "variations of the attack", total=len(changes)):
        attack = read_attack(changed_section(section, name, changed))
        victim = attack.victim(model, job.device)
        tensors = attack_images(attack, victim, test, indices, classes)
        rows.append((name, changed, attack_metrics(table_of(tensors))))
    write_table(
        job.output["table"],
        {
            "variation": np.array([name for name, _, _ in rows]),
            "changes": np.array([json.dumps(changed) for _, changed, _ in rows]),
            **{key: _column([metrics[key] for _, _, metrics in rows]) for key in SHOWN},
        },
    )
    flat = {f"{name}_{key}": metrics[key] for name, _, metrics in rows for key in SHOWN}
    job.write({key: rows[0][2][key] for key in ("n_images", "n_attackable")} | flat)


def _column(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


if __name__ == "__main__":
    main()
