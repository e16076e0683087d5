"""The nearest codes by PyTorch and CuPy, each as well as it can be written.

A peer measures a piece of the database at a time, keeps the nearest of it with the nearest so far,
and gives their distances. Which codes they are, it finds too: that is what a search is for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

_PAIRS = {"cpu": 1 << 20, "cuda": 1 << 28}  # distances held at once
_LEAST_ROWS = 32  # of queries that the product of int8 matrices takes
_EIGHT = 8


class Nearest(NamedTuple):
    """Ascending distances int32 `[Q, k]`, and rows of the database that have them."""

    distances: Tensor
    ids: Tensor


class Peer(Protocol):
    """Searches a database that it has prepared."""

    def search(self, queries: Tensor, k: int) -> Nearest:
        """Of queries uint8 `[Q, B]`."""


def _pieces(count: int, queries: int, device: torch.device) -> Iterator[slice]:
    step = max(_EIGHT, _PAIRS[device.type] // max(queries, 1) // _EIGHT * _EIGHT)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def nearest(
    distances_to: Callable[[slice], Tensor], count: int, queries: int, k: int, device: torch.device
) -> Nearest:
    """The k nearest of a database that is measured piece by piece: int32 `[Q, piece]`."""
    best: Nearest | None = None
    for piece in _pieces(count, queries, device):
        distances = distances_to(piece)
        found = distances.topk(min(k, distances.shape[1]), largest=False, sorted=False)
        ids = found.indices + piece.start
        values = found.values
        if best is not None:
            values = torch.cat((best.distances, values), 1)
            ids = torch.cat((best.ids, ids), 1)
            kept = values.topk(min(k, values.shape[1]), largest=False, sorted=False).indices
            values, ids = values.gather(1, kept), ids.gather(1, kept)
        best = Nearest(values, ids)
    if best is None:
        raise ValueError("expected a code; got none")
    order = best.distances.argsort(dim=1, stable=True)
    return Nearest(best.distances.gather(1, order), best.ids.gather(1, order))


def words_of(codes: Tensor) -> Tensor:
    """Rows uint8 as int64 words `[., W]`."""
    rest = -codes.shape[1] % _EIGHT
    return torch.nn.functional.pad(codes, (0, rest)).contiguous().view(torch.int64)


def count_bits(x: Tensor) -> Tensor:
    """Ones of each int64, by adding neighbours: PyTorch has no popcount."""
    x = x - ((x >> 1) & 0x5555555555555555)
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (x * 0x0101010101010101) >> 56


def xor_distances(database: Tensor, queries: Tensor) -> Tensor:
    """Distances int32 `[Q, N]` of words int64 `[N, W]` and `[Q, W]`, a word after the other."""
    total = count_bits(queries[:, :1] ^ database[:, 0])
    for word in range(1, database.shape[1]):
        total = total + count_bits(queries[:, word : word + 1] ^ database[:, word])
    return total.int()


class Xor:
    """XOR and counting of bits.

    Args:
        database: uint8 `[N, B]`.
        compiled: whether `torch.compile` fuses it.
    """

    def __init__(self, database: Tensor, *, compiled: bool = False) -> None:
        self._words = words_of(database)
        self._distances: Callable[[Tensor, Tensor], Tensor] = xor_distances
        if compiled:
            self._distances = torch.compile(xor_distances, dynamic=False)

    def search(self, queries: Tensor, k: int) -> Nearest:
        rows = words_of(queries)
        return nearest(
            lambda piece: self._distances(self._words[piece], rows),
            len(self._words),
            len(rows),
            k,
            rows.device,
        )


def signs_of(codes: Tensor) -> Tensor:
    """Bits of rows uint8 as -1 and 1, int8 `[., 8 B]`."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=codes.device)
    bits = (codes[:, :, None] >> shifts) & 1
    return (2 * bits.to(torch.int8) - 1).flatten(1)


class Gemm:
    """Products of int8 signs, of which the database's stay in memory: bits - product = 2 distance.

    Args:
        database: uint8 `[N, B]`.
    """

    def __init__(self, database: Tensor) -> None:
        self._count = len(database)
        spare = -self._count % _EIGHT  # rows come by eights
        self._signs = torch.empty(
            (self._count + spare, _EIGHT * database.shape[1]),
            dtype=torch.int8,
            device=database.device,
        )
        for piece in _pieces(self._count, 1, database.device):
            self._signs[piece] = signs_of(database[piece])
        self._signs[self._count :] = 0

    @staticmethod
    def bytes_for(codes: int, bits: int) -> int:
        """That the signs take."""
        return codes * bits

    def search(self, queries: Tensor, k: int) -> Nearest:
        rows = signs_of(queries)
        count, bits = rows.shape
        rows = torch.nn.functional.pad(rows, (0, 0, 0, max(0, _LEAST_ROWS - count)))

        def distances(piece: slice) -> Tensor:
            there = piece.stop - piece.start
            columns = self._signs[piece.start : piece.start + there + -there % _EIGHT]
            product = torch._int_mm(rows, columns.T)[:count, :there]
            return (bits - product) >> 1

        return nearest(distances, self._count, count, k, queries.device)


CUPY_SOURCE = r"""
extern "C" __global__ void distances(const unsigned long long* database,
                                     const unsigned long long* queries, int words,
                                     long long stride, long long codes, int* to) {
    const long long code = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (code >= codes) return;
    const unsigned long long* query = queries + (long long)blockIdx.y * words;
    int sum = 0;
    for (int w = 0; w < words; ++w) sum += __popcll(database[w * stride + code] ^ query[w]);
    to[(long long)blockIdx.y * codes + code] = sum;
}
"""


@functools.cache
def _cupy_kernel() -> Any:
    import cupy  # type: ignore[import-not-found, unused-ignore]

    return cupy.RawKernel(CUPY_SOURCE, "distances")


class CuPy:
    """A kernel of CuPy: a thread a code, a row of blocks a query, words of codes side by side.

    Args:
        database: uint8 `[N, B]`, on a GPU.
    """

    _THREADS = 256

    def __init__(self, database: Tensor) -> None:
        self._columns = words_of(database).T.contiguous()  # [W, N]

    def search(self, queries: Tensor, k: int) -> Nearest:
        import cupy

        rows = words_of(queries)

        def distances(piece: slice) -> Tensor:
            count = piece.stop - piece.start
            to = torch.empty((len(rows), count), dtype=torch.int32, device=rows.device)
            blocks = (-(-count // self._THREADS), len(rows))
            with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
                _cupy_kernel()(
                    blocks,
                    (self._THREADS,),
                    (
                        self._columns[:, piece].data_ptr(),
                        rows.data_ptr(),
                        cupy.int32(self._columns.shape[0]),
                        cupy.int64(self._columns.shape[1]),
                        cupy.int64(count),
                        to.data_ptr(),
                    ),
                )
            return to

        return nearest(distances, self._columns.shape[1], len(rows), k, rows.device)
