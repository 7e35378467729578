"""Tell whether one variant's robustness figures can be believed: eight checks and a verdict."""

import torch

from squeezed.attacks.arrangement import paper_arrangement
from squeezed.attacks.diagnostics import DiagnosticsSettings, measure, one_at_a_time
from squeezed.attacks.gate import verdict
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import one, optional
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.engines import open_engine
from squeezed.graphs.twin import load_twin


@script_main
def main() -> None:
    """Measure, judge and write the result."""
    job = TorchJob(
        __doc__,
        inputs={
            "graph": one("the variant (.onnx)"),
            "dataset": one("the prepared data set"),
            "attack_images": one("the variant's strong attack (CSV)"),
            "attack_tensors": one("its images"),
            "baseline_images": optional("the baseline's strong attack (CSV)"),
            "baseline_tensors": optional("its images"),
        },
        outputs={},
        settings="the experiment's diagnostics, device and threads",
    )
    settings = job.section("diagnostics", DiagnosticsSettings)
    twin = load_twin(job.input["graph"])
    attack = StoredAttack.read(job.input["attack_images"], job.input["attack_tensors"])
    baseline = None
    if job.input["baseline_images"]:
        baseline = StoredAttack.read(job.input["baseline_images"], job.input["baseline_tensors"])
    test = open_dataset(job.input["dataset"]).test
    images = torch.from_numpy(test.images(attack.index.numpy()))
    engine = open_engine(job.input["graph"], job.threads)
    victim = Victim(twin, device=job.device)
    judge = one_at_a_time(engine.predict)
    checks = measure(victim, judge, images, attack, baseline, settings)
    reliable, reason = verdict(checks)
    few = attack.attackable.nonzero()[: settings.images, 0]
    arrangement = paper_arrangement(twin, images[few], attack.label[few], device=job.device)
    job.write({"reliable": reliable, "reason": reason, **checks, **arrangement})


if __name__ == "__main__":
    main()
