"""One process's share of a batch, where several train together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The part that process number `rank` (from 0) of `processes` computes on."""

    rank: int = 0
    processes: int = 1

    def of(self, n: int) -> slice:
        """Return which of `n` items are this process's; shares differ by at most one item."""
        size, left_over = divmod(n, self.processes)
        start = self.rank * size + min(self.rank, left_over)
        return slice(start, start + size + (self.rank < left_over))


WHOLE = Share()
