"""What searches return, and how the results of several searches become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore._device import as_numpy


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The k nearest codes of each query, ascending (distance, id).

    ``distances, ids = result`` works. Missing hits stand at the tail of a row with id -1 and
    distance bits + 1. A 1-D query gives 1-D arrays.

    A GPU leaves them where the queries are, in arrays of the queries' library.

    Attributes:
        distances: int32 ``[Q, k]``.
        ids: int64 ``[Q, k]``.
        counts: int64 ``[Q]``, hits found.
    """

    distances: NDArray[np.int32]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.distances, self.ids))

    def numpy(self) -> SearchResult:
        """The same as arrays of NumPy; waits for those of a GPU."""
        return SearchResult(*map(as_numpy, vars(self).values()))


@dataclass(frozen=True, eq=False)
class RangeResult:
    """All codes within a radius of each query, ascending (distance, id) inside a row.

    ``lims, distances, ids = result`` works. Row ``q`` is ``lims[q]:lims[q + 1]``.

    Attributes:
        lims: int64 ``[Q + 1]``.
        distances: int32 ``[lims[-1]]``.
        ids: int64 ``[lims[-1]]``.
    """

    lims: NDArray[np.int64]
    distances: NDArray[np.int32]
    ids: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.lims, self.distances, self.ids))

    def __len__(self) -> int:
        return len(self.lims) - 1

    def numpy(self) -> RangeResult:
        """The same as arrays of NumPy; waits for those of a GPU."""
        return RangeResult(*map(as_numpy, vars(self).values()))

    def row(self, query: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Distances and ids of one query."""
        hits = slice(self.lims[query], self.lims[query + 1])
        return self.distances[hits], self.ids[hits]


def search_result(
    arrays: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]], one_query: bool
) -> SearchResult:
    """Distances, ids and counts as the engine returns them."""
    return SearchResult(*(array[0] for array in arrays)) if one_query else SearchResult(*arrays)


def _check_count(count: int, name: str) -> None:
    if not isinstance(count, int | np.integer) or isinstance(count, bool):
        raise TypeError(f"{name}: expected an integer; got {type(count).__name__}.")
    if count < 0:
        raise ValueError(f"{name}: expected >= 0; got {count}.")


def _check_results(arrays: Sequence[Any]) -> None:
    """Refuses to merge nothing, or arrays, one of each result, that lie on a GPU."""
    if not arrays:
        raise ValueError("results: expected at least one; got none.")
    for number, array in enumerate(arrays):
        if hasattr(array, "__cuda_array_interface__"):
            raise TypeError(
                f"results[{number}]: expected NumPy arrays; got {describe(array)} on a GPU. "
                "Use result.numpy()."
            )


def merge(results: Sequence[SearchResult], k: int) -> SearchResult:
    """Merge the results of one batch of queries over several sets of codes.

    However the codes are dealt out to indexes, merging the answers of all gives the answer that one
    index of all codes gives, to the byte; merging is associative. Codes of different sets need
    different ids.

    Args:
        results: For each set its ``[Q, ki]`` (or, of a 1-D query, ``[ki]``) nearest codes, with
            ``ki >= k`` unless a search for more would have found no more.
        k: Hits a query to keep, >= 0.

    Raises:
        TypeError: a ``k`` that is no integer; results on a GPU.
        ValueError: no results; results of different queries or widths of codes; a ``k`` for which
            a result holds too few hits to know the k nearest.
    """
    _check_count(k, "k")
    _check_results([result.counts for result in results])
    shape = np.shape(results[0].counts)
    for number, result in enumerate(results):
        if np.shape(result.counts) != shape:
            raise ValueError(
                f"results: expected the same queries in each; got counts {list(shape)} in "
                f"results[0] and {list(np.shape(result.counts))} in results[{number}]."
            )
        width = result.ids.shape[-1]
        if width < k and np.any(result.counts == width):
            raise ValueError(
                f"k: expected at most {width}, the hits a query that results[{number}] holds; "
                f"got {k}. Search with at least this k."
            )
    distances = np.concatenate([np.atleast_2d(r.distances) for r in results], axis=1)  # [Q, sum ki]
    ids = np.concatenate([np.atleast_2d(r.ids) for r in results], axis=1)
    beyond = np.unique(distances[ids == -1])  # bits + 1
    if len(beyond) > 1:
        raise ValueError(
            "results: expected codes of one width; got missing hits at distances "
            f"{', '.join(map(str, beyond))}."
        )
    order = np.lexsort((ids, distances))[:, :k]  # missing hits lie beyond all others
    merged = (
        np.take_along_axis(distances, order, axis=1),
        np.take_along_axis(ids, order, axis=1),
        np.minimum(sum(np.atleast_1d(r.counts) for r in results), k),
    )
    if order.shape[1] < k:  # only where every row has a missing hit
        tail = ((0, 0), (0, k - order.shape[1]))
        merged = (
            np.pad(merged[0], tail, constant_values=beyond[0] if len(beyond) else 0),
            np.pad(merged[1], tail, constant_values=-1),
            merged[2],
        )
    return search_result(merged, shape == ())


def merge_ranges(results: Sequence[RangeResult], *, max_results: int | None = None) -> RangeResult:
    """Merge the radius searches of one batch of queries over several sets of codes.

    As ``merge``: the answer is that of one index of all codes, to the byte, and merging is
    associative. Codes of different sets need different ids.

    Args:
        results: For each set all its codes within one radius, or the best ``max_results`` of them.
        max_results: Keep only so many of each query, the best by (distance, id).

    Raises:
        TypeError: a ``max_results`` that is no integer; results on a GPU.
        ValueError: no results, results of different numbers of queries, or a negative number.
    """
    if max_results is not None:
        _check_count(max_results, "max_results")
    _check_results([result.lims for result in results])
    for number, result in enumerate(results):
        if len(result) != len(results[0]):
            raise ValueError(
                f"results: expected the same queries in each; got {len(results[0])} in results[0] "
                f"and {len(result)} in results[{number}]."
            )
    counts = [np.diff(result.lims) for result in results]
    hits = np.sum(counts, axis=0)  # [Q]
    query = np.concatenate([np.repeat(np.arange(len(hits)), count) for count in counts])
    distances = np.concatenate([result.distances for result in results])
    ids = np.concatenate([result.ids for result in results])
    order = np.lexsort((ids, query * (distances.max(initial=0) + 1) + distances))
    if max_results is not None:
        rank = np.arange(len(order)) - np.repeat(np.cumsum(hits) - hits, hits)
        order, hits = order[rank < max_results], np.minimum(hits, max_results)
    lims = np.concatenate([np.zeros(1, np.int64), np.cumsum(hits)])
    return RangeResult(lims, distances[order], ids[order])
