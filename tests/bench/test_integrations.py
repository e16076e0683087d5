"""The measure of what integrations cost, and that none costs out of proportion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.integrations import __main__ as program
from bench.integrations.cases import INTEGRATIONS, Size
from bench.integrations.cost import AnswersDifferError, Case, Cost, measure

ANSWER = (np.arange(3),)


class Time:
    """A clock that calls move."""

    def __init__(self) -> None:
        self.now = 0

    def taking(self, *microseconds: int) -> Callable[[], Any]:
        """A call that takes so long, in turns."""
        turn = 0

        def call() -> Any:
            nonlocal turn
            self.now += 1000 * microseconds[turn % len(microseconds)]
            turn += 1
            return ANSWER

        return call


@pytest.mark.parametrize(
    ("through", "bare", "extra", "met"),
    [(130, 100, 30, True), (160, 100, 60, False), (2060, 2000, 60, True), (90, 100, -10, True)],
)
def test_costs_are_differences(through: int, bare: int, extra: int, met: bool) -> None:
    time = Time()
    case = Case("theirs", "call", time.taking(through), time.taking(bare))
    cost = measure(case, 20, lambda: time.now)
    assert (cost.bare, cost.extra, cost.met) == (bare, extra, met)
    assert cost.share == extra / bare


def test_who_else_uses_the_machine_moves_nothing() -> None:
    time = Time()
    slow_hours = [100] * 5 + [400] * 5  # both calls of a turn alike
    disturbed = [time + 20 for time in slow_hours]
    disturbed[2] = 9_000
    case = Case("theirs", "call", time.taking(*disturbed), time.taking(*slow_hours))
    assert measure(case, 200, lambda: time.now).extra == 20


@pytest.mark.parametrize("answer", [(np.arange(4),), (*ANSWER, *ANSWER), ()])
def test_answers_that_differ_are_told(answer: Any) -> None:
    with pytest.raises(AnswersDifferError, match=r"^theirs: call: the answers differ"):
        measure(Case("theirs", "call", lambda: answer, lambda: ANSWER), 3)


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_no_integration_costs_out_of_proportion(name: str) -> None:
    """Ten times the limit, so that a busy machine fails nothing: it finds a copy of the codes."""
    for size in (Size(1, 2_000), Size(3, 500)):
        for case in INTEGRATIONS[name](size):
            cost = measure(case, 40)
            assert cost.extra < 500, cost


def test_a_quick_run_writes_where_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.main(["--quick", "-k", "faiss", "--out", str(tmp_path)])
    assert "FAISS: search, 1 query, 1,000 codes" in capsys.readouterr().out
    content = json.loads((tmp_path / "integrations.json").read_text())
    costs = [Cost(**cost) for cost in content["costs"]]
    assert {cost.integration for cost in costs} == {"FAISS"}
    rows = (tmp_path / "integrations.md").read_text().splitlines()
    assert sum(row.startswith("| FAISS: ") for row in rows) == len(costs) == 3


def test_a_missing_package_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(size: Size) -> Any:
        raise ModuleNotFoundError("the package theirs is missing")

    monkeypatch.setitem(INTEGRATIONS, "faiss", missing)
    with pytest.raises(
        SystemExit, match=r"^bench\.integrations: the package theirs is missing; no"
    ):
        program.main(["--quick", "-k", "faiss"])
