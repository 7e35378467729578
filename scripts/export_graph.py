"""Export a network as an ONNX graph, to be deployed without this project."""

import dataclasses

from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import sha256_of
from squeezed.foundation.job import Job, one
from squeezed.graphs.export import describe, export_network
from squeezed.graphs.graph_file import write_graph
from squeezed.networks.network_file import load_network


@script_main
def main() -> None:
    """Export, and write the graph and what it is."""
    job = Job(
        __doc__,
        inputs={
            "network": one("the network to export"),
            "dataset": one("the prepared data set, which says how images are prepared"),
        },
        outputs={"graph": one("the .onnx file to write")},
        settings="the variant and its recipe",
    )
    model, card = load_network(job.input["network"])
    path = job.output["graph"]
    described = dataclasses.replace(
        describe(card, open_dataset(job.input["dataset"])),
        parents={card.variant: sha256_of(job.input["network"])},
    )
    write_graph(path, export_network(model, card.image_size), described)
    job.write({"onnx_size_bytes": path.stat().st_size})


if __name__ == "__main__":
    main()
