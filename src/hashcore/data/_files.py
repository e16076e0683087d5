"""Reading the files of others: what is missing or foreign is said in one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe


class DatasetFileError(ValueError):
    """A data file is missing or is not what its name says; the text tells where to get it."""


def require(path: Path, expected: str) -> Path:
    """The path of an existing file, or DatasetFileError with what is expected there."""
    if not path.is_file():
        raise DatasetFileError(f"{path}: no such file. {expected}")
    return path


def load_mat(path: Path, expected: str) -> dict[str, Any]:
    """The variables of a MATLAB v5 file.

    Raises:
        DatasetFileError: missing, or not readable as MATLAB v5; says what is expected.
    """
    from scipy.io import loadmat

    require(path, expected)
    try:
        content: dict[str, Any] = loadmat(path, squeeze_me=False, struct_as_record=True)
    except Exception as error:
        raise DatasetFileError(f"{path}: not a readable MATLAB v5 file. {expected}") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def features(value: Any, name: str, path: Path, expected: str) -> NDArray[np.float32]:
    """A finite float32 [N, D] copy of a matrix from a file, or DatasetFileError."""
    array = np.asarray(value)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise DatasetFileError(f"{path}: {name} is {describe(array)}, not a matrix. {expected}")
    out = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(out).all():
        raise DatasetFileError(f"{path}: {name} holds NaN or infinite values. {expected}")
    return out


def one_hot(ids: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Class ids 0..classes-1 as bool [n, classes]."""
    labels = np.zeros((ids.size, classes), dtype=np.bool_)
    labels[np.arange(ids.size), ids] = True
    return labels
