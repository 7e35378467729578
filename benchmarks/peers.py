"""Libraries that benchmarks compare with, which the project itself does without."""

import importlib.util
import sys
from collections.abc import Iterable


def require_peers(*names: str, requirements: str = "requirements-peers.txt") -> None:
    """End in one sentence that says how to install what is missing of `names`, if anything is."""
    missing = _missing(names)
    if missing:
        sys.exit(
            f"error: this benchmark compares with {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed: "
            f"uv pip install -r {requirements}"
        )


def _missing(names: Iterable[str]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]
