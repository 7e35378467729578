# What depends on what. Computation is in scripts/ and squeezed/; settings are in config.yaml.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"


rule all:
    default_target: True
    input:
        [
            MODEL.format(experiment=experiment, seed=seed, variant="baseline")
            for experiment in config["run"]
            for seed in config["experiments"][experiment]["seeds"]
        ],
    localrule: True
    message:
        "Everything is made."
