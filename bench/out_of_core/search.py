"""Searching an index where it is mapped, cold and warm, beside a scan of the same codes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import hashcore
from bench.out_of_core import page_cache
from bench.peers import Codes

COUNTERS = ("lookups", "candidates", "scans")
Searching = Callable[[Codes], hashcore.SearchResult]


@dataclass(frozen=True)
class SearchPlan:
    """What to search for.

    Attributes:
        threads: thread counts to search with.
        cold_queries: queries that each find nothing of the index in memory.
        flat_queries: queries that are scanned for one by one; a batch of all is scanned for too.
    """

    queries: Codes
    ks: Sequence[int]
    threads: Sequence[int]
    cold_queries: int
    flat_queries: int


@dataclass(frozen=True)
class SearchFigures:
    """Searches of one k and thread count: medians, milliseconds a query.

    Attributes:
        cold_ms: queries one by one, the file's cached pages given up before each.
        warm_ms: queries one by one, all of them searched for before.
        batch_ms: all queries in one call, as warm.
        flat_ms: a scan of the codes for one query.
        flat_batch_ms: a scan of the codes for all queries in one call.
        lookups: keys looked up, a query.
        candidates: codes compared, a query.
        scans: share of the queries that were scanned for after all.
    """

    k: int
    threads: int
    cold_ms: float
    warm_ms: float
    batch_ms: float
    flat_ms: float
    flat_batch_ms: float
    lookups: float
    candidates: float
    scans: float

    @property
    def ratio(self) -> float:
        """How many times as fast as the scan, one by one and warm."""
        return self.flat_ms / self.warm_ms

    @property
    def batch_ratio(self) -> float:
        """How many times as fast as the scan, in one batch."""
        return self.flat_batch_ms / self.batch_ms


@dataclass(frozen=True)
class Searches:
    """All searches of an index, and how much of its file was in memory.

    Attributes:
        cached_after_drop: share of the file that stayed cached when it was given up; cold figures
            mean something where it is next to nothing.
        cached_when_warm: share of the file that was cached after the warm searches.
    """

    figures: tuple[SearchFigures, ...]
    cached_after_drop: float
    cached_when_warm: float


class AnswersDifferError(AssertionError):
    """The index and the scan of the same codes gave different answers."""


@dataclass(frozen=True)
class _Warm:
    """What the index did, before the scan's part is known."""

    result: hashcore.SearchResult
    warm_ms: float
    batch_ms: float
    lookups: float
    candidates: float
    scans: float


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def _cold(path: Path, queries: Codes, k: int, threads: int) -> float:
    """Median milliseconds of a query that finds nothing of the file in memory."""
    taken = []
    for query in queries:
        page_cache.drop(path)
        index = hashcore.Index.load(path, mmap=True, verify=False, threads=threads)
        taken.append(_milliseconds(partial(index.search, query, k)))
        del index  # what is mapped would not be dropped
    return statistics.median(taken)


def _warm(index: hashcore.Index, queries: Codes, k: int, threads: int) -> _Warm:
    search = partial(index.search, k=k, threads=threads)
    search(queries)
    batch_ms = _milliseconds(partial(search, queries)) / len(queries)
    before = index.stats()
    warm_ms = statistics.median(_milliseconds(partial(search, query)) for query in queries)
    after = index.stats()
    work = [(after[name] - before[name]) / len(queries) for name in COUNTERS]
    return _Warm(search(queries), warm_ms, batch_ms, *work)


def _flat(search: Searching, plan: SearchPlan, found: hashcore.SearchResult) -> tuple[float, float]:
    """Milliseconds of a scan for one query, and a query of a batch that has to find the same."""
    start = time.perf_counter()
    expected = search(plan.queries)
    batch_ms = 1e3 * (time.perf_counter() - start) / len(plan.queries)
    for name in ("distances", "ids", "counts"):
        if not np.array_equal(getattr(found, name), getattr(expected, name)):
            raise AnswersDifferError(
                f"answers: expected the index's to be those of a scan; got other {name}"
            )
    some = plan.queries[: plan.flat_queries]
    return statistics.median(_milliseconds(partial(search, query)) for query in some), batch_ms


def measure_searches(
    index_path: Path, codes: Codes, plan: SearchPlan, progress: Callable[[int, int], object]
) -> Searches:
    """Search with the index, cold and then warm, and then by scans, and compare every answer.

    Args:
        index_path: the index; no other process has it mapped.
        codes: what it was built of, mapped: uint8 [N, 8].
        plan: what to search for.
        progress: called with (parts done, parts).

    Raises:
        AnswersDifferError: an answer of the index is not the scan's.
    """
    settings = [(k, threads) for k in plan.ks for threads in plan.threads]
    parts = 3 * len(settings)
    page_cache.drop(index_path)
    cached_after_drop = page_cache.cached_share(index_path)
    cold, warm, figures = [], [], []
    for k, threads in settings:
        cold.append(_cold(index_path, plan.queries[: plan.cold_queries], k, threads))
        progress(len(cold), parts)
    index = hashcore.Index.load(index_path, mmap=True, verify=False)
    for k, threads in settings:
        warm.append(_warm(index, plan.queries, k, threads))
        progress(len(cold) + len(warm), parts)
    cached_when_warm = page_cache.cached_share(index_path)
    del index
    page_cache.drop(index_path)  # memory is the codes' now
    flat = hashcore.Index.from_codes(codes, copy=False)
    flat.search(plan.queries[0], 1)  # the codes come into memory, as far as they fit
    for (k, threads), cold_ms, found in zip(settings, cold, warm, strict=True):
        search = partial(flat.search, k=k, threads=threads)
        flat_ms, flat_batch_ms = _flat(search, plan, found.result)
        figures.append(
            SearchFigures(
                k=k,
                threads=threads,
                cold_ms=cold_ms,
                warm_ms=found.warm_ms,
                batch_ms=found.batch_ms,
                flat_ms=flat_ms,
                flat_batch_ms=flat_batch_ms,
                lookups=found.lookups,
                candidates=found.candidates,
                scans=found.scans,
            )
        )
        progress(len(cold) + len(warm) + len(figures), parts)
    return Searches(tuple(figures), cached_after_drop, cached_when_warm)
