"""What every script in `scripts/` shares: argument types, and errors without a traceback."""

import argparse
import functools
import io
import json
import sys
from collections.abc import Callable
from typing import Any

from squeezed.foundation.errors import UserError, printable
from squeezed.foundation.exhaustion import NO_MEMORY, exhausted

WITHOUT_MEMORY = (MemoryError, SystemError)
"""What CPython raises where memory is used up; the second where it cannot even raise the first."""


def settings_json(text: str) -> dict[str, Any]:
    """Parse a script's `--settings`: the rule's own sections of the configuration, as JSON.

    Raises:
        argparse.ArgumentTypeError: if `text` is not a JSON object.
    """
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error})") from error
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError("must be a JSON object, such as '{\"epochs\": 5}'")
    return settings


def print_in_any_locale() -> None:
    """Have what the terminal's encoding lacks printed escaped, instead of an error for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def sentence_of(error: Exception) -> str | None:
    """Return what a user can mend, in one sentence; None for a mistake of ours.

    That is a `UserError`, or a resource that ran out (`squeezed.foundation.exhaustion`).
    """
    if isinstance(error, UserError):
        return str(error)
    reason = exhausted(error)
    return None if reason is None else printable(reason)


def _unraisable(error: "sys.UnraisableHookArgs") -> None:
    """Print what was raised where nobody catches it, unless it is for want of memory.

    A progress bar that cannot be closed then has nothing to tell.
    """
    if not isinstance(error.exc_value, WITHOUT_MEMORY):
        sys.__unraisablehook__(error)


def script_main(main: Callable[[], None]) -> Callable[[], None]:
    """Make a script's `main` print what a user can mend as one sentence, and exit with status 1.

    Any other error is a mistake of ours, whose traceback is wanted.
    """

    @functools.wraps(main)
    def guarded() -> None:
        print_in_any_locale()
        sys.unraisablehook = _unraisable
        try:
            main()
        except Exception as error:
            try:
                sentence = sentence_of(error)
            except WITHOUT_MEMORY:
                sentence = NO_MEMORY
            if sentence is None:
                raise
            sys.exit(f"error: {sentence}")

    return guarded
