"""Attack one variant with one of the configured attacks (Table II)."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from squeezed.attacks.configured import attack_images, read_attack, table_of
from squeezed.attacks.finished_batches import FinishedBatches
from squeezed.attacks.method import module_of
from squeezed.attacks.outcome import attack_metrics, robust_accuracy_curve, write_table
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.code_digest import code_digest
from squeezed.foundation.device import device_name
from squeezed.foundation.files import atomic_path, sha256_of
from squeezed.foundation.job import one, optional
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.twin import load_twin

ROOT = Path(__file__).resolve().parent.parent


@script_main
def main() -> None:
    """Attack batch by batch, and write the result and what it is read from."""
    job = TorchJob(
        __doc__,
        inputs={
            "graph": one("the variant to attack (.onnx)"),
            "dataset": one("the prepared data set"),
            "baseline_images": optional("the same attack on the baseline (CSV)"),
            "baseline_tensors": optional("its images"),
        },
        outputs={
            "images": one("each image, to write (CSV)"),
            "curve": one("robust accuracy against L2, to write (CSV)"),
            "tensors": one("nearest adversarial images and last iterates, to write (safetensors)"),
        },
        settings="the attack's section, and the experiment's device and threads",
    )
    attack = read_attack(job.settings["attack"])
    model = load_twin(job.input["graph"])
    victim = attack.victim(model, job.device)
    dataset = open_dataset(job.input["dataset"])
    test = dataset.test
    indices = choose_indices(len(test), attack.settings.images, attack.settings.images_seed)
    theirs = [job.input["baseline_images"], job.input["baseline_tensors"]]
    baseline = StoredAttack.read(*theirs) if all(theirs) else None
    size = attack.unit(victim, torch.Size((3, *dataset.image_size)))
    finished = FinishedBatches(
        job.output["result"],
        {
            "graph": sha256_of(job.input["graph"]),
            "dataset": sha256_of(job.input["dataset"]),
            "baseline": [sha256_of(path) for path in theirs if path],
            "settings": job.settings,
            "device": device_name(job.device),
            "code": code_digest(
                Path(__file__).resolve(),
                ROOT,
                [ROOT / "requirements.txt"],
                entries=[module_of(attack.settings.method)],
            ),
        },
    )
    tensors = finished.run(
        [indices[start : start + size] for start in range(0, len(indices), size)],
        lambda batch: attack_images(
            attack, victim, test, batch, len(dataset.class_names), baseline
        ),
        f"attack, batches of {size} images",
    )
    table = table_of(tensors)
    write_table(job.output["images"], table)
    write_table(job.output["curve"], robust_accuracy_curve(table))
    with atomic_path(job.output["tensors"]) as temporary:
        save_file({"best": tensors["best"], "last": tensors["last"]}, temporary)
    job.write({"precision": victim.precision, **attack_metrics(table)})
    finished.remove()


if __name__ == "__main__":
    main()
