"""Time the exported variants of one seed side by side. Run it alone: it measures time."""

import argparse
from pathlib import Path

from squeezed.data import open_dataset
from squeezed.evaluation.inference_timing import time_inference
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result


@script_main
def main() -> None:
    """Parse the arguments, time and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--onnx",
        required=True,
        nargs="+",
        type=Path,
        help="the exported variants, named as they are: baseline.onnx, which is needed, and others",
    )
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's evaluation and threads, as JSON",
    )
    parser.add_argument("--result", required=True, type=Path, help="the times to write (JSON)")
    arguments = parser.parse_args()

    settings = arguments.settings
    files = {path.stem: path for path in arguments.onnx}
    if "baseline" not in files:
        parser.error("--onnx needs baseline.onnx, which the others are compared with")
    provenance = Provenance(
        inputs={**files, "dataset": arguments.dataset},
        settings=settings,
        threads=settings["threads"],
    )
    times = time_inference(
        files,
        open_dataset(arguments.dataset).test,
        threads=settings["threads"],
        **settings["evaluation"],
    )
    write_result(
        arguments.result,
        settings["evaluation"],
        measured={"variants": times},
        provenance=provenance.finish(),
    )


if __name__ == "__main__":
    main()
