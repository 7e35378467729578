"""Make a variant's network, from its parent's or from nothing: the step that its recipe names."""

from squeezed.configuration.recipes import recipe_of
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import sha256_of, user_path
from squeezed.foundation.job import Job, one, optional
from squeezed.foundation.source_stamp import own_weights, source_stamp
from squeezed.networks.network_file import load_network, save_network
from squeezed.steps.resolve import step_of
from squeezed.steps.step import Workshop
from squeezed.training.loop import write_history


@script_main
def main() -> None:
    """Make the network, and write it and how its training went."""
    job = Job(
        __doc__,
        inputs={
            "parent": optional("the network to start from; none for a baseline"),
            "dataset": one("the prepared data set"),
        },
        outputs={
            "network": one("the network to write (.safetensors)"),
            "history": one("each epoch, to write (CSV)"),
        },
        settings="the variant, its recipe, the experiment's architecture, device and threads",
        seed="of new weights, batches and augmentation",
    )
    path = job.output["network"]
    architecture = job.settings.get("architecture")
    weights = own_weights(architecture["weights"]) if architecture else None
    stamp = source_stamp(weights, job.output["result"])
    if weights is not None and user_path(weights).is_file():
        # What results show: the weights' name and SHA-256, not their place on this machine.
        job.input["weights"] = user_path(weights)
        shown = {**architecture, "weights": user_path(weights).name}
        job.provenance.facts["settings"] = {**job.settings, "architecture": shown}
        job.provenance.facts["inputs_sha256"]["weights"] = sha256_of(user_path(weights))
    workshop = Workshop(
        dataset=open_dataset(job.input["dataset"]),
        seed=job.seed,
        device=job.settings["device"],
        threads=job.threads,
        architecture=architecture,
        resume_path=path.with_name(f".{path.stem}.resume.safetensors"),
    )
    recipe = recipe_of(job.settings["variant"], job.settings["recipe"])
    step, settings = step_of(recipe)
    parent = load_network(job.input["parent"]) if job.input["parent"] else (None, None)
    made = step(*parent, settings, workshop)
    card = made.described(
        variant=recipe.name,
        seed=job.seed,
        recipe=recipe.as_mapping(),
        parents={name: sha256_of(file) for name, file in job.input.items() if file},
    )
    save_network(path, made.model, card)
    write_history(job.output["history"], made.training)
    training = made.training.metrics() if made.training else {}
    job.write({**training, **made.metrics, "weights_stamp": stamp})


if __name__ == "__main__":
    main()
