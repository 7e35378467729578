"""Which output of a model is which class of the images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from squeezed.foundation.errors import UserError

BACKGROUND_FIRST = "background_first"
"""In place of a file of names: the first output is no class, the others are in order."""
BACKGROUND = "background"


@dataclass(frozen=True)
class Outputs:
    """A model's outputs in the order of the images' classes, further ones behind them."""

    order: list[int]
    """For each class, the model's output."""
    names: list[str]
    """Of the classes, in the same order; as many as `order`."""


def read_names(path: str | Path) -> list[str]:
    """Read the names of a model's outputs: one a line, in order.

    Raises:
        UserError: if the file cannot be read as text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a text of names, one for each output: {error}"
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() for line in lines]


def match_outputs(
    outputs: int, labels: str | Path | None, class_names: Sequence[str] | None, model: str
) -> Outputs:
    """Find the output of each class.

    By the names of a file, if the classes' are among them; else by the number that a class's name
    is; else, where there are as many, by order. An output named `background` is left out.

    Args:
        outputs: how many the model has.
        labels: a file of their names, `background_first`, or None.
        class_names: of the images; None where these have no classes.
        model: the file's name, for messages.

    Raises:
        UserError: if they do not fit.
    """
    names: list[str] | None = None
    kept = list(range(outputs))
    if labels == BACKGROUND_FIRST:
        kept = kept[1:]
    elif labels is not None:
        names = read_names(labels)
        if len(names) != outputs:
            raise UserError(
                f"{labels} holds {len(names):,} names, but {model} has {outputs:,} outputs"
            )
        kept = [k for k in kept if names[k].lower() != BACKGROUND]
    if class_names is None:
        return Outputs(kept, [names[k] if names else f"output {k}" for k in kept])
    found = _by_name(kept, names, class_names) or _by_number(kept, class_names)
    if found is None and len(kept) == len(class_names):
        found = kept
    if found is None:
        raise UserError(_do_not_fit(kept, names, class_names, model))
    chosen = set(found)
    others = [k for k in kept if k not in chosen]
    return Outputs(
        found + others,
        [*class_names, *(names[k] if names else f"output {k}" for k in others)],
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.lower()).strip()


def _by_name(
    kept: list[int], names: list[str] | None, class_names: Sequence[str]
) -> list[int] | None:
    if names is None:
        return None
    places: dict[str, list[int]] = {}
    for k in kept:
        places.setdefault(_plain(names[k]), []).append(k)
    found = [places.get(_plain(name), []) for name in class_names]
    if not all(len(each) == 1 for each in found):
        return None
    return [each[0] for each in found]


def _by_number(kept: list[int], class_names: Sequence[str]) -> list[int] | None:
    if not all(re.fullmatch(r"\d{1,6}", name) for name in class_names):
        return None
    numbers = [int(name) for name in class_names]
    if len(set(numbers)) != len(numbers) or max(numbers, default=0) >= len(kept):
        return None
    return [kept[number] for number in numbers]


def _do_not_fit(
    kept: list[int], names: list[str] | None, class_names: Sequence[str], model: str
) -> str:
    says = (
        f"{model} has {len(kept):,} outputs, and the images {len(class_names):,} classes "
        f"({', '.join(list(class_names)[:3])}, …)"
    )
    if names is None:
        hint = " (or background_first)" if len(kept) == len(class_names) + 1 else ""
        return f"{says}: give a text file with the name of each output{hint} as labels"
    known = {_plain(names[k]) for k in kept}
    unknown = next((name for name in class_names if _plain(name) not in known), None)
    why = (
        f"{unknown!r} is not among the names of the outputs"
        if unknown is not None
        else "some names stand there twice"
    )
    return f"{says}: {why}; name the folders or labels as the outputs are named"
