# The report: everything that a run made, in one page.


include: "report_common.smk"


REPORT_TEMPLATES = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "reports/templates").iterdir()
)


report: "../reports/captions/workflow.rst"


rule compile_report:
    input:
        results=all_results,
        datasets=[
            DATASET.format(dataset=config["experiments"][name]["dataset"])
            for name in config["run"]
        ],
        templates=REPORT_TEMPLATES,
        schema="config.schema.yaml",
    output:
        report_files(),
        report_captions(),
        html=report(
            REPORT,
            caption="../reports/captions/report.rst",
            category="Report",
            labels={"what": "The whole report"},
        ),
        markdown="reports/generated/report.md",
        answer="reports/generated/answer.json",
        configuration="reports/generated/configuration.yaml",
        table="reports/generated/tables/results.csv",
        # A file for each variant: a line of `dvc metrics show`.
        metrics=sorted(
            {
                f"reports/generated/metrics/{experiment}/{variant}.json"
                for experiment, _, variant in runs()
            }
        ),
        # A card beside each graph, of the report's own figures.
        cards=[
            CARD_FILE.format(experiment=experiment, seed=seed, variant=variant)
            for experiment, seed, variant in runs()
        ],
        training_curves="reports/generated/plots/training_curves.csv",
        accuracy_size="reports/generated/plots/accuracy_size.csv",
        robustness_curve="reports/generated/plots/robustness_curve.csv",
    log:
        "logs/compile_report.log",
    benchmark:
        "logs/compile_report.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory_mb(2000),
        runtime=minutes(20),
    params:
        settings=configured(),
        expected=lambda wildcards: expected_results(),
        configuration=configuration(),
        code=code("compile_report", "config.schema.yaml", *REPORT_TEMPLATES),
    message:
        "Compile the report"
    shell:
        "python scripts/compile_report.py --results results --data data"
        " --expected {params.expected:q} --settings {params.settings:q}"
        " --configuration {params.configuration:q}"
        " --output reports/generated --cards models > {log} 2>&1"
