# What is asked before the configuration is read: Snakemake reads it before any other rule's code, and
# answers a file that is none with a traceback, or takes it otherwise than its author.
import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
# This tree's own package, in every job too: an experiment of DVC's runs in a copy of the tree, and
# the package installed in the environment is that of another tree. And the Python that runs
# Snakemake, also where its environment is not activated.
sys.path.insert(0, str(ROOT))
OWN_STEPS = ROOT / "own_steps"
for variable, first in (
    ("PYTHONPATH", OWN_STEPS),
    ("PYTHONPATH", ROOT),
    ("PATH", Path(sys.executable).parent),
):
    rest = os.environ.get(variable)
    os.environ[variable] = f"{first}{os.pathsep}{rest}" if rest else str(first)

from squeezed.configuration.reading import check_file
from squeezed.foundation.cli import print_in_any_locale
from squeezed.foundation.errors import UserError

# Snakemake prints the jobs' commands and messages, which hold more than an old locale has.
print_in_any_locale()

try:
    if Path.cwd().resolve() != ROOT.resolve():
        raise UserError(
            f"the workflow runs in its own folder, and this is {Path.cwd()}: change to {ROOT} and "
            "start it there, without --directory and --snakefile; for another run beside this one, "
            "clone the project once more (as `dvc exp run --temp` does)"
        )
    for path in dict.fromkeys(map(Path, [*workflow.configfiles, "config.yaml"])):
        if path.exists():
            check_file(path)
except UserError as error:
    sys.exit(f"error: {error}")
