"""Searches on a GPU over an array of codes."""

from __future__ import annotations

from typing import Any

from hashcore import _gpu_search
from hashcore._arrays import Array
from hashcore._device import GpuArray
from hashcore._gpu_checks import (
    Options,
    check_gpu_codes,
    check_host_database,
    check_options,
    check_pad_bits,
    check_queries,
    here_or_there,
)
from hashcore._gpu_codes import Mask, ResidentCodes, find_place, host_codes
from hashcore._gpu_labels import GpuLabels


def knn(  # noqa: PLR0917
    device: int, database: Array, queries: Array, k: int, mask: Mask | None, most: int | None
) -> tuple[tuple[Any, Any, Any], bool]:
    """As hashcore.knn: (distances, ids, counts), and whether the queries are one row."""
    search = _search(device, database, queries, mask, (k, None, most))
    return _gpu_search.knn(search, k, most)[0], search.queries.one


def range_search(  # noqa: PLR0917
    device: int, database: Array, queries: Array, radius: int, mask: Mask | None, most: int | None
) -> tuple[Any, Any, Any]:
    """As hashcore.range_search: (lims, distances, ids)."""
    search = _search(device, database, queries, mask, (None, radius, most))
    return _gpu_search.range_search(search, radius, most)[0]


def distance_histogram(device: int, database: Array, queries: Array, mask: Mask | None) -> Any:
    """As hashcore.distance_histogram."""
    search = _search(device, database, queries, mask, (0, None, None))
    return _gpu_search.distance_histogram(search)


def _search(  # noqa: PLR0917
    device: int,
    database: Array,
    queries: Array,
    mask: Mask | None,
    options: Options,
    bits: int | None = None,
) -> _gpu_search.Search:
    """Checks everything and brings the codes to the device."""
    codes, asked = here_or_there(database, "database"), here_or_there(queries, "queries")
    if isinstance(codes, GpuArray):
        bits = check_gpu_codes(codes, "database", "N", bits, {2})
    else:
        bits = check_host_database(codes, bits)
    checked = check_queries(asked, bits)
    check_options(options, mask, bits)
    place = find_place(device, {"queries": asked, "database": codes})
    check_pad_bits(place, codes, "database", bits)
    check_pad_bits(place, asked, "queries", bits)
    if isinstance(codes, GpuArray):
        resident = ResidentCodes(place, bits, codes.shape[0])
        if codes.shape[0]:
            resident.put(place, 0, codes.address, codes.shape[0])
            place.kernels.follow(place.kernels.Stream(place.device, codes.stream), place.stream)
        return _gpu_search.Search(place, resident, checked, mask, None)
    rows = codes
    found = host_codes(place, bits, len(rows), lambda first, end: rows[first:end])
    return _gpu_search.Search(place, found, checked, mask, None)


def relevance_counts(  # noqa: PLR0917
    device: int,
    database: Array,
    queries: Array,
    database_labels: Array,
    query_labels: Array,
    bits: int | None,
) -> Any:
    """As hashcore.metrics.relevance_counts.

    Labels are int64 ``[n]``, one class each, or bool ``[n, C]``, on the device or the host.
    """
    search = _search(device, database, queries, None, (0, None, None), bits)
    sides = [
        GpuLabels(search.place, x, name, rows)
        for x, name, rows in (
            (query_labels, "query_labels", search.queries.total),
            (database_labels, "database_labels", search.codes.count),
        )
    ]
    if sides[0].classes != sides[1].classes:
        raise ValueError(
            f"database_labels: expected {sides[0].said}, as query_labels; got {sides[1].said}"
        )
    labels = _gpu_search.Labels(sides[0].address, sides[1].address, sides[0].words, sides)
    return _gpu_search.relevance_counts(search, labels)
