"""Timing: contenders and bounds take turns, so that a noisy machine hits them alike; medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import hashcore
from bench.kept import Outcome, Timing
from bench.limits import Limits, Part
from bench.report import Row
from bench.workloads import BANDWIDTH, ISSUE_LIMIT, SLICED_LIMIT, Search, Workload
from hashcore import _core

Unit = Literal["pairs", "B", "ids"]
MeasureLimits = Callable[[Part], Limits]


@dataclass(frozen=True)
class Contender:
    """Something to time.

    Attributes:
        work: what one run does, in the row's unit. Contenders of different sizes are compared by
            their rates.
    """

    run: Callable[[], object]
    work: float


@dataclass(frozen=True)
class Bound:
    """Rates that hashcore cannot pass, by name, found in one part of the machine's limits."""

    part: Part
    rates: Callable[[Limits], dict[str, float]]


def scan_bound(workload: Search, level: str) -> Bound | None:
    """The two bounds of a batched scan; None for a width or level that has none."""
    words = (workload.bits + 63) // 64
    if level == "portable" or workload.bits != 64 * words or words not in (1, 2, 4, 8, 16):
        return None

    def rates(limits: Limits) -> dict[str, float]:
        scan = limits.scan[level]
        return {
            ISSUE_LIMIT: scan.issue_limit[words],
            SLICED_LIMIT: scan.sliced_issue_limit[words],
        }

    return Bound("scan", rates)


def read_bound(threads: int, bytes_per_work: float) -> Bound:
    """The bound of work that reads so many bytes for a unit of it."""
    return Bound("read", lambda limits: {BANDWIDTH: limits.read[threads] / bytes_per_work})


@contextmanager
def forced_level(level: str) -> Iterator[None]:
    """Run the engine at an instruction-set level; an empty name leaves the best."""
    _core.force_isa(level)
    try:
        yield
    finally:
        _core.force_isa("")


@dataclass
class Turns:
    """Runs every peer once a round and keeps their seconds."""

    peers: Mapping[str, Contender]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def take(self) -> None:
        """One turn of every peer."""
        for name, peer in self.peers.items():
            start = time.perf_counter()
            peer.run()
            self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def timings(self, hashcore_rate: float) -> dict[str, Timing]:
        """Medians of every round but the first, which warms up."""
        medians = {name: statistics.median(taken[1:]) for name, taken in self.seconds.items()}
        rates = {name: self.peers[name].work / median for name, median in medians.items()}
        return {
            name: Timing(medians[name], rate, hashcore_rate / rate) for name, rate in rates.items()
        }


class Contest:
    """Times hashcore beside its peers, which run in the untimed setup of every round.

    Args:
        benchmark: the fixture of pytest-benchmark, which times hashcore.
        limits: measures a part of the machine's limits.
        keep: takes the finished row.
    """

    def __init__(
        self, benchmark: Any, limits: MeasureLimits, keep: Callable[[Row], object]
    ) -> None:
        self._benchmark = benchmark
        self._limits = limits
        self._keep = keep

    def __call__(
        self,
        workload: Workload,
        unit: Unit,
        ours: Contender,
        peers: Mapping[str, Contender],
        bound: Bound | None = None,
    ) -> Row:
        """Time the rounds; before each of them, the bound is measured and every peer runs."""
        turns, bounds = Turns(peers), []

        def others() -> None:
            bounds.append(self._rates(bound))
            turns.take()

        self._benchmark.pedantic(ours.run, setup=others, rounds=workload.rounds, warmup_rounds=1)
        stats = self._benchmark.stats
        if stats is None:
            raise RuntimeError("bench: expected pytest-benchmark to time; it is disabled")
        seconds: float = stats.stats.median
        rate = ours.work / seconds
        timings = turns.timings(rate)
        shares = {
            name: rate / statistics.median(rates[name] for rates in bounds[1:])
            for name in bounds[0]
        }
        measures = {name: peer.ratio for name, peer in timings.items()} | shares
        row = Row(
            table=workload.table,
            workload=workload.name,
            unit=unit,
            threads=workload.threads,
            level=hashcore.isa(),
            rounds=workload.rounds,
            hashcore=Timing(seconds, rate),
            peers=timings,
            shares=shares,
            targets=tuple(
                Outcome(target.measure, target.at_least, measures[target.measure])
                for target in workload.targets
            ),
        )
        self._benchmark.extra_info.update(asdict(row))
        self._keep(row)
        return row

    def _rates(self, bound: Bound | None) -> dict[str, float]:
        return {} if bound is None else bound.rates(self._limits(bound.part))
