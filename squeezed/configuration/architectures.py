"""What an architecture is made of: asked while the graph is built, so without torch here."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from squeezed.foundation.environment import version_of
from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path

OURS = ("vgg6", "resnet_cifar")
"""Architectures of this project: they have convolutions and fully connected layers."""
KINDS = {"fully_connected": "Linear", "convolution": "Conv2d"}
"""What is counted: the kinds of layer that a step may need, by torch's names."""


def facts_of(architecture: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """Return how many layers of each of `KINDS` an architecture has.

    Args:
        architecture: an experiment's section: `name` and `arguments` count.
        folder: where answers are remembered.

    Raises:
        UserError: if there is no such architecture, or it does not take the arguments.
    """
    name, arguments = architecture["name"], architecture["arguments"]
    if name in OURS:
        return dict.fromkeys(KINDS, 1)
    question = json.dumps([name, arguments, version_of("torchvision")], sort_keys=True)
    path = folder / f"{hashlib.sha256(question.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        asked = subprocess.run(
            [sys.executable, "-m", "squeezed.networks.facts", name, json.dumps(arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            raise UserError((asked.stderr.strip().splitlines() or ["no answer"])[-1])
        with atomic_path(path) as temporary:
            temporary.write_text(asked.stdout, encoding="utf-8")
    facts: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return facts
