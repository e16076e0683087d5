"""However codes are dealt out to indexes, merged results are those of one index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hashcore
import reference


def assert_same(a: hashcore.SearchResult, b: hashcore.SearchResult) -> None:
    assert_same_arrays((*a, a.counts), (*b, b.counts))


def assert_same_arrays(a: Iterable[NDArray[Any]], b: Iterable[NDArray[Any]]) -> None:
    for left, right in zip(a, b, strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 60),
    st.integers(1, 5),
    st.integers(0, 70),
    st.none() | st.integers(0, 12),
    st.booleans(),
)
def test_any_sharding_gives_the_answer_of_one_index(
    seed: int, count: int, shards: int, k: int, max_distance: int | None, one_query: bool
) -> None:
    rng = np.random.default_rng(seed)
    codes = reference.random_codes(rng, count, 20)
    ids = np.sort(rng.choice(1000, count, replace=False)).astype(np.int64)
    queries = reference.random_codes(rng, 3, 20)
    asked = queries[0] if one_query else queries
    whole = hashcore.Index(20)
    whole.add(codes, ids)
    shard = rng.integers(0, shards, count)
    results = []
    for number in range(shards):
        index = hashcore.Index(20)
        index.add(codes[shard == number], ids[shard == number])
        results.append(index.search(asked, k, max_distance=max_distance))
    expected = whole.search(asked, k, max_distance=max_distance)
    assert_same(hashcore.merge(results, k), expected)

    pending = results
    while len(pending) > 1:
        at = int(rng.integers(len(pending) - 1))
        pending[at : at + 2] = [hashcore.merge(pending[at : at + 2], k)]
    assert_same(hashcore.merge(pending, k), expected)


def test_more_than_each_result_holds_where_none_has_more() -> None:
    codes = reference.random_codes(np.random.default_rng(0), 8, 64)
    first = hashcore.knn(codes[:3], codes[:2], 4)
    second = hashcore.Index(64)
    second.add(codes[3:], np.arange(3, 8))
    merged = hashcore.merge([first, second.search(codes[:2], 6)], 20)
    assert_same(merged, hashcore.knn(codes, codes[:2], 20))


def test_no_queries() -> None:
    codes = np.zeros((3, 8), np.uint8)
    none = hashcore.knn(codes, codes[:0], 2)
    assert_same(hashcore.merge([none, none], 2), none)


def result(queries: int, k: int, bits: int = 64, count: int = 5) -> hashcore.SearchResult:
    codes = np.zeros((count, bits // 8), np.uint8)
    return hashcore.knn(codes, np.zeros((queries, bits // 8), np.uint8), k)


@pytest.mark.parametrize(
    ("results", "k", "message"),
    [
        ([], 3, "results: expected at least one"),
        ([result(2, 3)], -1, "k: expected >= 0; got -1"),
        (
            [result(2, 3), result(3, 3)],
            3,
            r"same queries in each; got counts \[2\] in results\[0\] and \[3\] in results\[1\]",
        ),
        (
            [result(1, 3), hashcore.knn(np.zeros((1, 8), np.uint8), np.zeros(8, np.uint8), 3)],
            3,
            r"got counts \[1\] in results\[0\] and \[\] in",
        ),
        (
            [result(2, 9), result(2, 3)],
            4,
            r"k: expected at most 3, the hits a query that results\[1\] holds; got 4",
        ),
        (
            [result(2, 9), result(2, 9, bits=128)],
            9,
            "codes of one width; got missing hits at distances 65, 129",
        ),
    ],
)
def test_refuses(results: list[hashcore.SearchResult], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hashcore.merge(results, k)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 60),
    st.integers(1, 5),
    st.integers(0, 21),
    st.none() | st.integers(0, 40),
    st.integers(0, 4),
)
def test_radius_searches_of_any_sharding_give_the_answer_of_one_index(
    seed: int, count: int, shards: int, radius: int, max_results: int | None, queries: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = reference.random_codes(rng, count, 20)
    ids = np.sort(rng.choice(1000, count, replace=False)).astype(np.int64)
    asked = reference.random_codes(rng, queries, 20)
    whole = hashcore.Index(20)
    whole.add(codes, ids)
    expected = whole.range_search(asked, radius, max_results=max_results)
    shard = rng.integers(0, shards, count)
    pending = []
    for number in range(shards):
        index = hashcore.Index(20)
        index.add(codes[shard == number], ids[shard == number])
        pending.append(index.range_search(asked, radius, max_results=max_results))
    assert_same_arrays(hashcore.merge_ranges(pending, max_results=max_results), expected)
    while len(pending) > 1:
        at = int(rng.integers(len(pending) - 1))
        both = pending[at : at + 2]
        pending[at : at + 2] = [hashcore.merge_ranges(both, max_results=max_results)]
    assert_same_arrays(hashcore.merge_ranges(pending, max_results=max_results), expected)


def near(queries: int) -> hashcore.RangeResult:
    codes = np.zeros((3, 8), np.uint8)
    return hashcore.range_search(codes, np.zeros((queries, 8), np.uint8), 3)


@pytest.mark.parametrize(
    ("results", "max_results", "error", "message"),
    [
        ([], None, ValueError, "results: expected at least one; got none"),
        ([near(2)], -1, ValueError, "max_results: expected >= 0; got -1"),
        ([near(2)], 1.0, TypeError, "max_results: expected an integer; got float"),
        (
            [near(2), near(3)],
            None,
            ValueError,
            r"same queries in each; got 2 in results\[0\] and 3 in results\[1\]",
        ),
    ],
)
def test_refuses_ranges(
    results: list[hashcore.RangeResult],
    max_results: Any,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        hashcore.merge_ranges(results, max_results=max_results)
