"""How many processes or threads read images beside a job that streams them."""

import os

WORKERS_VARIABLE = "SQUEEZED_WORKERS"
"""Set by the workflow from the configuration's `workers`. In the environment, not in a job's
parameters: no result depends on it, so changing it reruns nothing."""


def configured_workers() -> int:
    """Return the configured number, 2 where nothing is configured."""
    return int(os.environ.get(WORKERS_VARIABLE, "2"))
