"""Array files, read where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe


def open_array(path: Path) -> NDArray[Any]:
    """A `.npy` file as a read-only memory map.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole .npy file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.suffix == ".npz":
        raise ValueError(f"{path}: expected a .npy file with one array; got an .npz archive")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        return _empty(path, error)
    return array


def _empty(path: Path, error: Exception) -> NDArray[Any]:
    """An array without rows, which cannot be mapped; ValueError for anything else."""
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError):
        array = np.empty(1)
    if array.size:
        raise ValueError(f"{path}: not a whole .npy file ({' '.join(str(error).split())})")
    return array


def open_codes(path: Path) -> NDArray[np.uint8]:
    """Packed codes of a `.npy` file, uint8 [n, B], mapped; ValueError for another array."""
    array = open_array(path)
    if array.dtype != np.uint8 or array.ndim != 2:
        raise ValueError(
            f"{path}: expected packed codes, uint8 [n, bytes]; "
            f"got {describe(array)}. hashcore encode or hashcore.pack makes codes"
        )
    return array
