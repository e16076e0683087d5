"""Arrays that come in pieces."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import Array, SupportsDLPack, as_array, describe


@contextmanager
def as_one_array(
    codes: Array | Iterable[Array], folder: Path, progress: Callable[[int, int], object] | None
) -> Iterator[NDArray[np.uint8]]:
    """Codes as one array. Chunks of them are collected in a file for as long as it is used.

    Args:
        codes: uint8 ``[n, B]``, or an iterable of such arrays.
        folder: Where the file goes. It has no name there, so that a kill leaves nothing.
        progress: Called with (codes so far, 0) after each chunk.
    """
    if isinstance(codes, (np.ndarray, SupportsDLPack)):
        rows = as_array(codes, "codes")
        if not isinstance(rows, np.ndarray) or rows.ndim != 2:
            raise TypeError(f"codes: expected uint8 [n, bytes]; got {describe(rows)}.")
        yield rows
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        count, width = _collect(codes, file, progress)
        rows = np.empty((0, width), np.uint8)
        yield np.memmap(file, np.uint8, "r", shape=(count, width)) if count * width else rows


def _collect(
    chunks: Iterable[Array], file: IO[bytes], progress: Callable[[int, int], object] | None
) -> tuple[int, int]:
    count, width = 0, None
    for chunk in chunks:
        rows = as_array(chunk, "codes")
        if rows.dtype != np.uint8 or rows.ndim != 2 or width not in (None, rows.shape[1]):
            expected = f"uint8 [n, {width or 'bytes'}]"
            raise ValueError(f"codes: expected chunks {expected}; got {describe(rows)}.")
        width = rows.shape[1]
        np.ascontiguousarray(rows).tofile(file)
        count += len(rows)
        if progress is not None:
            progress(count, 0)
    if width is None:
        raise ValueError("codes: expected at least one chunk; got none.")
    file.flush()
    return count, width
