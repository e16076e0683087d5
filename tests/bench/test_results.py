"""Results are written and read whole, and compared by ratios and shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from bench.kept import Outcome, Timing
from bench.limits import Limits, ScanLimits
from bench.report import Results, Row

from bench import compare


def row(
    workload: str, ratios: Mapping[str, float], shares: Mapping[str, float] | None = None
) -> Row:
    """A row whose hashcore does 4 Gpairs/s and whose targets are each ratio, at least 2."""
    return Row(
        table="Batched kNN",
        workload=workload,
        unit="pairs",
        threads=1,
        level="avx2",
        rounds=3,
        hashcore=Timing(0.5, 4e9),
        peers={name: Timing(0.5 * ratio, 4e9 / ratio, ratio) for name, ratio in ratios.items()},
        shares=shares or {},
        targets=tuple(Outcome(name, 2.0, ratio) for name, ratio in ratios.items()),
    )


def results(*rows: Row, cpu: str = "A CPU") -> Results:
    """A run on a machine with known limits."""
    return Results(
        machine={
            "cpu": cpu,
            "threads": 2,
            "isa": "avx2",
            "faiss": "1.15.1",
            "faiss_level": "AVX2",
        },
        limits=Limits(
            clock=2e9,
            operations={"avx2": {"add": 6e9, "popcount": 1e9}},
            scan={"avx2": ScanLimits({1: 3e9, 2: 1.5e9}, {1: 7e9, 2: 3.5e9})},
            read={1: 10e9, 2: 12e9},
        ),
        rows=rows,
    )


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = results(row("64 bits", {"FAISS": 3.0}, {"issue limit": 0.8}), row("128 bits", {}))
    written.write(tmp_path / "new" / "folder", "engine")
    assert Results.read(tmp_path / "new" / "folder" / "engine.json") == written


def test_the_table_holds_every_figure_and_verdict() -> None:
    written = results(
        row("64 bits", {"FAISS": 3.0}, {"issue limit": 0.8}),
        row("128 bits", {"Numba": 1.5}),
    )
    lines = written.markdown().splitlines()
    assert "## Targets: 1 of 2 met" in lines
    assert "| Batched kNN: 64 bits | FAISS | 3.0 of 2 | yes |" in lines
    assert "| Batched kNN: 128 bits | Numba | 1.5 of 2 | no |" in lines
    assert "| 64 bits | 4 | 3x (1.33) |  | 80% |" in lines
    assert "| 128 bits | 4 |  | 1.5x (2.67) |  |" in lines
    assert "| avx2 | 3.00 | 0.50 |" in lines
    widths = {line.count("|") for line in lines if line.startswith("| 64") or "of issue" in line}
    assert len(widths) == 1


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[1]", "another kind of JSON"),
        ('{"rows": []}', "another kind of JSON"),
    ],
)
def test_a_missing_or_foreign_file_is_one_line(
    tmp_path: Path, content: str | None, got: str
) -> None:
    path = tmp_path / "engine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match="expected results that python -m bench wrote") as error:
        Results.read(path)
    assert str(path) in str(error.value)
    assert got in str(error.value)
    assert "\n" not in str(error.value)


def test_a_row_that_lacks_a_field_is_refused(tmp_path: Path) -> None:
    results(row("64 bits", {})).write(tmp_path, "engine")
    path = tmp_path / "engine.json"
    content = json.loads(path.read_text())
    del content["rows"][0]["unit"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="unit"):
        Results.read(path)


def test_changes_beyond_a_tenth_are_marked() -> None:
    names = ("up", "down", "a tenth", "same")
    old = results(row("w", dict.fromkeys(names, 2.0), {"issue limit": 0.5}))
    new = results(
        row("w", dict(zip(names, (2.5, 1.5, 2.19, 2.0), strict=True)), {"issue limit": 0.3})
    )
    assert {change.measure: change.mark for change in compare.changes(old, new)} == {
        "up": "better",
        "down": "worse",
        "a tenth": "",
        "same": "",
        "issue limit": "worse",
    }
    assert "5 measures; beyond 10%: 1 better, 2 worse" in compare.compare(old, new)


def test_rows_of_one_run_alone_are_named() -> None:
    old = results(row("both", {"FAISS": 2.0}), row("gone", {"FAISS": 2.0}))
    new = results(row("both", {"FAISS": 2.0}), row("added", {"FAISS": 2.0}), cpu="Another")
    text = compare.compare(old, new)
    assert "Two machines: A CPU, then Another" in text
    assert "Only in the old run: Batched kNN: gone" in text
    assert "Only in the new run: Batched kNN: added" in text
    assert "1 measures" in text


def test_the_command_prints_or_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results(row("w", {"FAISS": 2.0})).write(tmp_path, "engine")
    good, missing = str(tmp_path / "engine.json"), str(tmp_path / "none.json")
    monkeypatch.setattr("sys.argv", ["compare", good, good])
    compare.main()
    assert "0 better, 0 worse" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["compare", good, missing])
    with pytest.raises(SystemExit, match=r"bench\.compare: .*none\.json: expected"):
        compare.main()
