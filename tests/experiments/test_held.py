"""Earlier results are taken over where nothing that they depend on has changed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.conftest import TINY
from hashcore import cli
from hashcore.experiments.held import Held, _same
from hashcore.experiments.measure import perform
from hashcore.experiments.plan import CCA_SIGN, Run
from hashcore.experiments.reproduce import write
from hashcore.experiments.results import HeldRow, rows_of
from hashcore.experiments.runner import Runner
from hashcore.experiments.spec import read
from hashcore.experiments.store import Store, fingerprint, settings


def runner(folder: Path, said: list[str] | None = None) -> Runner:
    return Runner(Store(folder), say=(said if said is not None else []).append)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a run of the tiny experiment wrote, and the experiment."""
    folder = tmp_path_factory.mktemp("written")
    file = folder / "tiny.toml"
    file.write_text(TINY.replace("seeds", "ablate.seeds = [0]\nseeds", 1))
    first = runner(folder / "kept")
    for _, run in read(file).runs():
        first.store.write(settings(run, fingerprint(run.data.load())), perform(run))
    write(read(file), first, folder, "tiny")
    return folder


@pytest.fixture
def results(written: Path, tiny: Path, tmp_path: Path) -> Path:
    """Results that are of the experiment `tiny`."""
    tiny.write_text((written / "tiny.toml").read_text())
    (tmp_path / "first").mkdir()
    for name in ("tiny.json", "tiny.md"):
        (tmp_path / "first" / name).write_text((written / name).read_text())
    return tmp_path / "first" / "tiny.json"


def without_times(page: Path) -> str:
    """A page without its columns of seconds, whose last digit may be rounded twice."""
    return re.sub(r"( \| +[\d.]+){2} \|$", "", page.read_text(), flags=re.MULTILINE)


def taken(tiny: Path, file: Path, said: list[str] | None = None) -> Runner:
    """A runner with nothing kept that takes the file over."""
    made = runner(tiny.parent / "nothing kept", said)
    made.take_over(Held.read(file), read(tiny).cells)
    return made


def test_what_is_held_is_not_run_and_gives_the_same_page(
    tiny: Path, results: Path, performed: list[Run], tmp_path: Path
) -> None:
    said: list[str] = []
    later = taken(tiny, results, said)
    assert later.complete(read(tiny).runs()) == []
    assert performed == []
    assert said == ["7 runs: 7 are done, 0 to do"]
    write(read(tiny), later, tmp_path / "later", "tiny")
    before, after = results.parent, tmp_path / "later"
    assert (after / "tiny.json").read_text() == results.read_text()
    assert without_times(after / "tiny.md") == without_times(before / "tiny.md")


def test_only_what_changed_runs(tiny: Path, results: Path, performed: list[Run]) -> None:
    variants = '[[variant]]\nname = "as before"\n[[variant]]\nname = "slow"\ntrain.lr = 1e-4\n'
    tiny.write_text(TINY + variants)
    later = taken(tiny, results)
    later.complete(read(tiny).runs())
    assert [run.train.lr for run in performed] == [1e-4] * 2
    rows = rows_of(read(tiny).cells, later)
    held = {row.cell.variant or row.cell.first.method: type(row) is HeldRow for row in rows}
    assert held == {"as before": True, "slow": False, CCA_SIGN: True}
    assert [row.entry({})["variant"] for row in rows] == ["as before", "slow", ""]


@pytest.mark.parametrize(
    ("old", "new"),
    [("epochs = 1", "epochs = 2"), ("hidden = [8]", "hidden = [9]"), ("[0, 1]", "[0, 2]")],
)
def test_other_settings_run_again(
    tiny: Path, results: Path, performed: list[Run], old: str, new: str
) -> None:
    tiny.write_text(tiny.read_text().replace(old, new))
    cells = [cell for cell in read(tiny).cells if cell.first.method == "dth" and not cell.without]
    later = taken(tiny, results)
    assert [later.held(cell) for cell in cells] == [None]


