"""Bring a data set from its source into the one form that everything reads."""

import argparse
import json
import logging
from pathlib import Path

from squeezed.cli import script_main, settings_json
from squeezed.data.preparation import prepare_dataset


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
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    summary = prepare_dataset(arguments.name, arguments.settings, arguments.output)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
