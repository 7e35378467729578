"""What one asks the workflow for on its command line: whether the configuration has it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from squeezed.configuration.completion import choices
from squeezed.foundation.errors import UserError

_DATA = re.compile(r"data/([^/]+)\.(?:safetensors|json)")
_RUN = re.compile(r"(?:models|results)/([^/]+)/seed([^/]+)/(.*)")
_ATTACK = re.compile(r"attack_([a-z0-9_]+?)(?:_images|_curve)?\.(?:json|csv|safetensors)")
_NO_ATTACKS = ("timing", "variations")


def asks_to_touch(arguments: Iterable[str]) -> bool:
    """Return whether Snakemake would take outputs for good (`--touch`).

    Args:
        arguments: of its command line. Options may be cut short (`--tou`), and letters stand behind
            one dash (`-nt`).
    """
    return any(
        ("--touch".startswith(argument) and len(argument) > len("--t"))
        or re.fullmatch("-[A-Za-z]*t", argument)
        for argument in arguments
    )


def check_targets(targets: Iterable[str], configuration: Mapping[str, Any]) -> None:
    """Check the files asked for on the command line.

    Args:
        targets: as they were given; names of rules are left to Snakemake.
        configuration: complete.

    Raises:
        UserError: if one belongs to a data set, an experiment, a variant or an attack that the
            configuration does not have.
    """
    for target in sorted(map(str, targets)):
        if match := _DATA.fullmatch(target):
            _check(target, "data set", match[1], configuration["datasets"])
        elif match := _RUN.fullmatch(target):
            _check(target, "experiment", match[1], configuration["experiments"])
            experiment = configuration["experiments"][match[1]]
            if not match[2].isdecimal():
                raise UserError(f"{target}: seed{match[2]} names no seed, which is a whole number")
            variant, _, file = match[3].rpartition("/")
            if variant:
                _check(target, "variant", variant, ["baseline", *experiment["variants"]])
            attack = _ATTACK.fullmatch(file)
            if attack and attack[1] not in (*_NO_ATTACKS, *experiment["attacks"]):
                _check(target, "attack", attack[1], experiment["attacks"])


def _check(target: str, what: str, name: str, known: Iterable[str]) -> None:
    names = list(dict.fromkeys(known))
    if name not in names:
        raise UserError(f"{target}: config.yaml has no {what} {name!r}; {choices(name, names)}")
