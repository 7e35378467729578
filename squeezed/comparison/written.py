"""A check's findings for machines and merge requests: JUnit XML and Markdown."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from squeezed.comparison.comparison import Comparison
from squeezed.comparison.thresholds import Finding, Verdict
from squeezed.foundation.files import atomic_path

_SIGNS = {Verdict.WITHIN: "✅", Verdict.BEYOND: "❌", Verdict.UNDECIDED: "❔"}


def write_junit(path: str | Path, findings: list[Finding], name: str) -> None:
    """Write one test case for each threshold: failed where beyond, skipped where undecided.

    Args:
        path: the XML file, written whole or not at all.
        findings: of `squeezed.comparison.thresholds.judge`.
        name: of the compressed model's file.
    """
    suite = ElementTree.Element(
        "testsuite",
        name="squeezed.check",
        tests=str(len(findings)),
        failures=str(sum(f.verdict == Verdict.BEYOND for f in findings)),
        skipped=str(sum(f.verdict == Verdict.UNDECIDED for f in findings)),
        errors="0",
    )
    for finding in findings:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=finding.name)
        if finding.verdict == Verdict.BEYOND:
            ElementTree.SubElement(case, "failure", message=finding.sentence)
        elif finding.verdict == Verdict.UNDECIDED:
            ElementTree.SubElement(case, "skipped", message=finding.sentence)
        else:
            ElementTree.SubElement(case, "system-out").text = finding.sentence
    ElementTree.indent(suite)
    with atomic_path(path) as temporary:
        ElementTree.ElementTree(suite).write(temporary, encoding="utf-8", xml_declaration=True)


def write_markdown(
    path: str | Path, findings: list[Finding], comparison: Comparison, name: str
) -> None:
    """Write a short summary for a merge request, whole or not at all."""
    lines = [f"### {name}", ""]
    lines += [f"- {_SIGNS[finding.verdict]} {finding.sentence}" for finding in findings]
    said = {finding.sentence for finding in findings}
    lines += ["", *(f"- {each}" for each in comparison.sentences if each not in said)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
