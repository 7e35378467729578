"""Tell whether one variant's robustness figures can be believed: checks and a verdict."""

import torch

from squeezed.attacks.arrangement import paper_arrangement
from squeezed.attacks.configured import read_attack
from squeezed.attacks.diagnostics import DiagnosticsSettings, measure, one_at_a_time
from squeezed.attacks.gate import verdict
from squeezed.attacks.outcome import write_table
from squeezed.attacks.rivals import transfer_table
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import any_number, one
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.engines import engines_of, open_engine
from squeezed.graphs.foreign.kept import why_no_twin
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
            "other_images": any_number("the strong attack on each other variant (CSV)"),
            "other_tensors": any_number("their images, in the same order"),
        },
        outputs={"transfer": one("whose adversarial images fool this variant, to write (CSV)")},
        settings="the experiment's diagnostics, the attack's section, device and threads",
    )
    settings = job.section("diagnostics", DiagnosticsSettings)
    twin = load_twin(job.input["graph"])
    attack = read_attack(job.settings["attack"])
    shown = StoredAttack.read(job.input["attack_images"], job.input["attack_tensors"])
    others = {
        table.parent.name: StoredAttack.read(table, tensors)
        for table, tensors in zip(
            job.input["other_images"], job.input["other_tensors"], strict=True
        )
    }
    test = open_dataset(job.input["dataset"]).test
    images = torch.from_numpy(test.images(shown.index.numpy()))
    graph = job.input["graph"]
    engine = open_engine(graph, job.threads, engines_of(graph, ())[0])
    victim = Victim(twin, device=job.device, images=len(images))
    judge = one_at_a_time(engine.predict)
    checks, distances = measure(victim, judge, images, shown, others, attack, settings)
    reliable, reason = verdict(checks, why_no_twin(graph))
    write_table(job.output["transfer"], transfer_table(shown, distances))
    few = shown.attackable.nonzero()[: settings.images, 0]
    arrangement = paper_arrangement(twin, images[few], shown.label[few], device=job.device)
    job.write({"reliable": reliable, "reason": reason, **checks, **arrangement})


if __name__ == "__main__":
    main()
