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
    check_queries,
    code_array,
)
from hashcore._gpu_codes import Mask, ResidentCodes, find_place, host_codes


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


def _search(
    device: int,
    database: Array,
    queries: Array,
    mask: Mask | None,
    options: Options,
) -> _gpu_search.Search:
    """Checks everything and brings the codes to the device."""
    codes, asked = code_array(database, "database"), code_array(queries, "queries")
    if isinstance(codes, GpuArray):
        bits = check_gpu_codes(codes, "database", "N", None, {2})
    else:
        bits = check_host_database(codes)
    checked = check_queries(asked, bits)
    check_options(options, mask, bits)
    given = {"database": codes, "queries": asked}
    on_gpu = {name: x if isinstance(x, GpuArray) else None for name, x in given.items()}
    place = find_place(device, on_gpu)
    if isinstance(codes, GpuArray):
        resident = ResidentCodes(place, bits, codes.shape[0])
        if codes.shape[0]:
            resident.tiles.put(0, codes.address, codes.shape[0], place.stream)
        return _gpu_search.Search(place, resident, checked, mask, None, 0)
    rows = codes
    found = host_codes(place, bits, len(rows), lambda first, end: rows[first:end])
    return _gpu_search.Search(place, found, checked, mask, None, 0)
