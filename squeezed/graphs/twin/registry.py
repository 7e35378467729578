"""Which function builds which ONNX operator."""

from collections.abc import Callable
from typing import Any, TypeVar

from squeezed.graphs.twin.values import Call, Value

Handler = Callable[[Any, Call], Value | list[Value]]
"""Takes the builder and the call."""

AnyHandler = TypeVar("AnyHandler", bound=Handler)

HANDLERS: dict[tuple[str, str], Handler] = {}
MICROSOFT = "com.microsoft"


def operator(*names: str, domain: str = "") -> Callable[[AnyHandler], AnyHandler]:
    """Register a function for the operators `names` of `domain`.

    It gets the builder and the call, and returns the value of the first output or of each.
    """

    def register(handler: AnyHandler) -> AnyHandler:
        for name in names:
            HANDLERS[domain, name] = handler
        return handler

    return register
