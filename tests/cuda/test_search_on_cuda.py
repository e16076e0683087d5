"""Searches on a GPU give the bytes of the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
from hashcore import Filter, Index
from reference import BITS, random_codes
from same_results import same

COUNTS = (0, 1, 2, 63, 64, 65, 257, 1000)


def draw(seed: int, count: int, bits: int, queries: int = 5) -> tuple[NDArray[np.uint8], ...]:
    rng = np.random.default_rng(seed)
    return random_codes(rng, count, bits), random_codes(rng, queries, bits)


@pytest.mark.parametrize("bits", BITS)
def test_every_shape(bits: int, device: str, way: str) -> None:
    for count in COUNTS:
        if way == "streamed" and 0 < count < 257:
            continue
        database, queries = draw(count, count, bits)
        index = Index.from_codes(database, bits=bits)
        there = index.to(device)
        for k in {1, 10, count, count + 3}:
            same(there.search(queries, k), index.search(queries, k))
        radius = bits // 3
        same(there.range_search(queries, radius), index.range_search(queries, radius))
        if bits % 8 == 0:
            found = hashcore.distance_histogram(database, queries, device=device)
            assert np.array_equal(found, hashcore.distance_histogram(database, queries))


def hard_databases() -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    rng = np.random.default_rng(3)
    query = rng.integers(0, 256, (1, 8), dtype=np.uint8)
    flips = np.tri(65, 64, -1, dtype=np.uint8)[::-1]  # 64 of them first, none last
    descending = np.packbits(flips, axis=1) ^ query
    return {
        "all equal": (np.repeat(query, 1500, axis=0), query),
        "duplicates": (np.repeat(random_codes(rng, 12, 64), 120, axis=0), query),
        "descending": (np.repeat(descending, 20, axis=0), query),
        "far": (~np.repeat(query, 300, axis=0), query),
    }


@pytest.mark.parametrize("name", hard_databases())
def test_hard_databases(name: str, device: str, way: str) -> None:
    """Equal distances by the hundred: the first ids win, and rows of hits overflow."""
    database, query = hard_databases()[name]
    for k in (1, 7, 100, len(database)):
        expected = hashcore.knn(database, query, k)
        same(hashcore.knn(database, query, k, device=device), expected)
        best = hashcore.range_search(database, query, 40, max_results=k)
        same(hashcore.range_search(database, query, 40, max_results=k, device=device), best)


def test_more_codes_than_are_sorted_at_once(device: str, way: str) -> None:
    database, queries = draw(7, 5000, 16, queries=2)
    for k in (3, 2100, 4999):
        expected = hashcore.knn(database, queries, k)
        same(hashcore.knn(database, queries, k, device=device), expected)
    expected_range = hashcore.range_search(database, queries, 16)
    same(hashcore.range_search(database, queries, 16, device=device), expected_range)


def test_limits_from_a_sample(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough codes for a sample, which lies when near codes are where it does not look."""
    rng = np.random.default_rng(5)
    database = rng.integers(0, 256, (256 * 40, 8), dtype=np.uint8)
    queries = rng.integers(0, 256, (9, 8), dtype=np.uint8)
    for places in (slice(0, 600), slice(-600, None)):
        near = database.copy()
        near[places] = queries[0]
        for hits in ("0", "64"):
            monkeypatch.setenv("HASHCORE_TEST_HITS", hits)
            expected = hashcore.knn(near, queries, 20)
            same(hashcore.knn(near, queries, 20, device=device), expected)


def test_max_distance(device: str, way: str) -> None:
    database, queries = draw(11, 700, 64)
    for bound in (0, 1, 20, 33, 64, 1000):
        expected = hashcore.knn(database, queries, 40, max_distance=bound)
        same(hashcore.knn(database, queries, 40, max_distance=bound, device=device), expected)
        within = hashcore.range_search(database, queries, bound)
        same(hashcore.range_search(database, queries, bound, device=device), within)


@pytest.mark.parametrize("bits", [8, 64, 128, 264])
def test_filters(bits: int, device: str, way: str) -> None:
    database, queries = draw(bits, 900, bits)
    rng = np.random.default_rng(1)
    ids = rng.permutation(1800)[:1000] - 50
    masks = (rng.random(900) < 0.1, np.zeros(900, np.bool_), np.ones(900, np.bool_))
    for chosen in (Filter.allow(ids), Filter.deny(ids), *map(Filter.mask, masks)):
        expected = hashcore.knn(database, queries, 50, filter=chosen)
        same(hashcore.knn(database, queries, 50, filter=chosen, device=device), expected)
        within = hashcore.range_search(database, queries, bits // 3, filter=chosen)
        found = hashcore.range_search(database, queries, bits // 3, filter=chosen, device=device)
        same(found, within)
        counts = hashcore.distance_histogram(database, queries, filter=chosen)
        there = hashcore.distance_histogram(database, queries, filter=chosen, device=device)
        assert np.array_equal(there, counts)


def test_many_queries(device: str, way: str) -> None:
    database, queries = draw(2, 300, 24, queries=75)
    same(hashcore.knn(database, queries, 5, device=device), hashcore.knn(database, queries, 5))
    within = hashcore.range_search(database, queries, 8)
    same(hashcore.range_search(database, queries, 8, device=device), within)


def test_one_row_and_no_rows(device: str) -> None:
    database, queries = draw(4, 30, 64)
    same(
        hashcore.knn(database, queries[0], 3, device=device), hashcore.knn(database, queries[0], 3)
    )
    none = queries[:0]
    same(hashcore.knn(database, none, 3, device=device), hashcore.knn(database, none, 3))
    same(hashcore.knn(database, queries, 0, device=device), hashcore.knn(database, queries, 0))
    expected = hashcore.range_search(database, none, 3)
    same(hashcore.range_search(database, none, 3, device=device), expected)
    assert hashcore.distance_histogram(database, none, device=device).shape == (0, 65)
    same(
        hashcore.range_search(database, queries, 64, max_results=0, device=device),
        hashcore.range_search(database, queries, 64, max_results=0),
    )


def test_the_widest_codes(device: str) -> None:
    rng = np.random.default_rng(0)
    database = rng.integers(0, 256, (40, 8192), dtype=np.uint8)
    database[7] = 0
    queries = np.array([database[3], ~database[3], database[7]])
    same(hashcore.knn(database, queries, 40, device=device), hashcore.knn(database, queries, 40))
    found = hashcore.distance_histogram(database, queries, device=device)
    assert np.array_equal(found, hashcore.distance_histogram(database, queries))
