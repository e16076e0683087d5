"""Rows that are read when they are asked for, and what is checked about their values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe

BLOCK_BYTES = 64 << 20


class Rows(Protocol):
    """N rows of one shape and dtype: an array, a memory map, or a matrix that lies in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, ...]."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the rows that are given out."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


def row_blocks(rows: Rows, block_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
    """Slices that cover all rows in order, each of about `block_bytes` of them."""
    row_bytes = max(1, math.prod(rows.shape[1:]) * rows.dtype.itemsize)
    step = max(1, block_bytes // row_bytes)
    for start in range(0, len(rows), step):
        yield slice(start, min(len(rows), start + step))


def first_bad(wrong: NDArray[np.bool_], first_row: int = 0) -> str:
    """Where the first true entry is, as `row 3, column 5`; rows and columns count from 0."""
    row, *inside = (int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
    column = f", column {', '.join(map(str, inside))}" if inside else ""
    return f"row {first_row + row}{column}"


def value_error(
    block: NDArray[Any], transform: str = "none", *, first_row: int = 0, tokens: int | None = None
) -> str | None:
    """What is wrong with a block of rows, naming its first bad row; None when nothing is.

    Args:
        block: float features, int64 token ids, or uint8 pixels, of which every value is right.
        transform: of the features; "sqrt" and "log" need values >= 0.
        first_row: number of the block's first row.
        tokens: how many token ids there are; None where that is not known.
    """
    if block.dtype.kind == "f":
        wrong = ~np.isfinite(block)
        expected = "finite values"
        if transform in ("sqrt", "log") and not wrong.any():
            wrong, expected = block < 0, f'values >= 0 for the transform "{transform}"'
    elif block.dtype.kind == "i":
        wrong, expected = block < 0, "token ids >= 0"
        if tokens is not None:
            wrong, expected = wrong | (block >= tokens), f"token ids in 0..{tokens - 1}"
    else:
        return None
    if not wrong.any():
        return None
    return f"{first_bad(wrong, first_row)} is {block[wrong][0]}; expected {expected}"


class Joined:
    """The rows of one matrix, then those of another; `name` is for errors."""

    def __init__(self, name: str, first: Rows, second: Rows) -> None:
        if first.shape[1:] != second.shape[1:] or first.dtype != second.dtype:
            raise ValueError(
                f"{name}: the parts do not go together: {describe(first)} and {describe(second)}"
            )
        self._first, self._second = first, second
        self.shape = (len(first) + len(second), *first.shape[1:])
        self.dtype = first.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        start, stop, step = rows.indices(len(self))
        border = len(self._first)
        if step != 1:
            raise IndexError(f"joined rows are read in their order; got {rows}")
        if stop <= border:
            return self._first[start:stop]
        if start >= border:
            return self._second[start - border : stop - border]
        return np.concatenate([self._first[start:], self._second[: stop - border]])
