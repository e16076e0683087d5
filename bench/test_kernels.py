"""Batched scans: every width, every level, odd widths, peers of every kind, every distance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import hashcore
from bench.contest import Contender, Contest, forced_level, scan_bound
from bench.inputs import codes_of, flat_index, random_codes
from bench.peers import (
    Codes,
    Distances,
    Ids,
    assert_same_neighbours,
    faiss_hammings,
    faiss_index,
    faiss_level,
    torch_knn,
    usearch_knn,
    words_of,
)
from bench.workloads import (
    BATCHES,
    FAISS,
    FAISS_AVX2,
    FORCED,
    HISTOGRAMS,
    ODD_WIDTHS,
    OTHER_PEERS,
    PAIRWISE,
    Search,
    Sized,
)


def by_name(workload: Search) -> str:
    return workload.name


@pytest.mark.parametrize("workload", BATCHES, ids=by_name)
def test_batch(workload: Search, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    database, queries = codes_of(workload)
    ours, peer = flat_index(workload.bits, database), faiss_index(workload.bits, database)
    assert_same_neighbours(ours.search(queries, workload.k), *peer.search(queries, workload.k))
    contest(
        workload,
        "pairs",
        Contender(lambda: ours.search(queries, workload.k), workload.pairs),
        {FAISS: Contender(lambda: peer.search(queries, workload.k), workload.pairs)},
        scan_bound(workload, hashcore.isa()),
    )


@pytest.mark.parametrize("workload", FORCED, ids=by_name)
def test_forced_level(workload: Search, contest: Contest, sized: Sized) -> None:
    if workload.level not in hashcore.isa_levels():
        pytest.skip(f"this CPU has no {workload.level}")
    workload = sized(workload)
    database, queries = codes_of(workload)
    ours, peer = flat_index(workload.bits, database), faiss_index(workload.bits, database)

    def peer_at_avx2() -> object:
        with faiss_level("AVX2"):
            return peer.search(queries, workload.k)

    peers = {FAISS: Contender(lambda: peer.search(queries, workload.k), workload.pairs)}
    if "avx2" in hashcore.isa_levels():
        peers[FAISS_AVX2] = Contender(peer_at_avx2, workload.pairs)
    with forced_level(workload.level):
        assert_same_neighbours(ours.search(queries, workload.k), *peer.search(queries, workload.k))
        contest(
            workload,
            "pairs",
            Contender(lambda: ours.search(queries, workload.k), workload.pairs),
            peers,
            scan_bound(workload, workload.level),
        )


@pytest.mark.parametrize("workload", ODD_WIDTHS, ids=by_name)
def test_odd_width(workload: Search, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    bits = workload.bits
    database, queries = codes_of(workload)
    ours = flat_index(bits, database)
    peers = {}

    def wider(width: int) -> Contender:
        index = flat_index(width, random_codes(1, workload.codes, width))
        asked = random_codes(2, workload.queries, width)
        return Contender(lambda: index.search(asked, workload.k), workload.pairs)

    if bits % 64 != 0:
        peers["itself at the next 64 bits"] = wider(-(-bits // 64) * 64)
    peers["itself at the next power of two"] = wider(1 << bits.bit_length())
    if bits % 8 == 0:
        peer = faiss_index(bits, database)
        assert_same_neighbours(ours.search(queries, workload.k), *peer.search(queries, workload.k))
        peers[FAISS] = Contender(lambda: peer.search(queries, workload.k), workload.pairs)
    contest(
        workload,
        "pairs",
        Contender(lambda: ours.search(queries, workload.k), workload.pairs),
        peers,
    )


Knn = Callable[[Codes, Codes, int], tuple[Distances, Ids]]


def numba_knn(database: Codes, queries: Codes, k: int) -> tuple[Distances, Ids]:
    from bench import numba_kernels

    found: tuple[Distances, Ids] = numba_kernels.knn(words_of(database), words_of(queries), k)
    return found


# Name, search, most codes and most queries: the slow ones search fewer and are compared a pair.
OTHERS: list[tuple[str, Knn, int, int]] = [
    ("Numba", numba_knn, 1_000_000, 64),
    ("USearch", usearch_knn, 50_000, 16),
    ("PyTorch reference", torch_knn, 50_000, 16),
]


@pytest.mark.parametrize("workload", OTHER_PEERS, ids=by_name)
def test_other_peers(workload: Search, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    k = workload.k
    database, queries = codes_of(workload)
    ours = flat_index(workload.bits, database)
    peers = {}
    for name, search, most_codes, most_queries in OTHERS:
        codes, asked = database[:most_codes], queries[:most_queries]
        assert_same_neighbours(hashcore.knn(codes, asked, k), *search(codes, asked, k))
        size = f" ({len(codes):,} x {len(asked)})" if len(codes) < len(database) else ""
        peers[name + size] = Contender(partial(search, codes, asked, k), len(codes) * len(asked))
    contest(
        workload,
        "pairs",
        Contender(lambda: ours.search(queries, k), workload.pairs),
        peers,
        scan_bound(workload, hashcore.isa()),
    )


@pytest.mark.parametrize("workload", PAIRWISE, ids=by_name)
def test_pairwise(workload: Search, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    database, queries = codes_of(workload)
    np.testing.assert_array_equal(
        hashcore.pairwise(queries, database), faiss_hammings(queries, database)
    )
    contest(
        workload,
        "pairs",
        Contender(lambda: hashcore.pairwise(queries, database), workload.pairs),
        {"FAISS hammings": Contender(lambda: faiss_hammings(queries, database), workload.pairs)},
    )


@pytest.mark.parametrize("workload", HISTOGRAMS, ids=by_name)
def test_distance_histogram(workload: Search, contest: Contest, sized: Sized) -> None:
    from bench import numba_kernels

    workload = sized(workload)
    database, queries = codes_of(workload)
    words, asked = words_of(database), words_of(queries)
    np.testing.assert_array_equal(
        hashcore.distance_histogram(database, queries), numba_kernels.histogram(words, asked)
    )
    contest(
        workload,
        "pairs",
        Contender(lambda: hashcore.distance_histogram(database, queries), workload.pairs),
        {"Numba": Contender(lambda: numba_kernels.histogram(words, asked), workload.pairs)},
    )
