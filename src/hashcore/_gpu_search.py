"""Searches on a GPU, batch by batch of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashcore._device import Outputs, address_of, as_numpy
from hashcore._gpu_checks import Queries
from hashcore._gpu_codes import Allowed, Codes, Mask, Place

# Sizes that tests make smaller.
HITS_BYTES = 1 << 30  # that hits of a batch of queries may take, or a quarter of what is free
MOST_QUERIES = 16_384  # of a batch
ROWS_A_GROUP = 32  # of range searches; groups start at multiples


class Search(NamedTuple):
    """What the searches below share."""

    place: Place
    codes: Codes
    queries: Queries
    mask: Mask | None
    ids: NDArray[np.int64] | None  # of positions, or None where they are ids
    ids_there: Any = None  # the same in memory of the device
    report: Callable[[int, int], object] | None = None  # of pairs queued

    @property
    def id_of(self) -> int:
        return 0 if self.ids_there is None else int(self.ids_there.address)

    def end(self, outputs: Outputs) -> None:
        """What was read stays until that is done; results come."""
        if self.ids_there is not None:
            self.ids_there.read_on(self.place.stream)
        outputs.finish()

    def outputs(self) -> Outputs:
        return Outputs(self.place.kernels, self.place.stream, self.queries.like)

    def allowed(self) -> Allowed:
        return Allowed(self.place, self.mask, self.codes.count, self.ids)

    def batches(self, bytes_a_query: int) -> Iterator[tuple[int, int, Any]]:
        """(first, end, rows on the device) of as many queries as have room at once."""
        count = self.queries.total
        room = HITS_BYTES
        if count * bytes_a_query > room:
            room = max(room, self.place.kernels.free_memory(self.place.device) // 4)
        at_once = max(1, min(count, MOST_QUERIES, room // max(1, bytes_a_query)))
        for first in range(0, count, at_once):
            end = min(first + at_once, count)
            yield first, end, self.queries.rows(self.place, self.codes.bits, first, end)

    def progress(self, rows: slice, tiles: Any, passes: tuple[int, int] = (0, 1)) -> None:
        """Reports that these queries met all codes of a piece, and what came before.

        Args:
            rows: Of the queries; those before met all codes.
            tiles: The piece.
            passes: How many passes over all codes are done, of how many.
        """
        if self.report is not None:
            done, all_passes = passes
            met = (rows.stop - rows.start) * (tiles.first_position + tiles.codes)
            met += (done * self.queries.total + rows.start) * self.codes.count
            self.report(met, all_passes * self.queries.total * self.codes.count)


def knn(search: Search, k: int, max_distance: int | None) -> tuple[tuple[Any, Any, Any], str]:
    """Distances [Q, k], ids [Q, k] and counts [Q], and which scan ran."""
    kernels, bits, count = search.place.kernels, search.codes.bits, search.codes.count
    queries = search.queries.total
    outputs = search.outputs()
    distances, to_distances = outputs.new((queries, k), "int32")
    ids, to_ids = outputs.new((queries, k), "int64")
    counts, to_counts = outputs.new((queries,), "int64")
    farthest = bits if max_distance is None else min(max_distance, bits)
    scan = "popc"
    with search.codes.lock:
        allowed = search.allowed()
        for first, end, rows in search.batches(kernels.Knn.bytes_per_query(k, count, bits)):
            nearest = kernels.Knn(rows, k, farthest, count, search.place.stream)
            for tiles in search.codes.pieces(search.place):
                nearest.add(tiles, allowed.at(tiles))
                search.progress(slice(first, end), tiles)
            nearest.finish(
                to_distances + 4 * first * k,
                to_ids + 8 * first * k,
                to_counts + 8 * first,
                search.id_of,
            )
            scan = nearest.scan
        search.end(outputs)
    return (distances, ids, counts), scan


def range_search(
    search: Search, radius: int, max_results: int | None
) -> tuple[tuple[Any, Any, Any], str]:
    """Lims [Q + 1], distances and ids, and which scan ran. Waits, for what comes is not known."""
    if max_results is not None and max_results < search.codes.count:
        return _best_in_range(search, radius, max_results)
    scan = "popc"
    with search.codes.lock:
        allowed = search.allowed()
        found = []
        lengths = np.empty(search.queries.total, np.int64)
        for first, end, rows in search.batches(8):
            within = search.place.kernels.RangeSearch(
                rows, min(radius, search.codes.bits), search.place.stream
            )
            for tiles in search.codes.pieces(search.place):
                within.count(tiles, allowed.at(tiles))
                search.progress(slice(first, end), tiles, (0, 2))
            lengths[first:end] = within.counts()
            found.append((first, end, within))
            scan = within.scan
        lims = np.concatenate(([0], np.cumsum(lengths)))
        outputs = search.outputs()
        distances, to_distances = outputs.new((int(lims[-1]),), "int32")
        ids, to_ids = outputs.new((int(lims[-1]),), "int64")
        for first, end, within in found:
            for start, stop in _groups(search, lims[first : end + 1]):
                within.begin(start, stop)
                for tiles in search.codes.pieces(search.place):
                    within.collect(tiles, allowed.at(tiles))
                    search.progress(slice(first + start, first + stop), tiles, (1, 2))
                before = int(lims[first + start])
                within.finish(to_distances + 4 * before, to_ids + 8 * before, search.id_of)
        row_ends = _on_device(search, outputs, lims)
        search.end(outputs)
    return (row_ends, distances, ids), scan


def _groups(search: Search, lims: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Rows to collect at once, by the memory that their hits take."""
    most = HITS_BYTES // search.place.kernels.BYTES_PER_HIT
    start, count = 0, len(lims) - 1
    while start < count:
        end = start + ROWS_A_GROUP
        while end < count and lims[min(end + ROWS_A_GROUP, count)] - lims[start] <= most:
            end += ROWS_A_GROUP
        yield start, min(end, count)
        start = end


