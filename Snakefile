# What depends on what. Computation is in scripts/ and squeezed/; settings are in config.yaml.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/data.smk"
include: "rules/train.smk"


for stage in ("compress", "evaluate", "attack", "explain", "report"):
    if (ROOT / "rules" / f"{stage}.smk").exists():

        include: f"rules/{stage}.smk"


rule all:
    default_target: True
    input:
        targets,
    localrule: True
    message:
        "Everything is made."


onerror:
    print(failure_message(log), file=sys.stderr)
