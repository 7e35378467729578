# What the report asks for and makes, and what it says when a run failed.
from squeezed.paper.roles import blocks_of as paper_blocks_of
from squeezed.reporting.blocks import blocks_of


def expected_results():
    """What the report is to find: for each experiment its seeds, variants, analyses, timings
    and comparisons of seeds."""
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
                "comparisons": [
                    file.removesuffix(".json")
                    for files in COMPARISONS.values()
                    for file in files(experiment)
                    if file.endswith(".json")
                ],
            },
        )
        part["analyses"][variant] = [
            file.removesuffix(".json")
            for files in ANALYSES.values()
            for file in files(name, variant)
            if file.endswith(".json")
        ]
    return json.dumps(expected)


def configured():
    """The sections of the experiments that are run, variants in the order of the configuration."""
    return json.dumps({name: config["experiments"][name] for name in config["run"]})


def configuration():
    """What makes this report, as it was written: the experiments that are run and their data sets."""
    names = {config["experiments"][name]["dataset"] for name in config["run"]}
    names |= {
        config["experiments"][name]["unfamiliar"]["dataset"] for name in config["run"]
    }
    kept = {"run": config["run"], "datasets": names, "experiments": config["run"]}
    return json.dumps(
        default=str,
        obj={
            key: (
                {name: value[name] for name in value if name in kept[key]}
                if key in ("datasets", "experiments")
                else value
            )
            for key, value in WRITTEN.items()
        },
    )


def partial_report(failed):
    """Compile what there is after a failure, and say where it is.

    It goes to a folder of its own: the report that the rule makes stays the rule's.
    """
    made = subprocess.run(
        [sys.executable, ROOT / "scripts/compile_report.py"]
        + ["--results", "results", "--data", "data", "--output", PARTIAL_REPORT]
        + ["--expected", expected_results(), "--settings", configured()]
        + ["--configuration", configuration()]
        + [f"--failed={line}" for line in failed],
        capture_output=True,
    )
    if made.returncode:
        return "There is no result yet to report on."
    return f"A report of what there is: {PARTIAL_REPORT}/report.html"


in_report = report  # the formatter takes the bare word for the directive


def report_blocks():
    """Each (experiment, block of the report) that becomes a file."""
    for name in config["run"]:
        experiment = config["experiments"][name]
        blocks = blocks_of(experiment["attacks"], experiment["cam"]["methods"])
        for block in [*blocks, *paper_blocks_of(experiment)]:
            if block.kind != "page":
                yield name, block


def report_captions():
    """The captions that the report writes for `snakemake --report`."""
    return [f"reports/generated/{b.caption_file(name)}" for name, b in report_blocks()]


def report_files():
    """The tables and figures of each experiment, marked for `snakemake --report`."""
    return [
        in_report(
            f"reports/generated/{block.file(name)}",
            caption=os.path.abspath(f"reports/generated/{block.caption_file(name)}"),
            category=block.kind.capitalize(),
            subcategory=name,
            labels={"experiment": name, "what": block.title},
        )
        for name, block in report_blocks()
    ]
