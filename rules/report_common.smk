# What the report asks for and makes, and what it says when a run failed.
def expected_results():
    """What the report is to find: for each experiment its seeds, variants, analyses and timings."""
    expected = {}
    for name, seed, variant in runs():
        experiment = config["experiments"][name]
        part = expected.setdefault(
            name,
            {
                "seeds": experiment["seeds"],
                "analyses": {},
                "timings": [
                    file.removesuffix(".json")
                    for files in TIMINGS.values()
                    for file in files(experiment)
                ],
            },
        )
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


def partial_report():
    """Compile what there is after a failure, and say where it is.

    It goes to a folder of its own: the report that the rule makes stays the rule's.
    """
    made = subprocess.run(
        [sys.executable, ROOT / "scripts/compile_report.py"]
        + ["--results", "results", "--data", "data", "--output", PARTIAL_REPORT]
        + ["--expected", expected_results(), "--settings", configured()],
        capture_output=True,
    )
    if made.returncode:
        return "There is no result yet to report on."
    return f"A report of what there is: {PARTIAL_REPORT}/report.html"


in_report = report  # the formatter takes the bare word for the directive

# What the report makes of each experiment: file, caption and category in `snakemake --report`, and
# the file's name in words.
REPORT_TABLES = {
    "table_1": "Table I: accuracy, size, time",
    "table_1_more": "Table I, continued",
    "table_2_paper": "Table II: the paper's attack",
    "table_2_strong": "Table II, strong attack",
    "gate": "The gate of diagnostics",
    "variations": "Settings of the attack",
    "embedding": "Embeddings and maps",
    "cam": "Guided backpropagation",
    "cam_grad_cam": "Grad-CAM",
    "training": "Training and recovery",
}
REPORT_FIGURES = {
    "robustness": "Robust accuracy",
    "adversarial": "Adversarial examples",
    "tsne": "Figure 2: t-SNE maps",
    "cam_guided_backprop": "Figure 5: guided backpropagation",
    "cam_grad_cam": "Figure 5 again: Grad-CAM",
    "training": "Training curves",
}


def report_files(kind, names, suffix):
    """The report's files of one kind, marked for `snakemake --report`."""
    return [
        in_report(
            f"reports/generated/{kind}/{experiment}/{name}.{suffix}",
            caption=f"../reports/captions/{kind}/{name}.rst",
            category=kind.capitalize(),
            subcategory=experiment,
            labels={"experiment": experiment, "what": words},
        )
        for experiment in config["run"]
        for name, words in names.items()
    ]


def report_tables():
    """The tables of each experiment, and the claims, marked for `snakemake --report`."""
    claims = in_report(
        "reports/generated/tables/claims.csv",
        caption="../reports/captions/tables/claims.rst",
        category="Claims",
        labels={"experiment": "all", "what": "Claims and verdicts"},
    )
    return [claims, *report_files("tables", REPORT_TABLES, "csv")]


def report_figures():
    """The figures of each experiment, marked for `snakemake --report`."""
    return report_files("figures", REPORT_FIGURES, "svg")
