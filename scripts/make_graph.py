"""Make a variant's graph from its parent's: the step that its recipe names."""

import dataclasses

from squeezed.configuration.recipes import recipe_of
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import sha256_of
from squeezed.foundation.job import Job, one
from squeezed.graphs.graph_file import read_graph, read_graph_card, write_graph
from squeezed.steps.step import Workshop, make_graph


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
    parent = read_graph(job.input["parent"])
    made = make_graph(recipe, parent, workshop)
    card = dataclasses.replace(
        read_graph_card(parent),
        variant=recipe.name,
        recipe=recipe.as_mapping(),
        parents={name: sha256_of(file) for name, file in job.input.items()},
    )
    write_graph(job.output["graph"], made.graph, card)
    job.write({**made.metrics, "onnx_size_bytes": job.output["graph"].stat().st_size})


if __name__ == "__main__":
    main()
