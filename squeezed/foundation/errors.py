"""The one exception for what a user can mend."""


class UserError(Exception):
    """Bad input, with one sentence that says what was wrong, where, and what to do about it.

    Scripts print it without a traceback and exit with status 1 (see `squeezed.foundation.cli`).
    """

    def __init__(self, sentence: str) -> None:
        """Say `sentence`, of which names may be a part that hold anything at all."""
        super().__init__(printable(sentence))


def first_line(error: BaseException) -> str:
    """Return what another library's error says, cut to what fits into a sentence of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(" .:")


def printable(text: str) -> str:
    """Return a text in one line that any terminal shows: what is not printed is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