def _on_device(search: Search, outputs: Outputs, lims: NDArray[np.int64]) -> Any:
    """Row ends where the results lie."""
    if search.queries.like is None:
        return lims
    array, address = outputs.new(lims.shape, "int64")
    stream = search.place.stream
    search.place.kernels.copy_to_device(address, address_of(lims), lims.nbytes, stream)
    return array


def _best_in_range(
    search: Search, radius: int, max_results: int
) -> tuple[tuple[Any, Any, Any], str]:
    """The best of each row: the nearest within the radius, without the missing ones."""
    (distances, ids, counts), scan = knn(search, max_results, radius)
    there = ids >= 0
    lims = np.concatenate(([0], np.cumsum(as_numpy(counts))))
    row_ends = _on_device(search, search.outputs(), lims)
    return (row_ends, distances[there], ids[there]), scan


def distance_histogram(search: Search) -> Any:
    """Counts [Q, bits + 1]."""
    return _histogram(search, None)


class Labels(NamedTuple):
    """Labels of the queries and the codes on the device."""

    queries: int  # the address of uint64 [Q, W], or of int64 [Q] where W is 0
    codes: int
    words: int  # W of sets; 0 where each has one class
    kept: Any  # what owns that memory


def relevance_counts(search: Search, labels: Labels) -> Any:
    """Counts [Q, bits + 1, 2], irrelevant ones first."""
    return _histogram(search, labels)


def _histogram(search: Search, labels: Labels | None) -> Any:
    kernels, stream, bins = search.place.kernels, search.place.stream, search.codes.bits + 1
    shape = (search.queries.total, bins) if labels is None else (search.queries.total, bins, 2)
    row_bytes = 8 * bins * (1 if labels is None else 2)
    outputs = search.outputs()
    counts, to_counts = outputs.new(shape, "int64")
    kernels.clear(to_counts, search.queries.total * row_bytes, stream)
    with search.codes.lock:
        allowed = search.allowed()
        for first, _, rows in search.batches(8):
            for tiles in search.codes.pieces(search.place):
                of_queries = of_codes = words = 0
                if labels is not None:
                    words, row = labels.words, 8 * max(1, labels.words)
                    of_queries = labels.queries + row * first
                    of_codes = labels.codes + row * tiles.first_position
                kernels.add_histogram(
                    rows,
                    tiles,
                    allowed.at(tiles),
                    of_queries,
                    of_codes,
                    words,
                    to_counts + first * row_bytes,
                    stream,
                )
        outputs.finish()
    return counts
