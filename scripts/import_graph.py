"""Make a variant's graph from a file that somebody else made: the step `import`."""

import dataclasses

from squeezed.configuration.recipes import recipe_of
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one
from squeezed.graphs.graph_file import write_graph
from squeezed.steps.resolve import step_of
from squeezed.steps.step import Workshop


@script_main
def main() -> None:
    """Import the file, and write its graph and what was found out of it."""
    job = Job(
        __doc__,
        inputs={"dataset": one("the prepared data set")},
        outputs={"graph": one("the .onnx file to write")},
        settings="the variant, its recipe, and the experiment's threads",
        seed="nothing but the graph's card",
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
    made = step(None, settings, workshop)
    card = dataclasses.replace(
        made.card, variant=recipe.name, seed=job.seed, recipe=[recipe.as_mapping()]
    )
    write_graph(job.output["graph"], made.graph, card)
    job.write({**made.metrics, "onnx_size_bytes": job.output["graph"].stat().st_size})


if __name__ == "__main__":
    main()
