"""Searches beyond the plain batch: many hits, radius, one query, few queries, filters."""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
from bench.contest import Contender, Contest, read_bound, scan_bound
from bench.inputs import codes_of, flat_index
from bench.peers import Codes, assert_same_neighbours, assert_same_range, faiss_index
from bench.workloads import (
    FAISS,
    FILTERED,
    MANY_HITS,
    ONE_QUERY,
    RANGE,
    SMALL_BATCHES,
    Filtered,
    Search,
    Sized,
)


def by_name(workload: Search) -> str:
    return workload.name


@pytest.mark.parametrize("workload", [*MANY_HITS, *SMALL_BATCHES], ids=by_name)
def test_knn(workload: Search, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    k = min(workload.k, workload.codes)
    database, queries = codes_of(workload)
    ours, peer = flat_index(workload.bits, database), faiss_index(workload.bits, database)
    assert_same_neighbours(ours.search(queries, k), *peer.search(queries, k))
    contest(
        workload,
        "pairs",
        Contender(lambda: ours.search(queries, k), workload.pairs),
        {FAISS: Contender(lambda: peer.search(queries, k), workload.pairs)},
        scan_bound(workload, hashcore.isa()),
    )


def test_range(contest: Contest, sized: Sized) -> None:
    workload = sized(RANGE)
    database, queries = codes_of(workload)
    ours, peer = flat_index(workload.bits, database), faiss_index(workload.bits, database)
    below = workload.radius + 1  # FAISS takes distances less than its radius
    assert_same_range(
        ours.range_search(queries, workload.radius), *peer.range_search(queries, below)
    )
    contest(
        workload,
        "pairs",
        Contender(lambda: ours.range_search(queries, workload.radius), workload.pairs),
        {FAISS: Contender(lambda: peer.range_search(queries, below), workload.pairs)},
        scan_bound(workload, hashcore.isa()),
    )


@pytest.mark.parametrize("workload", ONE_QUERY, ids=by_name)
def test_one_query(workload: Search, contest: Contest, sized: Sized) -> None:
    if workload.threads > (os.cpu_count() or 1):
        pytest.skip(f"this machine has no {workload.threads} cores")
    workload = sized(workload)
    database, queries = codes_of(workload)
    ours, peer = flat_index(workload.bits, database), faiss_index(workload.bits, database)
    assert_same_neighbours(ours.search(queries, workload.k), *peer.search(queries, workload.k))
    contest(
        workload,
        "pairs",
        Contender(
            lambda: ours.search(queries, workload.k, threads=workload.threads), workload.pairs
        ),
        {FAISS: Contender(lambda: peer.search(queries, workload.k), workload.pairs)},
        read_bound(workload.threads, workload.bits / 8),
    )


def allowed_ids(workload: Filtered) -> NDArray[np.int64]:
    """The ids that a filter allows, ascending."""
    count = max(workload.k, round(workload.share * workload.codes))
    if workload.in_a_row:
        start = (workload.codes - count) // 2
        return np.arange(start, start + count)
    return np.sort(np.random.default_rng(3).permutation(workload.codes)[:count])


def assert_nearest_allowed(
    found: hashcore.SearchResult, database: Codes, queries: Codes, allowed: NDArray[np.int64]
) -> None:
    """Check a filtered answer against a search of the allowed codes alone."""
    alone = hashcore.knn(database[allowed], queries, found.ids.shape[1])
    np.testing.assert_array_equal(found.distances, alone.distances)
    np.testing.assert_array_equal(found.ids, allowed[alone.ids])


@pytest.mark.parametrize("workload", FILTERED, ids=by_name)
def test_filter(workload: Filtered, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    database, queries = codes_of(workload)
    index = flat_index(workload.bits, database)
    allowed = allowed_ids(workload)
    mask = np.zeros(workload.codes, np.bool_)
    mask[allowed] = True
    filters = hashcore.Filter.mask(mask)
    found = index.search(queries, workload.k, filter=filters)
    assert_nearest_allowed(found, database, queries, allowed)
    contest(
        workload,
        "pairs",
        Contender(lambda: index.search(queries, workload.k, filter=filters), workload.pairs),
        {"no filter": Contender(lambda: index.search(queries, workload.k), workload.pairs)},
    )
