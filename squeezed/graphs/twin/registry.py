"""Which function builds which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from squeezed.graphs.twin.values import Call, Value

if TYPE_CHECKING:
    from squeezed.graphs.twin.builder import Builder

Handler = Callable[["Builder", Call], Value | list[Value]]

HANDLERS: dict[tuple[str, str], Handler] = {}
MICROSOFT = "com.microsoft"


def operator(*names: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register a function for the operators `names` of `domain`.

    It gets the builder and the call, and returns the value of the first output or of each.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[domain, name] = handler
        return handler

    return register
