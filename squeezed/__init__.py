"""What does a CNN still know after you squeeze it?

The functions of `squeezed.face` are at hand here, `squeezed.attack(model, images, labels)` among
them; `dir(squeezed)` names them. Importing this package loads neither torch nor torchvision, so
that the workflow's graph and the jobs that need no network stay quick.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

# By name and when asked for: what is imported here would be part of every job's digest.
_FACE = "squeezed.face"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    face = importlib.import_module(_FACE)
    if name not in face.__all__:
        raise AttributeError(f"squeezed has no {name!r}; it has {', '.join(face.__all__)}")
    return getattr(face, name)


def __dir__() -> list[str]:
    return [*globals(), *importlib.import_module(_FACE).__all__]
