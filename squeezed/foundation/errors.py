"""The one exception for what a user can mend."""


class UserError(Exception):
    """Bad input, with one sentence that says what was wrong, where, and what to do about it.

    Scripts print it without a traceback and exit with status 1 (see `squeezed.foundation.cli`).
    """


def first_line(error: BaseException) -> str:
    """Return what another library's error says, cut to what fits into a sentence of ours."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(" .:")
