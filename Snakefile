# What depends on what. Computation is in scripts/ and squeezed/; settings are in config.yaml.
from snakemake.utils import min_version

min_version("9.27")


include: "rules/before.smk"


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/view.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/import.smk"
include: "rules/evaluate.smk"
include: "rules/measures.smk"
include: "rules/attack.smk"
include: "rules/explain.smk"
include: "rules/report.smk"


check_touch()


rule all:
    default_target: True
    input:
        everything,
        report=REPORT,
    localrule: True
    message:
        "Everything is made; the report is {input.report}."


rule rehearsals:
    input:
        [REHEARSAL.format(experiment=name) for name in config["run"]],
    localrule: True
    message:
        "Everything is rehearsed."


onstart:
    lift_job_limit()
    start(workflow)


onsuccess:
    shutil.rmtree(PARTIAL_REPORT, ignore_errors=True)
    end_well(REPORT)


onerror:
    end_badly(log, partial_report(failed_in_words(log)))
