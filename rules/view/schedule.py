"""How long jobs take that wait for each other and share a machine's cores."""

import heapq
from collections.abc import Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """A job of a plan."""

    seconds: float
    threads: int
    memory_mb: float
    waits_for: frozenset[Hashable]


def makespan(jobs: Mapping[Hashable, Planned], cores: int) -> float:
    """Return the seconds until the last job ends, if of those that can start the longest does.

    Args:
        jobs: by any key; what they wait for that is not among them is there already.
        cores: that run at a time; a job that wants more takes them all.
    """
    waiting = {key: {k for k in job.waits_for if k in jobs} for key, job in jobs.items()}
    running: list[tuple[float, int, Hashable]] = []
    free, now, order = cores, 0.0, 0
    while waiting or running:
        ready = sorted(
            (key for key, needs in waiting.items() if not needs), key=lambda k: -jobs[k].seconds
        )
        for key in ready:
            threads = min(jobs[key].threads, cores)
            if threads <= free:
                free -= threads
                order += 1
                heapq.heappush(running, (now + jobs[key].seconds, order, key))
                del waiting[key]
        if not running:
            raise ValueError("the jobs wait for each other in a circle")
        now, _, done = heapq.heappop(running)
        free += min(jobs[done].threads, cores)
        for needs in waiting.values():
            needs.discard(done)
    return now


def peak_memory_mb(jobs: Mapping[Hashable, Planned], cores: int) -> float:
    """Return the memory of the largest jobs that fit beside each other on the cores."""
    free, total = cores, 0.0
    for job in sorted(jobs.values(), key=lambda job: -job.memory_mb):
        if min(job.threads, cores) <= free:
            free -= min(job.threads, cores)
            total += job.memory_mb
    return total
