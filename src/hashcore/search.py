"""Exact Hamming search over arrays of packed codes.

Every result is ordered by (distance, id): the same call gives the same bytes at every
instruction-set level and thread count. Distances are numbers of differing bits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array
from hashcore._device import device_number
from hashcore.results import RangeResult, SearchResult, search_result

Progress = Callable[[int, int], object]


class Filter:
    """Which codes may be hits. Make one with ``allow``, ``deny`` or ``mask``.

    The scan tests it before anything else, so a filter never costs hits: the k nearest allowed
    codes are found, and searching gets faster as fewer codes are allowed.
    """

    def __init__(self, kind: Literal["allow", "deny", "mask"], values: Array) -> None:
        self._kind = kind
        self._values = as_array(values, "filter")

    @classmethod
    def allow(cls, ids: Array) -> Filter:
        """Only these ids: int64 ``[n]``, in any order. Ids that no code has allow nothing."""
        return cls("allow", ids)

    @classmethod
    def deny(cls, ids: Array) -> Filter:
        """All but these ids: int64 ``[n]``, in any order. Ids that no code has deny nothing."""
        return cls("deny", ids)

    @classmethod
    def mask(cls, allowed: Array) -> Filter:
        """One bool a code, in ascending id order: bool ``[N]``, true where allowed."""
        return cls("mask", allowed)

    def __repr__(self) -> str:
        return f"Filter.{self._kind}({len(self._values):,} values)"


def filter_pair(filter: Filter | None) -> tuple[str, NDArray[Any]] | None:
    """The filter as the engine takes it."""
    if filter is None:
        return None
    if not isinstance(filter, Filter):
        raise TypeError(
            "filter: expected Filter.allow(ids), Filter.deny(ids) or Filter.mask(bools); "
            f"got {type(filter).__name__}."
        )
    return filter._kind, filter._values


def gpu_number(device: str, threads: int | None) -> int | None:
    """The GPU of a call, -1 for any; None for the CPU."""
    gpu = device_number(device)
    if gpu is not None:
        no_threads(device, threads)
    return gpu


def no_threads(device: str, threads: int | None) -> None:
    """Refuses threads for a GPU."""
    if threads is not None:
        raise ValueError(f"threads: {device} has none to set; got {threads!r}. Leave it out.")


def _gpu_arrays() -> ModuleType:
    from hashcore import _gpu_arrays

    return _gpu_arrays


def knn(
    database: Array,
    queries: Array,
    k: int,
    *,
    filter: Filter | None = None,
    max_distance: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> SearchResult:
    """Find the k nearest codes of each query. An id is a row of ``database``.

    Args:
        database: uint8 ``[N, B]``, C-contiguous; not copied.
        queries: uint8 ``[Q, B]`` or ``[B]``.
        k: Hits a query, >= 0; may exceed N.
        filter: Which codes may be hits.
        max_distance: Take only codes within this distance, inclusive.
        threads: Threads to use; default ``hashcore.num_threads()``.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. On a GPU the arrays may be tensors of PyTorch
            or arrays of CuPy that lie there, and the work is queued on their library's current
            stream; results come where the queries are. To search the same codes again and again,
            keep them there with ``Index.to``.

    Raises:
        TypeError: another dtype than uint8.
        ValueError: widths that differ, non-contiguous memory, a negative number; threads for a GPU.
        RuntimeError: no such device, or too little memory there.
    """
    gpu = gpu_number(device, threads)
    if gpu is not None:
        return search_result(
            *_gpu_arrays().knn(gpu, database, queries, k, filter_pair(filter), max_distance)
        )
    queries = as_array(queries, "queries")
    arrays = _core.knn(
        as_array(database, "database"), queries, k, filter_pair(filter), max_distance, threads
    )
    return search_result(arrays, queries.ndim == 1)


def range_search(
    database: Array,
    queries: Array,
    radius: int,
    *,
    filter: Filter | None = None,
    max_results: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> RangeResult:
    """Find every code within ``radius`` of each query, inclusive. An id is a row of ``database``.

    Args:
        database: uint8 ``[N, B]``, C-contiguous; not copied.
        queries: uint8 ``[Q, B]`` or ``[B]`` (one row).
        radius: Largest distance to take, >= 0.
        filter: Which codes may be hits.
        max_results: Keep only so many of each query, the best by (distance, id).
        threads: Threads to use; default ``hashcore.num_threads()``.
        device: As of ``knn``. On a GPU this waits, for how much comes is not known before.

    Raises:
        TypeError: another dtype than uint8.
        ValueError: widths that differ, non-contiguous memory, a negative number; threads for a GPU.
        RuntimeError: no such device, or too little memory there.
    """
    gpu = gpu_number(device, threads)
    if gpu is not None:
        return RangeResult(
            *_gpu_arrays().range_search(
                gpu, database, queries, radius, filter_pair(filter), max_results
            )
        )
    return RangeResult(
        *_core.range_search(
            as_array(database, "database"),
            as_array(queries, "queries"),
            radius,
            filter_pair(filter),
            max_results,
            threads,
        )
    )


def pairwise(a: Array, b: Array, *, threads: int | None = None) -> NDArray[np.int32]:
    """Compute all Hamming distances between two sets of codes.

    Args:
        a: uint8 ``[na, B]``.
        b: uint8 ``[nb, B]``.
        threads: Threads to use; default ``hashcore.num_threads()``.

    Returns:
        int32 ``[na, nb]``.
    """
    return _core.pairwise(as_array(a, "a"), as_array(b, "b"), threads)


def distance_histogram(
    database: Array,
    queries: Array,
    *,
    filter: Filter | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> NDArray[np.int64]:
    """Count the database codes at each distance from each query.

    Args:
        database: uint8 ``[N, B]``, C-contiguous.
        queries: uint8 ``[Q, B]``, or ``[B]`` for one row.
        filter: Which codes are counted.
        threads: Threads to use; default ``hashcore.num_threads()``.
        device: As of ``knn``.

    Returns:
        int64 ``[Q, bits + 1]``; each row sums to the number of codes allowed.
    """
    gpu = gpu_number(device, threads)
    if gpu is not None:
        counts: NDArray[np.int64] = _gpu_arrays().distance_histogram(
            gpu, database, queries, filter_pair(filter)
        )
        return counts
    return _core.distance_histogram(
        as_array(database, "database"), as_array(queries, "queries"), filter_pair(filter), threads
    )
