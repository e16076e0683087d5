"""Reading the files of others: what is missing or foreign is said in one clear error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore.data._rows import first_bad, value_error


class DatasetFileError(ValueError):
    """A data file is missing or is not what its name says; the text tells where to get it."""


@dataclass(frozen=True)
class Place:
    """Where values lie, for errors.

    Attributes:
        path: the file.
        name: what its author calls the matrix, or "" for the only one.
        expected: what the file should hold and where to get it.
    """

    path: Path
    name: str
    expected: str

    def error(self, what: str) -> DatasetFileError:
        """The error to raise for these values."""
        return DatasetFileError(
            f"{self.path}: {' '.join([self.name, what]).strip()}. {self.expected}"
        )


def require(path: Path, expected: str) -> Path:
    """The path of an existing file, or DatasetFileError with what is expected there."""
    if not path.is_file():
        raise DatasetFileError(f"{path}: no such file. {expected}")
    return path


def open_npy(path: Path, expected: str) -> NDArray[Any]:
    """A `.npy` file as a read-only memory map, or DatasetFileError."""
    require(path, expected)
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DatasetFileError(f"{path}: not a whole .npy file with rows. {expected}") from error
    return array


def features(value: Any, place: Place, first_row: int = 0) -> NDArray[np.float32]:
    """A finite float32 [N, D] copy of a matrix from a file, or DatasetFileError."""
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise place.error(f"is {describe(array)}, not a matrix of numbers")
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and said so
        out = np.array(array, dtype=np.float32, order="C")
    if wrong := value_error(out, first_row=first_row):
        raise place.error(wrong)
    return out


def pixels(value: Any, place: Place, first_row: int = 0) -> NDArray[np.uint8]:
    """A uint8 [N, 3, H, W] copy of images from a file, or DatasetFileError."""
    array = np.asarray(value)
    if array.ndim != 4 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise place.error(f"is {describe(array)}, not pixels [N, 3, H, W]")
    with np.errstate(invalid="ignore"):
        out = np.array(array, dtype=np.uint8, order="C")
    if array.dtype == np.uint8:
        return out
    wrong = out != array
    if wrong.any():
        raise place.error(
            f"{first_bad(wrong, first_row)} is {array[wrong][0]}; expected pixels, integers 0..255"
        )
    return out


def token_ids(value: Any, place: Place, first_row: int = 0) -> NDArray[np.int64]:
    """An int64 [N, L] copy of token ids from a file, or DatasetFileError."""
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise place.error(f"is {describe(array)}, not token ids [N, L]")
    out = np.array(array, dtype=np.int64, order="C")
    if wrong := value_error(out, first_row=first_row):
        raise place.error(wrong)
    return out


def binary_labels(value: Any, place: Place, first_row: int = 0) -> NDArray[np.bool_]:
    """A matrix of zeros and ones as bool [N, C], or DatasetFileError."""
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise place.error(f"is {describe(array)}, not labels [N, C]")
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        raise place.error(f"{first_bad(wrong, first_row)} is {array[wrong][0]}; expected 0 or 1")
    return np.ascontiguousarray(array != 0)


def one_hot(ids: Any, classes: int, place: Place, *, first: int) -> NDArray[np.bool_]:
    """Class ids first..first+classes-1 of any shape as bool [n, classes], or DatasetFileError."""
    values = np.asarray(ids).ravel()
    last = first + classes - 1
    wrong = ~np.isin(values, np.arange(first, last + 1))
    if wrong.any():
        raise place.error(
            f"{first_bad(wrong)} is class {values[wrong][0]}; expected class ids {first}..{last}"
        )
    labels = np.zeros((values.size, classes), dtype=np.bool_)
    labels[np.arange(values.size), values.astype(np.int64) - first] = True
    return labels


def class_labels(value: Any, classes: int, place: Place) -> NDArray[np.bool_]:
    """Class ids 1..classes as [n, 1] or [1, n], or one-hot rows, as bool [n, classes]."""
    array = np.asarray(value)
    if array.ndim == 2 and 1 in array.shape:
        return one_hot(array, classes, place, first=1)
    if array.ndim == 2 and array.shape[1] == classes:
        labels = binary_labels(array, place)
        ones = labels.sum(axis=1)
        if (ones != 1).any():
            row = int((ones != 1).argmax())
            raise place.error(f"row {row} has {ones[row]} ones; expected one, the class of the row")
        return labels
    raise place.error(
        f"is {describe(array)}, neither class ids [n, 1] nor one-hot rows [n, {classes}]"
    )


def same_rows(counts: dict[str, int], path: Path, expected: str) -> int:
    """The number of rows that all of them have, or DatasetFileError with every count."""
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise DatasetFileError(f"{path}: rows disagree: {found}. {expected}")
    return next(iter(counts.values()))


@dataclass(frozen=True)
class FileRows:
    """Rows of a matrix in a file, converted and checked as they are read.

    Attributes:
        place: where it lies, for errors.
        shape: [N, ...] of the rows as given out.
        dtype: the same.
        take: rows start..stop as the file has them, [n, ...].
        convert: makes them what is given out, or raises DatasetFileError.
    """

    place: Place
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    take: Callable[[int, int], NDArray[Any]]
    convert: Callable[[NDArray[Any], Place, int], NDArray[Any]]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"rows of a file are read in their order; got {rows}")
        return self.convert(self.take(start, stop), self.place, start)
