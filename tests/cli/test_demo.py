"""`hashcore demo --quick`, and what happens when a check fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from hashcore import cli
from hashcore.data import CrossModalDataset
from hashcore.methods import METHODS
from hashcore.ops.hamming_knn import hamming_knn_reference
from hashcore.report import demo
from hashcore.report.config import DemoConfig
from hashcore.report.result import DemoResult


def test_a_quick_demo_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "out" / "report.html"
    assert cli.main(["demo", "--quick", "--report", str(report)]) == 0
    shown = capsys.readouterr().out
    for text in ("identical answers", "CCA+sign", "text -> image", "all checks passed in"):
        assert text in shown
    assert f"report: {report}" in shown
    html = report.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "20,100 codes" in html
    assert [p.name for p in report.parent.iterdir()] == ["report.html"]


def test_a_wrong_answer_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def off_by_one(*args: Tensor, **options: int) -> tuple[Tensor, Tensor]:
        distances, positions = hamming_knn_reference(*args, **options)  # type: ignore[arg-type]
        distances[0, 0] += 1
        return distances, positions

    monkeypatch.setattr(demo, "hamming_knn_reference", off_by_one)
    report = tmp_path / "report.html"
    assert cli.main(["demo", "--quick", "--report", str(report)]) == 1
    said = capsys.readouterr()
    assert "check failed: the engine and the PyTorch reference gave different answers" in said.err
    assert "DIFFERENT ANSWERS" in said.out
    assert "all checks passed" not in said.out
    assert "Check failed" in report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def twice() -> list[tuple[DemoResult, CrossModalDataset]]:
    config = DemoConfig(quick=True, bits=13, method="drhc", seed=5)
    return [demo.run(config, lambda _: None, progress=False) for _ in range(2)]


def test_the_seed_decides_all_but_the_times(
    twice: list[tuple[DemoResult, CrossModalDataset]],
) -> None:
    found = [result for result, _ in twice]
    for a, b in zip(found[0].directions, found[1].directions, strict=True):
        assert a.trained.map_tie_aware == b.trained.map_tie_aware
        assert a.untrained.map_by_id == b.untrained.map_by_id
        assert np.array_equal(a.relevant, b.relevant)
        for shares in (a.relevant, a.irrelevant, a.distractors):
            assert len(shares) == 14
            assert abs(shares.sum() - 1) < 1e-9
    assert found[0].captions_answered == found[1].captions_answered
    assert found[0].search.identical


def test_answers_name_rows_and_distractors(
    twice: list[tuple[DemoResult, CrossModalDataset]],
) -> None:
    result, dataset = twice[0]
    kinds = set()
    for answer in (*result.captions_answered, *result.images_answered):
        assert answer.row in dataset.split.query
        distances = [hit.distance for hit in answer.hits]
        assert distances == sorted(distances)
        for hit in answer.hits:
            kinds.add(hit.kind)
            if hit.kind == "distractor":
                assert (hit.row, hit.relevant) == (-1, False)
            else:
                assert hit.row in dataset.split.query
                shared = dataset.labels[hit.row] & dataset.labels[answer.row]
                assert hit.relevant == bool(shared.any())
                assert hit.own == (hit.row == answer.row)
    assert kinds == {"pair", "distractor"}


def test_an_unknown_method_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--quick", "--method", "dht"]) == 2
    assert f'expected one of {", ".join(METHODS)}; got "dht"' in capsys.readouterr().err
