from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference

SHARES = (0.0, 0.0004, 0.02, 0.3, 0.9, 0.9999, 1.0)


def allowed_codes(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """Runs of allowed and forbidden codes beside scattered ones."""
    mask = rng.random(count) < share
    mask[: count // 3] = mask[0] if share in (0.0, 1.0) else rng.random() < share
    return mask


def filters(mask: NDArray[np.bool_], ids: NDArray[np.int64]) -> list[hashcore.Filter]:
    rng = np.random.default_rng(0)
    beside = np.array([10**12, 10**13])
    return [
        hashcore.Filter.mask(mask),
        hashcore.Filter.allow(rng.permutation(np.concatenate([ids[mask], beside]))),
        hashcore.Filter.deny(rng.permutation(np.concatenate([ids[~mask], beside]))),
    ]


@pytest.mark.parametrize("bits", [64, 100, 256, 5000])
@pytest.mark.parametrize("share", SHARES)
def test_filtered_searches_against_numpy(isa_level: str, bits: int, share: float) -> None:
    rng = np.random.default_rng(bits)
    count = 30_001 if bits <= 64 else 1_003
    codes = reference.random_codes(rng, count, bits)
    queries = reference.random_codes(rng, 41, bits)
    ids = np.sort(rng.choice(10 * count, count, replace=False)).astype(np.int64)
    mask = allowed_codes(rng, count, share)
    index = hashcore.Index(bits)
    index.add(codes, ids)
    wanted = slice(0, 3)
    expected = reference.knn(codes[mask], queries[wanted], 25, bits, ids=ids[mask])
    near = reference.pairwise(queries[:1], codes[mask])[0] <= bits // 4
    for chosen in filters(mask, ids):
        for rows in (slice(0, 1), slice(0, 41)):
            for threads in (1, 3):
                result = index.search(queries[rows], 25, filter=chosen, threads=threads)
                compared = min(rows.stop, wanted.stop)
                np.testing.assert_array_equal(result.distances[:compared], expected[0][:compared])
                np.testing.assert_array_equal(result.ids[:compared], expected[1][:compared])
                np.testing.assert_array_equal(result.counts[:compared], expected[2][:compared])
        found = index.range_search(queries[0], bits // 4, filter=chosen)
        assert sorted(found.ids.tolist()) == ids[mask][near].tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 1000])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("first", [0, 1, 2**62])
def test_ids_are_found_in_any_order_and_others_are_not(count: int, gaps: bool, first: int) -> None:
    rng = np.random.default_rng(count)
    steps = rng.choice([1, 2, 90], count) if gaps else np.ones(count, np.int64)
    ids = first + np.concatenate([[0], np.cumsum(steps)])[:count].astype(np.int64)
    index = hashcore.Index(8)
    index.add(np.zeros((count, 1), np.uint8), ids)
    beside = [-(2**63), -1, first - 1, first + 100 * count, 2**63 - 1]
    wanted = rng.permutation(np.concatenate([ids[rng.random(count) < 0.5], beside, ids[:2]]))
    wanted = wanted.astype(np.int64)
    for asked in (wanted, np.sort(wanted), np.sort(wanted)[::-1].copy()):
        allowed, denied = hashcore.Filter.allow(asked), hashcore.Filter.deny(asked)
        query = np.zeros(1, np.uint8)
        found = index.range_search(query, 0, filter=allowed).ids
        np.testing.assert_array_equal(found, np.intersect1d(ids, wanted))
        found = index.range_search(query, 0, filter=denied).ids
        np.testing.assert_array_equal(found, np.setdiff1d(ids, wanted))


@pytest.mark.parametrize("share", SHARES)
def test_filtered_row_major_calls_against_numpy(share: float) -> None:
    rng = np.random.default_rng(3)
    codes = reference.random_codes(rng, 10_007, 24)
    queries = reference.random_codes(rng, 4, 24)
    mask = allowed_codes(rng, len(codes), share)
    kept = np.flatnonzero(mask)
    for chosen in filters(mask, np.arange(len(codes))):
        result = hashcore.knn(codes, queries, 30, filter=chosen, max_distance=5, threads=2)
        expected = reference.knn(codes[mask], queries, 30, 24, ids=kept, max_distance=5)
        for got, truth in zip((*result, result.counts), expected, strict=True):
            np.testing.assert_array_equal(got, truth)
        rows = hashcore.range_search(codes, queries, 4, filter=chosen, max_results=9)
        lims, distances, positions = reference.range_search(codes[mask], queries, 4, max_results=9)
        np.testing.assert_array_equal(rows.lims, lims)
        np.testing.assert_array_equal(rows.distances, distances)
        np.testing.assert_array_equal(rows.ids, kept[positions])
        np.testing.assert_array_equal(
            hashcore.distance_histogram(codes, queries, filter=chosen),
            reference.distance_histogram(codes[mask], queries, 24),
        )


def test_empty_filters_and_empty_indexes() -> None:
    codes = np.zeros((5, 8), np.uint8)
    none = hashcore.Filter.allow(np.empty(0, np.int64))
    every = hashcore.Filter.deny(np.empty(0, np.int64))
    assert hashcore.knn(codes, codes[0], 2, filter=none).ids.tolist() == [-1, -1]
    assert hashcore.knn(codes, codes[0], 2, filter=every).ids.tolist() == [0, 1]
    assert hashcore.range_search(codes, codes[0], 64, filter=none).ids.tolist() == []
    assert hashcore.knn(codes[:0], codes[0], 1, filter=every).ids.tolist() == [-1]
    assert repr(every) == "Filter.deny(0 values)"


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        (np.ones(5, bool), TypeError, r"filter: expected Filter\.allow\(ids\).*got ndarray"),
        (hashcore.Filter.mask(np.ones(4, bool)), ValueError, r"filter: expected bool \[5\], one a"),
        (hashcore.Filter.mask(np.ones(5, np.uint8)), TypeError, r"bool \[N\].*got uint8 \[5\]"),
        (hashcore.Filter.allow(np.ones(5, np.int32)), TypeError, r"int64 \[n\]; got int32"),
        (hashcore.Filter.deny([1, 2]), TypeError, "got list"),  # type: ignore[arg-type]
    ],
)
def test_refuses(chosen: Any, error: type[Exception], message: str) -> None:
    codes = np.zeros((5, 8), np.uint8)
    index = hashcore.Index(64)
    index.add(codes)
    with pytest.raises(error, match=message):
        index.search(codes, 1, filter=chosen)
    with pytest.raises(error, match=message):
        hashcore.distance_histogram(codes, codes, filter=chosen)
