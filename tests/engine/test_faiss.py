"""The engine beside FAISS's IndexBinaryFlat, an implementation that shares nothing with it."""

from __future__ import annotations

import itertools
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference

WIDTHS = (8, 16, 64, 72, 128, 256, 512, 1000, 1024, 2048)


@pytest.fixture(autouse=True)
def one_faiss_thread() -> None:
    faiss.omp_set_num_threads(1)


def both(bits: int, count: int) -> tuple[hashcore.Index, Any, NDArray[np.uint8]]:
    """The same codes in both, and queries: codes of it, near ones and strangers."""
    rng = np.random.default_rng(bits)
    codes = reference.random_codes(rng, count, bits)
    ours, theirs = hashcore.Index(bits), faiss.IndexBinaryFlat(bits)
    ours.add(codes)
    theirs.add(codes)
    strangers = rng.integers(0, 256, (6, bits // 8), np.uint8)
    return ours, theirs, np.concatenate([codes[:: count // 6], strangers])


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("k", [1, 10, 2000])
def test_knn(isa_level: str, bits: int, k: int) -> None:
    ours, theirs, queries = both(bits, 2000)
    result = ours.search(queries, k)
    distances, ids = theirs.search(queries, k)
    np.testing.assert_array_equal(result.distances, distances)
    for our_row, their_row, row in zip(result.ids, ids, distances, strict=True):
        # Among codes as far as the k-th, FAISS may take any; nearer ones are determined.
        nearer = row < row[-1] if k < 2000 else np.ones(k, bool)
        assert set(our_row[nearer]) == set(their_row[nearer])


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_range_search(bits: int, share: float) -> None:
    ours, theirs, queries = both(bits, 1000)
    radius = int(share * bits)
    result = ours.range_search(queries, radius)
    lims, distances, ids = theirs.range_search(queries, radius + 1)  # FAISS takes distance < radius
    np.testing.assert_array_equal(result.lims, lims)
    for q, (first, last) in enumerate(itertools.pairwise(lims)):
        order = np.lexsort((ids[first:last], distances[first:last]))
        our_distances, our_ids = result.row(q)
        np.testing.assert_array_equal(our_distances, distances[first:last][order])
        np.testing.assert_array_equal(our_ids, ids[first:last][order])
