"""Exact Hamming search over packed codes: one-off calls and an index that persists.

Every result is ordered by (distance, id): the same call gives the same bytes at every
instruction-set level and thread count. Distances are numbers of differing bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array

Progress = Callable[[int, int], object]
IndexKind = Literal["flat", "auto"]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The k nearest codes of each query, ascending (distance, id).

    ``distances, ids = result`` works. Missing hits stand at the tail of a row with id -1 and
    distance bits + 1. A 1-D query gives 1-D arrays.

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

    def row(self, query: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Distances and ids of one query."""
        hits = slice(self.lims[query], self.lims[query + 1])
        return self.distances[hits], self.ids[hits]


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


def _filter_pair(filter: Filter | None) -> tuple[str, NDArray[Any]] | None:
    if filter is None:
        return None
    if not isinstance(filter, Filter):
        raise TypeError(
            "filter: expected Filter.allow(ids), Filter.deny(ids) or Filter.mask(bools); "
            f"got {type(filter).__name__}."
        )
    return filter._kind, filter._values


def _search_result(
    arrays: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]], one_query: bool
) -> SearchResult:
    return SearchResult(*(array[0] for array in arrays)) if one_query else SearchResult(*arrays)


def knn(
    database: Array,
    queries: Array,
    k: int,
    *,
    filter: Filter | None = None,
    max_distance: int | None = None,
    threads: int | None = None,
) -> SearchResult:
    """Find the k nearest codes of each query. An id is a row of ``database``.

    Args:
        database: uint8 ``[N, B]``, C-contiguous; not copied.
        queries: uint8 ``[Q, B]`` or ``[B]``.
        k: Hits a query, >= 0; may exceed N.
        filter: Which codes may be hits.
        max_distance: Take only codes within this distance, inclusive.
        threads: Threads to use; default ``hashcore.num_threads()``.

    Raises:
        TypeError: another dtype than uint8.
        ValueError: widths that differ, non-contiguous memory, a negative number.
    """
    queries = as_array(queries, "queries")
    arrays = _core.knn(
        as_array(database, "database"), queries, k, _filter_pair(filter), max_distance, threads
    )
    return _search_result(arrays, queries.ndim == 1)


def range_search(
    database: Array,
    queries: Array,
    radius: int,
    *,
    filter: Filter | None = None,
    max_results: int | None = None,
    threads: int | None = None,
) -> RangeResult:
    """Find every code within ``radius`` of each query, inclusive. An id is a row of ``database``.

    Args:
        database: uint8 ``[N, B]``, C-contiguous; not copied.
        queries: uint8 ``[Q, B]`` or ``[B]`` (one row).
        radius: Largest distance to take, >= 0.
        filter: Which codes may be hits.
        max_results: Keep only so many of each query, the best by (distance, id).
        threads: Threads to use; default ``hashcore.num_threads()``.

    Raises:
        TypeError: another dtype than uint8.
        ValueError: widths that differ, non-contiguous memory, a negative number.
    """
    return RangeResult(
        *_core.range_search(
            as_array(database, "database"),
            as_array(queries, "queries"),
            radius,
            _filter_pair(filter),
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
) -> NDArray[np.int64]:
    """Count the database codes at each distance from each query.

    Args:
        database: uint8 ``[N, B]``, C-contiguous.
        queries: uint8 ``[Q, B]``, or ``[B]`` for one row.
        filter: Which codes are counted.
        threads: Threads to use; default ``hashcore.num_threads()``.

    Returns:
        int64 ``[Q, bits + 1]``; each row sums to the number of codes allowed.
    """
    return _core.distance_histogram(
        as_array(database, "database"), as_array(queries, "queries"), _filter_pair(filter), threads
    )


def _encoded(path: str | os.PathLike[str]) -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"path: expected no NUL character; got {os.fspath(path)!r}")
    return encoded


