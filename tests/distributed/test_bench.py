"""The bench of shards on Ray: same answers or no figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench.distributed import AnswersDifferError, Codes, Row, Search, measure, workloads, write

from hashcore.distributed.ray import ShardedIndex

FEW = Codes(
    64,
    2_000,
    (
        Search("nearest", 3),
        Search("within", 3, radius=20),
        Search("allowed", 3, allowed=0.5, judged=False),
    ),
)


@pytest.mark.usefixtures("cluster")
def test_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(measure(FEW, tmp_path, rounds=3))
    assert [row.search for row in rows] == ["nearest", "within", "allowed"]
    for row in rows:
        assert (row.bits, row.codes, row.rounds) == (64, 2_000, 3)
        assert 0 < row.one < row.sharded  # of so few codes a call costs more than the search
        assert row.ratio_quartiles[0] <= row.ratio <= row.ratio_quartiles[1]

    right = ShardedIndex.range_search

    def wrong(self: ShardedIndex, *args: Any, **options: Any) -> Any:
        found = right(self, *args, **options)
        found.ids[-1] += 1
        return found

    monkeypatch.setattr(ShardedIndex, "range_search", wrong)
    with pytest.raises(AnswersDifferError, match="64 bits: within: the answers differ"):
        list(measure(FEW, tmp_path, rounds=2))


def test_figures_are_kept(tmp_path: Path) -> None:
    fast = Row(64, 1_000, "fast", 3, 0.5, 0.55, 1.1, (1.0, 1.2), judged=True)
    slow = Row(64, 1_000, "slow", 3, 0.5, 0.65, 1.3, (1.2, 1.4), judged=True)
    free = Row(64, 1_000, "free", 3, 0.5, 0.65, 1.3, (1.2, 1.4), judged=False)
    write(
        tmp_path,
        {"cpu": "A CPU", "cpus": 2, "isa": "avx2", "ray": "2", "load": 0.5},
        [fast, slow, free],
    )
    kept = json.loads((tmp_path / "distributed.json").read_text())
    assert [row["ratio"] for row in kept["rows"]] == [1.1, 1.3, 1.3]
    lines = (tmp_path / "distributed.md").read_text().splitlines()
    assert "| 1,000 of 64 bits: fast | 3 | 500 | 550 | 1.10 (1.00 to 1.20) | yes |" in lines
    assert "| 1,000 of 64 bits: slow | 3 | 500 | 650 | 1.30 (1.20 to 1.40) | no |" in lines
    assert "| 1,000 of 64 bits: free | 3 | 500 | 650 | 1.30 (1.20 to 1.40) |  |" in lines


def test_a_quick_run_has_the_same_searches() -> None:
    quick, full = workloads(quick=True), workloads(quick=False)
    assert [codes.searches for codes in quick] == [codes.searches for codes in full]
    assert all(few.count <= many.count for few, many in zip(quick, full, strict=True))
