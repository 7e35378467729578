# The report: everything that a run made, in one page.
TRAINED = ("baseline", "pruned", "ablated")
REPORT_TEMPLATES = [
    f"reports/templates/{name}"
    for name in ("report.html.j2", "report.md.j2", "report.css", "report.js")
]

ANALYSES.setdefault(
    "training",
    lambda experiment, variant: (
        ["training.json", "training_history.csv"] if variant in TRAINED else []
    ),
)


def expected_results():
    """What the report is to find: for each experiment its seeds, variants and analyses."""
    expected = {}
    for name, seed, variant in runs():
        experiment = config["experiments"][name]
        part = expected.setdefault(name, {"seeds": experiment["seeds"], "analyses": {}})
        part["analyses"][variant] = [
            file.removesuffix(".json")
            for files in ANALYSES.values()
            for file in files(experiment, variant)
            if file.endswith(".json")
        ]
    return json.dumps(expected, sort_keys=True)


def configured():
    """The sections of the experiments that are run."""
    return json.dumps(
        {name: config["experiments"][name] for name in config["run"]}, sort_keys=True
    )


rule compile_report:
    input:
        results=all_results,
        templates=REPORT_TEMPLATES,
    output:
        html=REPORT,
        markdown="reports/generated/report.md",
        metrics="reports/generated/metrics.json",
        training_curves="reports/generated/plots/training_curves.csv",
        accuracy_size="reports/generated/plots/accuracy_size.csv",
        robustness_curve="reports/generated/plots/robustness_curve.csv",
    log:
        "logs/compile_report.log",
    benchmark:
        "logs/compile_report.benchmark.tsv"
    conda:
        "../envs/squeezed.yaml"
    params:
        settings=configured(),
        expected=lambda wildcards: expected_results(),
        code=code("compile_report"),
    message:
        "Compile the report"
    shell:
        "python scripts/compile_report.py --results results --data data"
        " --expected {params.expected:q} --settings {params.settings:q}"
        " --output reports/generated > {log} 2>&1"
