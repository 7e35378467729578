"""The split of a run by kind of job adds up to what its records say."""

from pathlib import Path

import pytest

from benchmarks.end_to_end import read_records, table

HEADER = "s\tmax_pss\tcpu_time\n"


def write(folder: Path, name: str, seconds: float, processor: str, memory: str = "100") -> None:
    path = folder / f"{name}.benchmark.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t{memory}\t{processor}\n")


def test_jobs_are_put_together_by_kind(tmp_path: Path) -> None:
    write(tmp_path, "data/digits", 2.0, "1.5")
    write(tmp_path, "digits/seed0/baseline/attack_paper", 4.0, "3.0", "700")
    write(tmp_path, "digits/seed0/pruned/attack_strong", 6.0, "5.0", "800")
    write(tmp_path, "digits/seed0/pruned/evaluate", 0.01, "NA", "NA")
    records = read_records(tmp_path)
    text = table(records, wall_s=10.0, cores=2)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:6]]
    assert rows[0] == ["attack", "2", "10.0", "8.0", "83 %", "800"]
    assert [row[0] for row in rows] == ["attack", "prepare_dataset", "evaluate", "all"]
    assert rows[3][:4] == ["all", "4", "12.0", "9.5"]
    assert "10.0 s on 2 cores, 40 % of them idle" in text


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no records of jobs"):
        read_records(tmp_path)
