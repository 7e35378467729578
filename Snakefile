# What depends on what. Computation is in scripts/ and squeezed/; settings are in config.yaml.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/compress.smk"
include: "rules/evaluate.smk"
include: "rules/attack.smk"
include: "rules/explain.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        # For a report that is there, Snakemake would not make a deleted result or model again.
        all_models,
        all_results,
        report=REPORT,
        # The rule's other outputs, too: another experiment adds some, and Snakemake takes an old
        # report as good where one output of its rule has no record yet.
        beside=rules.compile_report.output,
    localrule: True
    message:
        "Everything is made; the report is {input.report}."


onsuccess:
    shutil.rmtree(PARTIAL_REPORT, ignore_errors=True)


onerror:
    print(failure_message(log), partial_report(), sep="\n", file=sys.stderr)
