"""Rows of arrays that may lie on disk, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Rows:
    """Chosen rows of an array; nothing is read before rows are taken.

    Attributes:
        array: `[N, ...]`, in memory or mapped.
        rows: int64 `[n]`, which of its rows, in order.
    """

    array: NDArray[Any]
    rows: NDArray[np.int64]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As the array of these rows would have it."""
        return (len(self.rows), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.array.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: slice) -> Rows:
        """The rows at these positions, unread."""
        return Rows(self.array, self.rows[positions])

    def __getitem__(self, positions: slice | NDArray[np.int64]) -> NDArray[Any]:
        """A copy of the rows at these positions; the array is read in ascending order."""
        wanted = self.rows[positions]
        if (wanted[1:] >= wanted[:-1]).all():
            return np.asarray(self.array[wanted])
        order = np.argsort(wanted)
        out = np.empty((len(wanted), *self.array.shape[1:]), self.dtype)
        out[order] = self.array[wanted[order]]
        return out


def chunks(x: NDArray[Any] | Rows) -> Iterator[NDArray[Any]]:
    """All rows of `x`, about 1 MiB at a time."""
    row_bytes = x.dtype.itemsize * int(np.prod(x.shape[1:], dtype=np.int64))
    step = max(1, CHUNK_BYTES // max(row_bytes, 1))
    for start in range(0, len(x), step):
        yield x[start : start + step]
