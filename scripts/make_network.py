"""Make a variant's network from its parent's, or train a baseline: the step that its recipe names."""

import dataclasses

from squeezed.configuration.recipes import recipe_of
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import sha256_of
from squeezed.foundation.job import Job, one, optional
from squeezed.networks.network_file import load_network, save_network
from squeezed.steps.step import Workshop, make_network


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
    workshop = Workshop(
        dataset=open_dataset(job.input["dataset"]),
        seed=job.seed,
        device=job.settings["device"],
        threads=job.threads,
        resume_path=path.with_name(f".{path.stem}.resume.safetensors"),
    )
    recipe = recipe_of(job.settings["variant"], job.settings["recipe"])
    parent = load_network(job.input["parent"]) if job.input["parent"] else None
    made = make_network(recipe, parent, job.settings["architecture"], workshop)
    card = dataclasses.replace(
        made.card,
        variant=recipe.name,
        seed=job.seed,
        recipe=recipe.as_mapping(),
        parents={name: sha256_of(file) for name, file in job.input.items() if file},
    )
    save_network(path, made.model, card)
    made.training.write_history(job.output["history"])
    job.write({**made.training.metrics(), **made.metrics})


if __name__ == "__main__":
    main()
