"""Bring a data set from its source into the one form that everything reads."""

import argparse
import logging
from pathlib import Path

from squeezed.data import open_dataset
from squeezed.data.preparation import prepare_dataset
from squeezed.data.summary import summarise, without_paths
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.foundation.source_stamp import source_stamp


@script_main
def main() -> None:
    """Parse the arguments and prepare the data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the data set's name")
    parser.add_argument(
        "--settings", required=True, type=settings_json, help="its section of config.yaml, as JSON"
    )
    parser.add_argument(
        "--output", required=True, type=Path, help="where to write it (.safetensors)"
    )
    parser.add_argument(
        "--summary", required=True, type=Path, help="what is in it, to write (JSON)"
    )
    parser.add_argument(
        "--downloads",
        type=Path,
        default=Path("downloads"),
        help="where downloads and unpacked archives are kept (default: %(default)s)",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = arguments.settings
    provenance = Provenance(inputs={}, settings=without_paths(settings))
    prepare_dataset(arguments.name, settings, arguments.output, arguments.downloads)
    stamp = source_stamp(settings["source"]["path"], arguments.summary)
    summary = summarise(open_dataset(arguments.output), settings, stamp)
    write_result(arguments.summary, summary, provenance=provenance.finish())


if __name__ == "__main__":
    main()
