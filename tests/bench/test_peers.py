"""The peers compute what they claim, and a wrong answer is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from bench.inputs import random_codes
from bench.peers import (
    assert_same_neighbours,
    assert_same_range,
    torch_mean_average_precision,
    words_of,
)

import hashcore
import reference
from hashcore.metrics import evaluate


@pytest.mark.parametrize("bits", [8, 16, 64])
def test_the_papers_loop_gives_the_map_of_metrics(bits: int) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    rng = np.random.default_rng(bits)
    codes = [random_codes(seed, count, bits) for seed, count in enumerate((7, 40))]
    labels = [rng.random((count, 5)) < 0.2 for count in (7, 40)]
    labels[0][3] = False  # a query without a relevant code
    signs = [torch.from_numpy(hashcore.unpack(c, bits, signed=True)).float() for c in codes]
    multi_hot = [torch.from_numpy(side).float() for side in labels]
    expected = evaluate(*codes, *labels).map_by_id
    assert torch_mean_average_precision(*signs, *multi_hot) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bits", [64, 256])
def test_numba_kernels_are_exact(bits: int) -> None:
    pytest.importorskip("numba", reason="needs the bench extra")
    from bench import numba_kernels

    database, queries = random_codes(1, 5_000, bits), random_codes(2, 3, bits)
    distances, ids = numba_kernels.knn(words_of(database), words_of(queries), 20)
    expected = reference.knn(database, queries, 20, bits)
    np.testing.assert_array_equal(distances, expected[0])
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_array_equal(
        numba_kernels.histogram(words_of(database), words_of(queries)),
        hashcore.distance_histogram(database, queries),
    )


def neighbours(distances: list[int], ids: list[int]) -> hashcore.SearchResult:
    return hashcore.SearchResult(
        np.array([distances], np.int32), np.array([ids]), np.array([len(ids)])
    )


def test_ties_may_be_broken_otherwise_at_the_last_distance_alone() -> None:
    ours = neighbours([1, 2, 2, 5], [9, 3, 4, 6])
    distances = ours.distances
    assert_same_neighbours(ours, distances, np.array([[9, 4, 3, 7]]))
    with pytest.raises(AssertionError):
        assert_same_neighbours(ours, distances, np.array([[9, 3, 8, 6]]))
    with pytest.raises(AssertionError):
        assert_same_neighbours(ours, distances + 1, ours.ids)


def test_a_range_answer_is_compared_in_order() -> None:
    ours = hashcore.RangeResult(
        np.array([0, 2, 3]), np.array([1, 4, 0], np.int32), np.array([7, 2, 5])
    )
    lims = np.array([0, 2, 3])
    assert_same_range(ours, lims, np.array([4.0, 1.0, 0.0]), np.array([2, 7, 5]))
    with pytest.raises(AssertionError):
        assert_same_range(ours, lims, np.array([4.0, 1.0, 0.0]), np.array([7, 2, 5]))
    with pytest.raises(AssertionError):
        assert_same_range(ours, np.array([0, 1, 3]), ours.distances, ours.ids)
