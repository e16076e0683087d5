"""Shards on Ray workers beside one index: ``python -m bench.distributed [--quick]``.

The same codes are searched in one mapped index on two threads, and in two mapped shards of two
Ray workers, on one thread each. Answers are compared to the byte first; then the two take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import ray

import hashcore
from bench.green import is_green
from bench.kept import write_results
from bench.machine import machine
from bench.page import table
from hashcore.distributed.ray import ShardedIndex, build

BENCH = Path(__file__).parent
RESULTS = BENCH / "results"
FORMAT = "hashcore distributed results 1"
WORKERS = 2
AT_MOST = 1.2
"""Times of one index that two shards may take."""


class AnswersDifferError(Exception):
    """Two shards do not give what one index gives."""


@dataclass(frozen=True)
class Search:
    """One call.

    Attributes:
        queries: how many at once.
        radius: of a radius search; None finds the ten nearest.
        allowed: share of the codes that a filter by ids allows; None for no filter.
        judged: whether the target holds for it.
    """

    name: str
    queries: int
    radius: int | None = None
    allowed: float | None = None
    judged: bool = True


@dataclass(frozen=True)
class Codes:
    """Uniform random codes, and what is searched in them."""

    bits: int
    count: int
    searches: tuple[Search, ...]


@dataclass(frozen=True)
class Row:
    """One search: medians over the rounds.

    Attributes:
        one: seconds of one index on two threads.
        sharded: seconds of two shards on two workers.
        ratio: median of the ratios of the rounds, the sharded search's time over the other's.
        ratio_quartiles: the first and third quartile of them.
    """

    bits: int
    codes: int
    search: str
    rounds: int
    one: float
    sharded: float
    ratio: float
    ratio_quartiles: tuple[float, float]
    judged: bool

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.ratio <= AT_MOST


def workloads(quick: bool) -> tuple[Codes, ...]:
    """What is measured."""
    shrink = 20 if quick else 1
    batch, one = Search("256 queries, 10 nearest", 256), Search("1 query, 10 nearest", 1)
    return (
        Codes(
            64,
            20_000_000 // shrink,
            (
                batch,
                one,
                Search("256 queries, within 14 bits", 256, radius=14),
                Search("256 queries, 10 nearest of 1% allowed ids", 256, allowed=0.01),
            ),
        ),
        Codes(256, 10_000_000 // shrink, (batch, one)),
        Codes(64, 1_000, (Search("1 query of few codes: what a call costs", 1, judged=False),)),
    )


def arrays_of(result: Any) -> list[bytes]:
    """What an answer holds."""
    return [array.tobytes() for array in result]


def calls(
    search: Search, codes: Codes, one: hashcore.Index, sharded: ShardedIndex
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The search of one index and that of its shards."""
    rng = np.random.default_rng(search.queries)
    queries = rng.integers(0, 256, (search.queries, codes.bits // 8), np.uint8)
    allowed = None
    if search.allowed is not None:
        chosen = rng.choice(codes.count, int(codes.count * search.allowed), replace=False)
        allowed = hashcore.Filter.allow(chosen.astype(np.int64))
    if search.radius is None:
        return (
            partial(one.search, queries, 10, filter=allowed),
            partial(sharded.search, queries, 10, filter=allowed),
        )
    return (
        partial(one.range_search, queries, search.radius, filter=allowed),
        partial(sharded.range_search, queries, search.radius, filter=allowed),
    )


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(codes: Codes, folder: Path, rounds: int) -> Iterable[Row]:
    """The rows of one set of codes.

    Raises:
        AnswersDifferError: the shards give another answer.
    """
    path = folder / f"{codes.bits}-{codes.count}"
    rows = np.random.default_rng(codes.bits).integers(
        0, 256, (codes.count, codes.bits // 8), np.uint8
    )
    one = hashcore.Index.build(path.with_suffix(".hci"), rows, kind="flat", threads=WORKERS)
    manifest = build(rows, path, codes_per_shard=-(-codes.count // WORKERS), kind="flat")
    del rows
    with ShardedIndex(manifest, actors=WORKERS, threads=1) as sharded:
        for search in codes.searches:
            of_one, of_shards = calls(search, codes, one, sharded)
            if arrays_of(of_one()) != arrays_of(of_shards()):
                raise AnswersDifferError(f"{codes.bits} bits: {search.name}: the answers differ")
            taken = [(seconds_of(of_one), seconds_of(of_shards)) for _ in range(rounds)]
            ratios = [of_shards / of_one for of_one, of_shards in taken]
            first, _, third = statistics.quantiles(ratios, n=4)
            yield Row(
                bits=codes.bits,
                codes=codes.count,
                search=search.name,
                rounds=rounds,
                one=statistics.median(seconds for seconds, _ in taken),
                sharded=statistics.median(seconds for _, seconds in taken),
                ratio=statistics.median(ratios),
                ratio_quartiles=(first, third),
                judged=search.judged,
            )


def verdict(row: Row) -> str:
    """Whether a row's target is met, as text."""
    if not row.judged:
        return ""
    return "yes" if row.met else "no"


def markdown(found_on: dict[str, object], rows: Sequence[Row]) -> str:
    """The figures for people."""
    lines = [
        "# Two shards on two Ray workers beside one index",
        "",
        f"One mapped flat index on {WORKERS} threads; the same codes in two mapped shards, on one "
        "thread each, of two Ray workers of the same machine. Answers were the same to the byte. "
        "The two take turns; a ratio is the median of those of the rounds (first and third "
        f"quartile), asked are at most {AT_MOST}.",
        "",
        f"CPU {found_on['cpu']}, {found_on['cpus']} of them, level {found_on['isa']}, Ray "
        f"{found_on['ray']}. What else ran: a load average of {found_on['load']} over the last "
        "five minutes of it. A "
        "call of workers takes several turns of processes, so a busy machine adds to short ones.",
        "",
        *table(
            ("codes and search", "rounds", "one index, ms", "shards, ms", "ratio", "met"),
            (
                (
                    f"{row.codes:,} of {row.bits} bits: {row.search}",
                    str(row.rounds),
                    f"{1e3 * row.one:.3g}",
                    f"{1e3 * row.sharded:.3g}",
                    "{:.2f} ({:.2f} to {:.2f})".format(row.ratio, *row.ratio_quartiles),
                    verdict(row),
                )
                for row in rows
            ),
        ),
    ]
    return "\n".join(lines) + "\n"


def write(folder: Path, found_on: dict[str, object], rows: Sequence[Row]) -> None:
    """Keep the figures as ``distributed.json`` and ``distributed.md``."""
    content = {"format": FORMAT, "machine": found_on, "rows": [asdict(row) for row in rows]}
    write_results(folder / "distributed", content, markdown(found_on, rows))


def run(quick: bool, rounds: int, out: Path | None) -> None:
    """Measure on a Ray of its own and keep the figures."""
    (BENCH.parent / "build").mkdir(exist_ok=True)
    ray.init(
        address="local",
        num_cpus=WORKERS,
        include_dashboard=False,
        object_store_memory=200 << 20,
        _system_config={"worker_niceness": 0},  # as the other side; by default workers yield
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=BENCH.parent / "build") as folder:
        for codes in workloads(quick):
            for row in measure(codes, Path(folder), rounds):
                rows.append(row)
                print(
                    f"  {row.codes:,} of {row.bits} bits: {row.search}: {1e3 * row.one:.3g} ms, "
                    f"shards {1e3 * row.sharded:.3g} ms, ratio {row.ratio:.2f} {verdict(row)}",
                    flush=True,
                )
    ray.shutdown()
    if out is not None:
        load = round(os.getloadavg()[1], 1)
        found_on = {**machine(), "ray": version("ray"), "cpus": os.cpu_count(), "load": load}
        write(out, found_on, rows)
        print(f"Wrote {out / 'distributed.json'} and distributed.md")


def main() -> None:
    """Measure; a full run keeps its figures under bench/results."""
    parser = argparse.ArgumentParser(prog="python -m bench.distributed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few codes")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each (default 15)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to keep the figures")
    chosen = parser.parse_args()
    if chosen.rounds < 2:
        parser.error(f"--rounds: expected >= 2; got {chosen.rounds}")
    if not is_green(BENCH.parent):
        sys.exit("bench: the tests are red, so nothing is measured; make test shows why")
    run(chosen.quick, chosen.rounds, chosen.out or (None if chosen.quick else RESULTS))


if __name__ == "__main__":
    main()
