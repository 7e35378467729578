"""Print what an architecture is made of: `python -m squeezed.networks.facts NAME ARGUMENTS` (JSON).

In a process of its own, because it loads torchvision (`squeezed.configuration.architectures`).
"""

import json
import sys

from squeezed.configuration.architectures import KINDS
from squeezed.foundation.errors import UserError
from squeezed.networks.torchvision_models import sketch


def _main() -> None:
    name, arguments = sys.argv[1:]
    try:
        network = sketch(name, json.loads(arguments))
    except UserError as error:
        sys.exit(str(error))
    kinds = [type(module).__name__ for module in network.modules()]
    sys.stdout.write(json.dumps({fact: kinds.count(kind) for fact, kind in KINDS.items()}))


if __name__ == "__main__":
    _main()
