"""Exact multi-index hashing beside a scan of the same codes, one query at a time."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pytest

import hashcore
from bench.contest import Contender, Contest
from bench.inputs import codes_of, flat_index, random_codes
from bench.out_of_core.codes import random_flips
from bench.peers import Codes, faiss_index
from bench.workloads import (
    FAISS,
    FLAT_SCAN,
    HASHED,
    REMOVED,
    TOMBSTONED,
    Hashed,
    Sized,
    Tombstoned,
)

Answer = TypeVar("Answer", hashcore.SearchResult, hashcore.RangeResult)

SCANNED = 3  # queries of a scan, which takes as long for each


def drawn_codes(workload: Hashed, seed: int, count: int) -> Codes:
    """Uniform codes, or such around the workload's centres, uint8 [count, bits / 8]."""
    if not workload.centres:
        return random_codes(seed, count, workload.bits)
    rng = np.random.default_rng(seed)
    words = workload.bits // 64
    centres = np.random.default_rng(0).integers(0, 2**64, (workload.centres, words), np.uint64)
    drawn = centres[rng.integers(0, workload.centres, count)]
    drawn ^= random_flips(rng, drawn.size, workload.flip).reshape(drawn.shape)
    return drawn.view(np.uint8)


def ask(index: hashcore.Index, workload: Hashed, queries: Codes) -> None:
    """Search for each of the queries alone."""
    for query in queries:
        if workload.radius:
            index.range_search(query, workload.radius, threads=1)
        else:
            index.search(query, workload.k, threads=1)


def assert_same(ours: Answer, truth: Answer) -> None:
    """Check that two answers are the same to the byte."""
    for name, expected in vars(truth).items():
        np.testing.assert_array_equal(getattr(ours, name), expected)


@pytest.mark.parametrize("workload", HASHED, ids=lambda workload: workload.name)
def test_hash_tables(workload: Hashed, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    database = drawn_codes(workload, 1, workload.codes)
    queries = drawn_codes(workload, 2, workload.queries)
    flat = flat_index(workload.bits, database)
    hashed = hashcore.Index(
        workload.bits, kind="mih", layout=workload.layout, radius=workload.radius or None
    )
    hashed.add(database)
    del database
    if workload.radius:
        assert_same(*(index.range_search(queries, workload.radius) for index in (hashed, flat)))
    else:
        assert_same(*(index.search(queries, workload.k) for index in (hashed, flat)))
    contest(
        workload,
        "pairs",
        Contender(lambda: ask(hashed, workload, queries), workload.pairs),
        {
            FLAT_SCAN: Contender(
                lambda: ask(flat, workload, queries[:SCANNED]), workload.codes * SCANNED
            )
        },
    )


@pytest.mark.parametrize("workload", TOMBSTONED, ids=lambda workload: workload.name)
def test_removed_codes(workload: Tombstoned, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    database, queries = codes_of(workload)
    whole, tombstoned = (hashcore.Index.from_codes(database, kind=workload.kind) for _ in range(2))
    gone = np.random.default_rng(3).permutation(workload.codes)
    gone = gone[: round(workload.removed * workload.codes)]
    assert tombstoned.remove(gone) == len(gone)
    kept = whole.search(queries, workload.k, filter=hashcore.Filter.deny(gone))
    assert_same(tombstoned.search(queries, workload.k), kept)

    def search(index: hashcore.Index) -> Contender:
        return Contender(lambda: index.search(queries, workload.k, threads=1), workload.pairs)

    contest(workload, "pairs", search(tombstoned), {"none removed": search(whole)})


def test_removal(contest: Contest, sized: Sized) -> None:
    import faiss

    workload = sized(REMOVED)
    database = random_codes(1, workload.codes, workload.bits)
    ours = hashcore.Index.from_codes(database, kind="flat", copy=False)
    peer = faiss_index(workload.bits, database)
    ids = iter(np.random.default_rng(3).permutation(workload.codes).reshape(-1, 1))
    middle = faiss.IDSelectorBatch(np.array([workload.codes // 2]))  # its positions move up

    def remove() -> None:
        for _ in range(workload.ids):
            assert ours.remove(next(ids)) == 1

    contest(
        workload,
        "ids",
        Contender(remove, workload.ids),
        {FAISS: Contender(lambda: peer.remove_ids(middle), 1)},
    )
    assert len(ours) == workload.codes - workload.ids * (workload.rounds + 1)
