"""Compile the report from whatever results there are: pages, tables, figures, metrics, cards."""

import argparse
from pathlib import Path

from squeezed.foundation.cli import script_main, settings_json
from squeezed.paper.lens import LENS
from squeezed.reporting.collection import collect, parse_expectations
from squeezed.reporting.document import compose
from squeezed.reporting.files import write_report
from squeezed.reporting.model_card import write_cards

HERE = Path(__file__).resolve().parent.parent


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        help="folder of {experiment}/seed{seed}/{variant}/{analysis}.json (default: results)",
    )
    parser.add_argument(
        "--expected",
        help="JSON: for each experiment its seeds, and for each variant its analyses; what is "
        "missing is said in the report (default: whatever is under --results)",
    )
    parser.add_argument(
        "--settings",
        type=settings_json,
        default={},
        help="JSON: the experiments' sections of the configuration, by name",
    )
    parser.add_argument(
        "--configuration",
        type=settings_json,
        default={},
        help="JSON: what to write into config.yaml to get this report; the page shows it",
    )
    parser.add_argument(
        "--failed",
        action="append",
        default=[],
        metavar="LINE",
        help="of a run that stopped: a line on a job that failed, with its log; repeatable",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data"),
        help="folder of the prepared data sets, for the pictures (default: data)",
    )
    parser.add_argument(
        "--templates",
        type=Path,
        default=HERE / "reports" / "templates",
        help="folder of the page's templates",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for report.html and all beside it"
    )
    parser.add_argument(
        "--cards",
        type=Path,
        help="folder of the graphs, {experiment}/seed{seed}/{variant}.onnx, beside each of which "
        "its card is written (default: no cards)",
    )
    return parser.parse_args()


@script_main
def main() -> None:
    """Collect, compute, render, write."""
    arguments = parse_arguments()
    expected = parse_expectations(arguments.expected) if arguments.expected else None
    experiments = collect(arguments.results, expected, arguments.settings)
    document = compose(
        experiments,
        arguments.settings,
        arguments.data,
        [LENS],
        arguments.configuration,
        arguments.failed,
    )
    write_report(document, arguments.templates, arguments.output)
    if arguments.cards:
        write_cards(document, arguments.templates, arguments.cards)
    for sentence in document.missing:
        print(f"missing: {sentence}")
    print(f"wrote {arguments.output / 'report.html'}")


if __name__ == "__main__":
    main()
