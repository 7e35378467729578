"""The words of a command line that say what is compared, and how images become what models see."""

import argparse
from typing import Any

from squeezed.comparison.pictures import INTERPOLATIONS
from squeezed.configuration.completion import QUICK, STANDARD, THOROUGH
from squeezed.graphs.foreign.classes import BACKGROUND_FIRST

LIMITS = {QUICK: 200, STANDARD: 2000, THOROUGH: None}
"""The images that a comparison of each effort takes at most, where `--limit` does not say."""


def numbers(text: str) -> list[float]:
    """Parse numbers with commas between them.

    Raises:
        argparse.ArgumentTypeError: if one is no number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas between") from error


def pair_of_numbers(text: str) -> tuple[float, float]:
    """Parse two numbers with a comma between them.

    Raises:
        argparse.ArgumentTypeError: if they are not two.
    """
    found = numbers(text)
    if len(found) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers with a comma between")
    return found[0], found[1]


def size(text: str) -> tuple[int, int]:
    """Parse a square's side, or height and width with `x` or a comma between them.

    Raises:
        argparse.ArgumentTypeError: if it is neither.
    """
    parts = text.replace("x", ",").split(",")
    if not 1 <= len(parts) <= 2 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 224 or 224x192")
    return int(parts[0]), int(parts[-1])


def add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `comparison_options` reads."""
    parser.add_argument("--original", required=True, help="the model (.onnx, .tflite)")
    parser.add_argument("--images", required=True, help="a folder or zip archive of pictures")
    parser.add_argument("--labels", help="a CSV file with file,label; without: class folders")
    parser.add_argument("--outputs", help=f"names of the outputs, a file, or {BACKGROUND_FIRST}")
    parser.add_argument("--size", type=size, help="side, or height x width, of what models see")
    parser.add_argument("--resize", type=int, help="the shorter side before cropping")
    parser.add_argument("--interpolation", choices=list(INTERPOLATIONS), default="bilinear")
    parser.add_argument(
        "--range", type=pair_of_numbers, default=(0.0, 1.0), help="black and white, as 0,255"
    )
    parser.add_argument("--mean", type=numbers, default=[0.0], help="in units of the range")
    parser.add_argument("--std", type=numbers, default=[1.0], help="in units of the range")
    parser.add_argument("--channel-order", choices=["RGB", "BGR"], default="RGB")
    parser.add_argument("--layout", choices=["auto", "nchw", "nhwc"], default="auto")
    parser.add_argument("--limit", type=int, help="compare on so many images")
    parser.add_argument("--threads", type=int, default=1, help="of the engines")


def comparison_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `squeezed.comparison.comparison.compare`."""
    names = (
        *("labels", "outputs", "size", "resize", "interpolation", "range", "mean", "std"),
        *("channel_order", "layout", "limit", "threads"),
    )
    return {name: getattr(arguments, name) for name in names}