def test_other_data_run_again(tiny: Path, results: Path) -> None:
    tiny.write_text(tiny.read_text().replace("pairs = 60", "pairs = 66"))
    later = taken(tiny, results)
    assert {later.held(cell) for cell in read(tiny).cells} == {None}


def test_what_runs_once_more_replaces_what_is_held(
    tiny: Path, results: Path, performed: list[Run]
) -> None:
    later = taken(tiny, results)
    later.complete(read(tiny).runs(), fresh=True)
    assert len(performed) == 7
    assert not any(isinstance(row, HeldRow) for row in rows_of(read(tiny).cells, later))


def test_results_of_other_sources_are_told(
    tiny: Path, results: Path, performed: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashcore.experiments.runner.sources", lambda: "changed")
    said: list[str] = []
    taken(tiny, results, said).complete(read(tiny).runs())
    assert said[1].startswith("7 of them by other sources of methods and trainer")


@pytest.mark.parametrize(
    ("held", "now", "default", "same"),
    [
        ({"a": 1}, {"a": 1}, {"a": 0}, True),
        ({"a": 1}, {"a": 2}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "later": None}, {"a": 0, "later": None}, True),
        ({"a": 1}, {"a": 1, "later": 0.3}, {"a": 0, "later": None}, False),
        ({"a": 1}, {"a": 1, "later": 3}, {"a": 1}, False),
        ({"a": 1, "gone": 2}, {"a": 1}, {"a": 1, "gone": 2}, False),
        ({"b": {"x": [1]}}, {"b": {"x": [1], "y": 2}}, {"b": {"x": [], "y": 2}}, True),
        ({"b": {"x": [1]}}, {"b": {"x": [2], "y": 2}}, {"b": {"x": [2], "y": 2}}, False),
        (None, {"a": 1}, {"a": 1}, False),
        (None, None, None, True),
    ],
)
def test_a_field_that_came_later_counts_as_its_default(
    held: Any, now: Any, default: Any, same: bool
) -> None:
    assert _same(held, now, default) is same


def test_cells_without_settings_are_not_taken(tiny: Path, results: Path) -> None:
    document = json.loads(results.read_text())
    for cell in document["cells"]:
        del cell["settings"]
    results.write_text(json.dumps(document))
    later = taken(tiny, results)
    assert {later.held(cell) for cell in read(tiny).cells} == {None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected results of `hashcore reproduce`"),
        ("[]", "expected results of `hashcore reproduce`"),
        ('{"format": "x", "cells": [], "machine": {"torch": "1"}}', "got 'x'"),
        (
            '{"format": "hashcore experiment results 1", "cells": [], "machine": {"torch": "1"}}',
            "made with torch 1, this is",
        ),
    ],
)
def test_a_file_that_cannot_be_taken_over(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        Held.read(file)


def test_the_command_takes_results_over(
    tiny: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["reproduce", str(tiny), "--keep", str(tmp_path / "none"), "--out", str(tmp_path / "o")]
    assert cli.main([*line, "--take-over", str(results)]) == 0
    assert "7 runs: 7 are done, 0 to do" in capsys.readouterr().err
    assert cli.main([*line, "--take-over", str(tmp_path / "missing.json")]) == 2
    assert "missing.json" in capsys.readouterr().err


def test_the_project_s_own_results_are_of_its_settings() -> None:
    bench = Path(__file__).resolve().parents[2] / "bench"
    file = bench / "results" / "methods.json"
    cells = json.loads(file.read_text())["cells"]
    data = {entry["dataset"]: entry["settings"]["data"] for entry in cells}
    own = Held(cells)
    lacking = [
        cell.name
        for cell in read(bench / "methods.toml").cells
        if own.entry(cell, data[cell.first.data.name]) is None
    ]
    assert lacking == []
