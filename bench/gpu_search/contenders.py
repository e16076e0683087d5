"""Hashcore and its peers over one database, and what a peer needs to take part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bench.gpu_search.peers import CuPy, Gemm, Nearest, Peer, Xor
from bench.gpu_search.workloads import (
    COMPILED,
    CUPY,
    EAGER,
    GEMM,
    OWN_POPC,
    SMALL_K,
    GpuSearch,
)
from hashcore import _gpu_arrays, _gpu_search
from hashcore._gpu_checks import check_queries, here_or_there

_SCAN = "HASHCORE_CUDA_SCAN"
_SMALL_K = 10


class Ours:
    """The search of hashcore over codes that lie on the device as its index keeps them.

    Args:
        database: uint8 `[N, B]` on a GPU.
    """

    def __init__(self, database: Tensor) -> None:
        self._database = database
        self._kept: Any = None
        self.scan = ""

    def search(self, queries: Tensor, k: int) -> Nearest:
        """As `Index.search` of an index on the device: codes are laid out by the first call."""
        if self._kept is None:
            self._kept = _gpu_arrays._search(-1, self._database, queries, None, (k, None, None))
        asked = check_queries(here_or_there(queries, "queries"), self._kept.codes.bits)
        (distances, ids, _), self.scan = _gpu_search.knn(
            self._kept._replace(queries=asked), k, None
        )
        return Nearest(distances, ids)


@contextmanager
def forced_scan(name: str) -> Iterator[None]:
    """Every pass by this scan, where it can make it."""
    before = os.environ.get(_SCAN)
    os.environ[_SCAN] = name
    try:
        yield
    finally:
        del os.environ[_SCAN]
        if before is not None:
            os.environ[_SCAN] = before


@dataclass(frozen=True)
class Entry:
    """A peer that can be made over a database.

    Attributes:
        most_pairs: of queries and codes that it is asked for, so that a slow one takes a second or
            two; it is compared by its rate over fewer queries.
        needs: bytes that it keeps and works with.
        package: that has to be installed.
    """

    make: Callable[[Tensor], Peer]
    most_pairs: float
    needs: Callable[[GpuSearch], float]
    package: str = "torch"

    def absence(self, search: GpuSearch, room: float) -> str:
        """Why it cannot take part within so many bytes; nothing where it can."""
        if find_spec(self.package) is None:
            return "not installed"
        if self.needs(search) > room:
            return f"does not fit: {self.needs(search) / 2**30:,.0f} GiB"
        return ""

    def queries(self, search: GpuSearch) -> int:
        """How many it is asked for."""
        return int(max(1, min(search.queries, self.most_pairs // search.codes)))


_WORKING = 16 << 30  # bytes of distances and of what they are made of

PEERS: Mapping[str, Entry] = {
    EAGER: Entry(Xor, 2e10, lambda search: _WORKING + search.bytes_read),
    COMPILED: Entry(
        lambda database: Xor(database, compiled=True),
        1e11,
        lambda search: _WORKING + search.bytes_read,
    ),
    GEMM: Entry(Gemm, 1e11, lambda search: _WORKING + Gemm.bytes_for(search.codes, search.bits)),
    CUPY: Entry(CuPy, 1e11, lambda search: _WORKING + 2 * search.bytes_read, "cupy"),
}


class OwnScan:
    """Hashcore's search with every pass by counting bits."""

    def __init__(self, ours: Ours) -> None:
        self._ours = ours

    def search(self, queries: Tensor, k: int) -> Nearest:
        with forced_scan("popc"):
            return self._ours.search(queries, k)


class FewerHits:
    """Hashcore's search for the ten nearest."""

    def __init__(self, ours: Ours) -> None:
        self._ours = ours

    def search(self, queries: Tensor, k: int) -> Nearest:
        return self._ours.search(queries, min(k, _SMALL_K))


def own_peers(ours: Ours) -> dict[str, Peer]:
    """What hashcore is compared with of itself."""
    return {OWN_POPC: OwnScan(ours), SMALL_K: FewerHits(ours)}


def free_bytes() -> float:
    """Of the device."""
    torch.cuda.empty_cache()
    return float(torch.cuda.mem_get_info()[0])
