"""Export a network as an ONNX graph, to be deployed without this project."""

from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one
from squeezed.graphs.export import export_network
from squeezed.graphs.graph_file import card_of_network, write_graph
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
    graph = export_network(model, card.image_size)
    write_graph(
        job.output["graph"], graph, card_of_network(card, open_dataset(job.input["dataset"]))
    )
    job.write({"onnx_size_bytes": job.output["graph"].stat().st_size})


if __name__ == "__main__":
    main()