class Index:
    """An exact index over packed codes with int64 ids of the caller's choice.

    Searches may run from several threads at once; a change runs alone, and before searches that
    come later.

    Args:
        bits: Width of a code, 1..65,536.
        kind: ``"flat"`` scans every code; ``"auto"`` takes the fastest exact kind, today flat.
        threads: Threads of this index's calls; default ``hashcore.num_threads()``.
    """

    def __init__(self, bits: int, kind: IndexKind = "auto", *, threads: int | None = None) -> None:
        self._engine = _core.Index(bits, kind, threads)

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self._engine.bits

    @property
    def kind(self) -> str:
        """The kind in use, such as ``"flat"``."""
        return self._engine.kind

    @property
    def ids(self) -> NDArray[np.int64]:
        """All ids, ascending: int64 ``[len(index)]``, a copy."""
        return self._engine.ids

    @property
    def nbytes(self) -> int:
        """Bytes of codes and ids held in memory or mapped from a file."""
        return self._engine.nbytes

    def __len__(self) -> int:
        return len(self._engine)

    def __contains__(self, id: int) -> bool:
        return id in self._engine

    def __repr__(self) -> str:
        where = ", mapped" if self._engine.mapped else ""
        return (
            f"Index(bits={self.bits}, kind={self.kind!r}, codes={len(self):,}, "
            f"{self.nbytes / 2**20:,.1f} MiB{where})"
        )

    def add(
        self, codes: Array, ids: Array | None = None, *, progress: Progress | None = None
    ) -> NDArray[np.int64]:
        """Add codes. On any error, Ctrl-C included, nothing has been added.

        Args:
            codes: uint8 ``[n, ceil(bits / 8)]``, or one row 1-D.
            ids: int64 ``[n]``, each >= 0 and new; default: counting on from the highest id so far.
                Ids above all present ones append; others are merged in, which copies the index.
            progress: Called with (done, total) now and then.

        Returns:
            The ids of the codes, int64 ``[n]``.

        Raises:
            ValueError: an id that is negative, given twice or present already; a wrong width.
        """
        given = None if ids is None else as_array(ids, "ids")
        return self._engine.add(as_array(codes, "codes"), given, progress)

    def search(
        self,
        queries: Array,
        k: int = 10,
        *,
        filter: Filter | None = None,
        max_distance: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        """Find the k nearest codes of each query.

        Args:
            queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
            k: Hits a query, >= 0; may exceed ``len(index)``.
            filter: Which codes may be hits.
            max_distance: Take only codes within this distance, inclusive.
            threads: Threads of this call.
            progress: Called with (done, total) now and then, counting pairs.
        """
        queries = as_array(queries, "queries")
        arrays = self._engine.search(
            queries, k, _filter_pair(filter), max_distance, threads, progress
        )
        return _search_result(arrays, queries.ndim == 1)

    def range_search(
        self,
        queries: Array,
        radius: int,
        *,
        filter: Filter | None = None,
        max_results: int | None = None,
        threads: int | None = None,
    ) -> RangeResult:
        """Find every code within ``radius`` of each query, inclusive.

        Args:
            queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
            radius: Largest distance to take, >= 0.
            filter: Which codes may be hits.
            max_results: Keep only so many of each query, the best by (distance, id).
            threads: Threads of this call.
        """
        return RangeResult(
            *self._engine.range_search(
                as_array(queries, "queries"), radius, _filter_pair(filter), max_results, threads
            )
        )

    def get(self, ids: Array) -> NDArray[np.uint8]:
        """Return the codes of ``ids``: uint8 ``[m, ceil(bits / 8)]``.

        Raises:
            KeyError: an id that is not in the index.
        """
        return self._engine.get(as_array(ids, "ids"))

    def save(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Write the index to one file, atomically: a kill leaves the old file or the new one.

        A symbolic link stays, and what it points to is replaced.

        Raises:
            OSError: the system refused; the file is the old one, or none, or the whole new one.
        """
        self._engine.save(_encoded(path), progress)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap: bool = False,
        verify: bool = True,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Index:
        """Read an index that ``save`` wrote.

        Args:
            path: The file.
            mmap: Leave the codes in the file and read them as searches need them.
            verify: Check every byte against its checksum first. The header is always checked.
            threads: Threads of this index's calls.
            progress: Called with (done, total) now and then, counting bytes.

        Raises:
            FormatError: truncated, damaged, foreign, or of another format version.
            OSError: the system refused.
        """
        index = cls.__new__(cls)
        index._engine = _core.Index.load(_encoded(path), mmap, verify, threads, progress)
        return index
