"""Check a compressed model against thresholds: `python -m squeezed.check`, for CI.

Exits with 0 when every interval lies within its threshold, 1 when one lies wholly beyond, 3 when
the images cannot decide, and 2 on bad input; one sentence for each.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from squeezed.comparison.command_line import add_comparison_arguments, comparison_options
from squeezed.comparison.comparison import compare
from squeezed.comparison.thresholds import Thresholds, Verdict, judge, worst
from squeezed.comparison.written import write_junit, write_markdown
from squeezed.foundation.cli import print_in_any_locale, sentence_of
from squeezed.foundation.errors import UserError


def share(text: str) -> float:
    """Parse a share in [0, 1].

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: it must be in [0, 1], such as 0.01")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m squeezed.check", description=__doc__)
    add_comparison_arguments(found)
    found.add_argument("--compressed", required=True, help="its compressed version")
    found.add_argument("--maximum-drop", type=share, help="of accuracy: 0.01 is one point")
    found.add_argument("--maximum-flips", type=share, help="share of changed predictions")
    found.add_argument("--maximum-broken", type=share, help="share of right → wrong")
    found.add_argument("--maximum-size-ratio", type=float, help="of the file's size")
    found.add_argument("--maximum-float-layers", type=int, help="computed in float by the engine")
    found.add_argument(
        "--require-reliable",
        action="store_true",
        help="the comparison must hold: no other preprocessing is clearly better, ties are few",
    )
    found.add_argument("--junit", type=Path, help="write JUnit XML here")
    found.add_argument("--markdown", type=Path, help="write a short summary here")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Compare, judge, say; return the exit status."""
    print_in_any_locale()
    arguments = parser().parse_args(words)
    thresholds = Thresholds(
        maximum_drop=arguments.maximum_drop,
        maximum_flips=arguments.maximum_flips,
        maximum_broken=arguments.maximum_broken,
        maximum_size_ratio=arguments.maximum_size_ratio,
        maximum_float_layers=arguments.maximum_float_layers,
        require_reliable=arguments.require_reliable,
    )
    try:
        if not thresholds.any:
            raise UserError("no threshold is given: name one, such as --maximum-drop 0.01")
        comparison = compare(
            arguments.original,
            arguments.compressed,
            arguments.images,
            **comparison_options(arguments),
        )
        findings = judge(comparison, thresholds)
        name = Path(arguments.compressed).name
        if arguments.junit:
            write_junit(arguments.junit, findings, name)
        if arguments.markdown:
            write_markdown(arguments.markdown, findings, comparison, name)
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return int(Verdict.BAD_INPUT)
    for finding in findings:
        print(f"{finding.verdict.name.lower()}: {finding.sentence}")
    return int(worst(findings))


if __name__ == "__main__":
    sys.exit(main())
