"""Batches large enough for the sliced scan, around the sizes of a slice."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference

QUERIES = 61


def filled(codes: NDArray[np.uint8], bits: int) -> hashcore.Index:
    index = hashcore.Index(bits, kind="flat")
    index.add(codes)
    return index


def check_knn(
    index: hashcore.Index,
    codes: NDArray[np.uint8],
    queries: NDArray[np.uint8],
    k: int,
    max_distance: int | None = None,
) -> None:
    expected = reference.knn(codes, queries, k, index.bits, max_distance=max_distance)
    for threads in (1, 3):
        result = index.search(queries, k, max_distance=max_distance, threads=threads)
        for got, truth in zip((*result, result.counts), expected, strict=True):
            np.testing.assert_array_equal(got, truth)


@pytest.mark.parametrize("bits", [1, 63, 64, 65, 127, 128, 192, 256, 500, 512, 1024, 2048, 2049])
def test_batches_against_numpy(isa_level: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    queries = reference.random_codes(rng, QUERIES, bits)
    for count in (127, 128, 511, 512, 513, 1100):
        codes = np.concatenate([queries[:3], reference.random_codes(rng, count, bits)])[:count]
        index = filled(codes, bits)
        check_knn(index, codes, queries, 10)
        check_knn(index, codes, queries, count + 1, bits // 2)


def test_every_limit(isa_level: str) -> None:
    """A counter starts elsewhere for each limit, and has to overflow at exactly that one."""
    rng = np.random.default_rng(5)
    for bits in (64, 129):
        queries = reference.random_codes(rng, QUERIES, bits)
        codes = reference.random_codes(rng, 640, bits)
        codes[5], codes[600] = queries[0], ~queries[0]
        codes[600] &= np.packbits(np.arange(codes.shape[1] * 8) < bits)
        index = filled(codes, bits)
        truth = reference.pairwise(queries, codes)
        assert truth.min() == 0
        assert truth.max() == bits
        for radius in range(bits + 2):
            lims, distances, ids = index.range_search(queries, radius, threads=1)
            rows, positions = np.nonzero(truth <= radius)
            order = np.lexsort((positions, truth[rows, positions], rows))
            np.testing.assert_array_equal(np.diff(lims), np.bincount(rows, minlength=QUERIES))
            np.testing.assert_array_equal(ids, positions[order])
            np.testing.assert_array_equal(distances, truth[rows, positions][order])


@pytest.mark.parametrize("allowed", [0.02, 0.6, 0.999, 1.0])
def test_filtered_batches(isa_level: str, allowed: float) -> None:
    rng = np.random.default_rng(7)
    queries = reference.random_codes(rng, QUERIES, 96)
    codes = reference.random_codes(rng, 3000, 96)
    mask = rng.random(3000) < allowed
    expected = reference.knn(codes[mask], queries, 12, 96, ids=np.flatnonzero(mask))
    result = filled(codes, 96).search(queries, 12, filter=hashcore.Filter.mask(mask))
    for got, truth in zip((*result, result.counts), expected, strict=True):
        np.testing.assert_array_equal(got, truth)


@pytest.mark.parametrize("queries", [23, 24, 25, 1023, 1025])
def test_row_major_batches_of_any_size(isa_level: str, queries: int) -> None:
    rng = np.random.default_rng(queries)
    codes = reference.random_codes(rng, 700, 72)
    asked = reference.random_codes(rng, queries, 72)
    expected = reference.knn(codes, asked, 5, 72)
    for threads in (1, 2, 8):
        result = hashcore.knn(codes, asked, 5, threads=threads)
        for got, truth in zip((*result, result.counts), expected, strict=True):
            np.testing.assert_array_equal(got, truth)
