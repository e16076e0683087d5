"""Rows hold what was timed: medians without the warm-up, ratios of rates, shares of bounds."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from bench.contest import Bound, Contender, Contest, read_bound, scan_bound
from bench.limits import Limits, Part, ScanLimits
from bench.report import Row
from bench.workloads import Search, Target


class Clock:
    """Seconds that pass only when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def work(self, *seconds: float) -> Callable[[], object]:
        """A contender whose runs take these seconds in turn."""
        left = list(seconds)

        def run() -> None:
            self.now += left.pop(0)

        return run


class Pedantic:
    """Times as pytest-benchmark's ``pedantic`` does: the setup before every run, untimed."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.extra_info: dict[str, object] = {}
        self.stats: SimpleNamespace | None = None

    def pedantic(
        self,
        target: Callable[[], object],
        setup: Callable[[], object],
        rounds: int,
        warmup_rounds: int,
    ) -> None:
        seconds = []
        for _ in range(warmup_rounds + rounds):
            setup()
            start = self.clock.now
            target()
            seconds.append(self.clock.now - start)
        timed = sorted(seconds[warmup_rounds:])
        self.stats = SimpleNamespace(stats=SimpleNamespace(median=timed[len(timed) // 2]))


WORKLOAD = Search(
    table="T", bits=64, codes=100, queries=3, rounds=3, targets=(Target("peer", 4), Target("b", 1))
)


def test_a_row_is_medians_ratios_and_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("bench.contest.time.perf_counter", lambda: clock.now)
    limits = iter(Limits(read={1: rate}) for rate in (999.0, 200.0, 900.0, 600.0))
    kept: list[Row] = []
    benchmark = Pedantic(clock)
    row = Contest(benchmark, lambda part: next(limits), kept.append)(
        WORKLOAD,
        "pairs",
        Contender(clock.work(100.0, 1.0, 2.0, 0.5), WORKLOAD.pairs),
        {"peer": Contender(clock.work(100.0, 3.0, 9.0, 2.0), WORKLOAD.pairs / 2)},
        Bound("read", lambda found: {"b": found.read[1]}),
    )
    assert kept == [row]
    assert row.hashcore.seconds == 1.0
    assert row.hashcore.per_second == 300.0
    assert row.peers["peer"].seconds == 3.0
    assert row.peers["peer"].per_second == 50.0
    assert row.peers["peer"].ratio == 6.0
    assert row.shares == {"b": 0.5}
    assert [(o.measure, o.reached, o.met) for o in row.targets] == [
        ("peer", 6.0, True),
        ("b", 0.5, False),
    ]
    assert benchmark.extra_info["workload"] == WORKLOAD.name


def test_a_disabled_benchmark_is_an_error() -> None:
    benchmark = SimpleNamespace(pedantic=lambda *_, **__: None, stats=None)

    def no_limits(part: Part) -> Limits:
        raise AssertionError(part)

    with pytest.raises(RuntimeError, match="disabled"):
        Contest(benchmark, no_limits, print)(WORKLOAD, "pairs", Contender(print, 1), {})


def test_bounds_follow_width_level_and_threads() -> None:
    limits = Limits(scan={"avx2": ScanLimits({4: 4.0}, {4: 8.0})}, read={1: 64.0, 2: 96.0})
    wide = Search(table="T", bits=256, codes=1, queries=1)
    bound = scan_bound(wide, "avx2")
    assert bound is not None
    assert bound.rates(limits) == {"issue limit": 4.0, "sliced issue limit": 8.0}
    assert scan_bound(wide, "portable") is None
    assert scan_bound(Search(table="T", bits=250, codes=1, queries=1), "avx2") is None
    assert scan_bound(Search(table="T", bits=192, codes=1, queries=1), "avx2") is None
    assert read_bound(2, 32.0).rates(limits) == {"read bandwidth": 3.0}
