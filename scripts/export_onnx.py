"""Export a model as ONNX, to be deployed without this project."""

import argparse
import logging
from pathlib import Path

from squeezed.foundation.cli import script_main
from squeezed.graphs.export import export_onnx
from squeezed.networks.network_file import load_model

logger = logging.getLogger(__name__)


@script_main
def main() -> None:
    """Parse the arguments, check and write the ONNX file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="the model to export")
    parser.add_argument("--output", required=True, type=Path, help="the .onnx file to write")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    model, card = load_model(arguments.model)
    export_onnx(arguments.output, model, card)
    logger.info("%s: %d bytes", arguments.output, arguments.output.stat().st_size)


if __name__ == "__main__":
    main()
