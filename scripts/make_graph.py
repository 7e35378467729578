"""Make a variant's graph from its parent's: the step that its recipe names."""

import dataclasses

from squeezed.configuration.recipes import recipe_of
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import sha256_of
from squeezed.foundation.job import Job, one
from squeezed.graphs.graph_file import read_graph, read_graph_card, write_graph
from squeezed.steps.resolve import step_of
from squeezed.steps.step import Workshop


@script_main
def main() -> None:
    """Make the graph, and write it and how it was made."""
    job = Job(
        __doc__,
        inputs={
            "parent": one("the graph to start from (.onnx)"),
            "dataset": one("the prepared data set"),
        },
        outputs={"graph": one("the .onnx file to write")},
        settings="the variant, its recipe, and the experiment's threads",
        seed="of the choice of calibration images",
    )
    workshop = Workshop(
        dataset=open_dataset(job.input["dataset"]),
        seed=job.seed,
        device="cpu",
        threads=job.threads,
        resume_path=None,
    )
    recipe = recipe_of(job.settings["variant"], job.settings["recipe"])
    step, settings = step_of(recipe)
    parent = read_graph(job.input["parent"])
    made = step(parent, settings, workshop)
    card = read_graph_card(parent)
    card = dataclasses.replace(
        card,
        variant=recipe.name,
        recipe=[*card.recipe, recipe.as_mapping()],
        parents={card.variant: sha256_of(job.input["parent"])},
        scheme=recipe.settings.get("scheme", card.scheme),
    )
    write_graph(job.output["graph"], made.graph, card)
    job.write({**made.metrics, "onnx_size_bytes": job.output["graph"].stat().st_size})


if __name__ == "__main__":
    main()
