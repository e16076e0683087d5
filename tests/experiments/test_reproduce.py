"""A whole experiment: run, go on, notice changes, write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from experiments.conftest import TINY
from hashcore.experiments import runner as runner_module
from hashcore.experiments.plan import CCA_SIGN, Run
from hashcore.experiments.reproduce import write
from hashcore.experiments.runner import Runner
from hashcore.experiments.spec import read
from hashcore.experiments.store import Store


def complete(file: Path, *, fresh: bool = False) -> tuple[Runner, list[str], list[str]]:
    """Run what a file asks for: the runner, what failed, what was said."""
    said: list[str] = []
    runner = Runner(Store(file.parent / "kept"), say=said.append)
    return runner, runner.complete(read(file).runs(), fresh=fresh), said


def test_a_second_call_runs_nothing(tiny: Path, performed: list[Run]) -> None:
    _, failed, said = complete(tiny)
    assert failed == []
    assert len(performed) == 4
    assert said[0] == "4 runs: 0 are done, 4 to do"
    assert said[1].startswith("[1/4] shapes dth 8 bits seed 0: unseen 0.")
    assert all(re.search(r"; \d+ s left$", line) for line in said[1:])
    assert said[-1].endswith("; 0 s left")
    performed.clear()
    assert complete(tiny)[2] == ["4 runs: 4 are done, 0 to do"]
    assert performed == []
    complete(tiny, fresh=True)
    assert len(performed) == 4


def test_what_was_done_before_an_interrupt_is_kept(
    tiny: Path, performed: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_order = vars(runner_module)["as_they_end"]

    def interrupted(*args: object) -> Iterator[object]:
        for i, entry in enumerate(in_order(*args)):
            if i == 2:
                raise KeyboardInterrupt
            yield entry

    with monkeypatch.context() as patch:
        patch.setattr(runner_module, "as_they_end", interrupted)
        with pytest.raises(KeyboardInterrupt, match="has been said"):
            complete(tiny)
    performed.clear()
    _, _, said = complete(tiny)
    assert said[0] == "4 runs: 2 are done, 2 to do"
    assert [run.train.seed for run in performed] == [1, 1]


def test_a_changed_setting_runs_again(tiny: Path, performed: list[Run]) -> None:
    complete(tiny)
    performed.clear()
    changed = TINY.replace("hidden = [8]", "hidden = [9]")
    tiny.write_text(changed)
    complete(tiny)
    assert [run.method for run in performed] == ["dth", "dth"]
    performed.clear()
    tiny.write_text(changed.replace("seeds = [0, 1]", "seeds = [0, 2]"))
    complete(tiny)
    assert [run.train.seed for run in performed] == [2, 2]
    performed.clear()
    tiny.write_text(changed.replace("pairs = 60", "pairs = 66"))
    complete(tiny)
    assert len(performed) == 4


def test_equal_runs_of_two_variants_are_done_once(tiny: Path, performed: list[Run]) -> None:
    tiny.write_text(TINY + '[[variant]]\nname = "a"\n[[variant]]\nname = "b"\n')
    complete(tiny)
    assert len(performed) == 4


def test_other_sources_are_told(
    tiny: Path, performed: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(tiny)
    monkeypatch.setattr(runner_module, "sources", lambda: "changed")
    assert complete(tiny)[2][1].startswith("4 of them by other sources of methods and trainer")


def test_a_run_that_fails_keeps_no_other_from_running(tiny: Path) -> None:
    """In processes of its own, as a user runs it."""
    tiny.write_text(TINY.replace("epochs = 1", "epochs = 1, lr = 1e300"))
    runner, failed, said = complete(tiny)
    assert [line.split(":")[0] for line in failed] == [
        "shapes dth 8 bits seed 0",
        "shapes dth 8 bits seed 1",
    ]
    assert "is NaN" in failed[0]
    assert sum("failed" in line for line in said) == 2
    kept = [cell for cell in read(tiny).cells if runner.outcome(cell.first) is not None]
    assert [cell.first.method for cell in kept] == [CCA_SIGN]


def test_results_are_written(tiny: Path, performed: list[Run], tmp_path: Path) -> None:
    rows = 'row = [{ method = "X", dataset = "shapes", protocol = "labelled", map = [0.5, 0.75] }]'
    (tmp_path / "rows.toml").write_text(rows.replace("labelled", "encoded") + '\nsources.X = "me"')
    tiny.write_text('published = "rows.toml"\nablate.seeds = [1]\n' + TINY)
    runner, _, _ = complete(tiny)
    files = write(read(tiny), runner, tmp_path / "out", "tiny")
    assert sorted(file.name for file in files) == ["tiny-shapes.svg", "tiny.json", "tiny.md"]
    found = json.loads((tmp_path / "out" / "tiny.json").read_text())
    assert found["datasets"]["shapes"].startswith("shapes: 60 pairs")
    cell = next(c for c in found["cells"] if c["method"] == "dth" and not c["without"])
    assert cell["seeds"] == [0, 1]
    own = [runner.outcome(run) for run in performed if run.method == "dth"][:2]
    values = [o.figures["unseen"]["image_to_text"]["map"] for o in own if o is not None]
    kept = cell["figures"]["unseen"]["image_to_text"]["map"]
    assert kept["values"] == [round(v, 6) for v in values]
    assert kept["mean"] == pytest.approx(sum(values) / 2, abs=1e-4)
    assert kept["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-4)
    off = [c for c in found["cells"] if c["without"]]
    assert [c["seeds"] for c in off] == [[1]] * 3
    assert found["published"][0]["source"] == "me"
    page = (tmp_path / "out" / "tiny.md").read_text()
    assert "runs are done" not in page
    assert "![mAP@all on shapes](tiny-shapes.svg)" in page
    assert "| without regularity" in page
    assert "- X: me" in page
    chart = ET.fromstring((tmp_path / "out" / "tiny-shapes.svg").read_text())
    texts = {"".join(t.itertext()) for t in chart.iter("{http://www.w3.org/2000/svg}text")}
    assert {"dth", "unseen", "encoded", "chance, unseen", "8 bits"} <= texts


def test_what_is_missing_is_said(tiny: Path, performed: list[Run], tmp_path: Path) -> None:
    runner = Runner(Store(tmp_path / "kept"), say=lambda line: None)
    experiment = read(tiny)
    runner.complete(list(experiment.runs())[:2])
    write(experiment, runner, tmp_path, "tiny")
    assert "**2 of 4 runs are done.**" in (tmp_path / "tiny.md").read_text()
    empty = Runner(Store(tmp_path / "nothing"), say=lambda line: None)
    write(experiment, empty, tmp_path, "tiny")
    assert "**0 of 4 runs are done.**" in (tmp_path / "tiny.md").read_text()


def test_jobs_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="jobs: expected >= 1; got 0"):
        Runner(Store(tmp_path), jobs=0, say=print)
