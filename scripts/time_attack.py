"""Time the attack of Table II on the variants of one seed. Run it alone: it measures time."""

import torch

from squeezed.attacks.configured import read_attack
from squeezed.attacks.timing import time_attack
from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import one, several
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.twin import load_twin


@script_main
def main() -> None:
    """Time and write the result."""
    job = TorchJob(
        __doc__,
        inputs={
            "graphs": several("the variants, named as they are: baseline.onnx and so on"),
            "dataset": one("the prepared data set"),
        },
        outputs={},
        settings="the section of the attack to time, attack_timing, device and threads",
    )
    attack, timing = read_attack(job.settings["attack"]), job.settings["attack_timing"]
    victims = {
        path.stem: attack.victim(load_twin(path), job.device, images=timing["images"])
        for path in job.input["graphs"]
    }
    test = open_dataset(job.input["dataset"]).test
    indices = choose_indices(len(test), timing["images"], attack.settings.images_seed)
    times = time_attack(
        victims,
        torch.from_numpy(test.images(indices)),
        torch.from_numpy(test.labels[indices]),
        attack,
        repeats=timing["repeats"],
    )
    job.write({"repeats": timing["repeats"]}, measured={"variants": times})


if __name__ == "__main__":
    main()
