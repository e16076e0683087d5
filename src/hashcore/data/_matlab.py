"""MATLAB files of version 5 and 7.3, and which axis of a matrix counts the samples.

A version 7.3 file is HDF5. What MATLAB wrote there stands with its axes reversed, and carries an
attribute `MATLAB_class`; what Python wrote into such a file stands as it was. Files of both kinds
go round under one name, and so do matrices with their samples in rows and in columns: the axis of
the samples is the one whose length all matrices of a set share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore.data._files import (
    DatasetFileError,
    FileRows,
    Place,
    binary_labels,
    features,
    pixels,
    require,
)

_Key = tuple[slice, ...]


@dataclass(frozen=True)
class Variable:
    """A variable of a MATLAB file.

    Attributes:
        shape: as it lies in the file.
        read: the part at one slice an axis.
        reversed_axes: the axes lie in the reverse of MATLAB's order.
    """

    shape: tuple[int, ...]
    read: Callable[[_Key], NDArray[Any]]
    reversed_axes: bool = False


def load_mat(path: Path, expected: str, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The variables of a MATLAB v5 file, or those of them that are named.

    Raises:
        DatasetFileError: missing, or not readable as MATLAB v5; says what is expected.
    """
    from scipy.io import loadmat

    require(path, expected)
    try:
        content: dict[str, Any] = loadmat(
            path, squeeze_me=False, struct_as_record=True, variable_names=names
        )
    except MemoryError:
        raise
    except Exception as error:
        raise DatasetFileError(f"{path}: not a readable MATLAB v5 file. {expected}") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def open_mat(path: Path, expected: str, names: Sequence[str] | None = None) -> dict[str, Variable]:
    """The arrays of a MATLAB file of version 5 or 7.3; those of 7.3 are not read yet.

    Raises:
        DatasetFileError: missing, or a file of neither version.
    """
    require(path, expected)
    try:
        content = load_mat(path, expected, names)
    except DatasetFileError as error:
        import h5py

        if not h5py.is_hdf5(path):
            raise DatasetFileError(
                f"{path}: not a readable MATLAB file, of version 5 or 7.3. {expected}"
            ) from error
        return _open_hdf5(path, expected)
    return {name: _in_memory(value) for name, value in content.items()}


def _in_memory(value: Any) -> Variable:
    array = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    return Variable(array.shape, lambda key: np.asarray(array[key]))


def _open_hdf5(path: Path, expected: str) -> dict[str, Variable]:
    import h5py

    def reader(name: str) -> Callable[[_Key], NDArray[Any]]:
        def read(key: _Key) -> NDArray[Any]:
            try:
                with h5py.File(path, "r") as file:
                    return np.asarray(file[name][key])
            except (OSError, KeyError) as error:
                raise DatasetFileError(
                    f"{path}: {name} cannot be read ({error}). {expected}"
                ) from error

        return read

    try:
        with h5py.File(path, "r") as file:
            return {
                name: Variable(item.shape, reader(name), "MATLAB_class" in item.attrs)
                for name, item in file.items()
                if isinstance(item, h5py.Dataset)
            }
    except OSError as error:
        raise DatasetFileError(f"{path}: cannot be read ({error}). {expected}") from error


def pick(
    content: Mapping[str, Variable], names: Sequence[str], path: Path, expected: str
) -> tuple[Variable, Place]:
    """The variable under the first of these names that is there, and where it lies."""
    for name in names:
        if name in content:
            return content[name], Place(path, name, expected)
    raise DatasetFileError(
        f"{path}: no variable {' or '.join(names)}; it has {sorted(content)}. {expected}"
    )


def sample_count(variables: Mapping[str, Variable], path: Path, expected: str) -> int:
    """The one length that all variables share: how many samples there are.

    Raises:
        DatasetFileError: they share none, or more than one; every shape is told.
    """
    shared = set.intersection(*(set(variable.shape) for variable in variables.values()))
    if len(shared) > 1:
        shared.discard(1)
    if len(shared) == 1:
        return shared.pop()
    shapes = ", ".join(f"{name} {list(v.shape)}" for name, v in variables.items())
    problem = f"share the lengths {sorted(shared)}" if shared else "share no number of samples"
    raise DatasetFileError(f"{path}: the shapes {shapes} {problem}. {expected}")


def image_rows(variable: Variable, n: int, place: Place) -> FileRows:
    """Images as uint8 [n, 3, H, W], or their features as float32 [n, D]."""
    return (
        matrix_rows(variable, n, place)
        if len(variable.shape) == 2
        else _pixel_rows(variable, n, place)
    )


def matrix_rows(variable: Variable, n: int, place: Place) -> FileRows:
    """A matrix as float32 [n, D]."""
    return _oriented(variable, _matrix_order(variable, n, place), place, np.float32, features)


def label_rows(variable: Variable, n: int, place: Place) -> FileRows:
    """A matrix of zeros and ones as bool [n, C]."""
    return _oriented(variable, _matrix_order(variable, n, place), place, np.bool_, binary_labels)


def _matrix_order(variable: Variable, n: int, place: Place) -> tuple[int, ...]:
    if len(variable.shape) != 2 or variable.shape.count(n) != 1:
        raise place.error(
            f"is {list(variable.shape)}; expected a matrix with {n} samples along one axis"
        )
    samples = variable.shape.index(n)
    return samples, 1 - samples


def _pixel_rows(variable: Variable, n: int, place: Place) -> FileRows:
    shape = variable.shape
    if len(shape) != 4 or shape.count(n) != 1 or shape.count(3) != 1:
        raise place.error(
            f"is {list(shape)}; expected features [{n}, D], or pixels with {n} samples and "
            "3 colours, in any order"
        )
    samples, colours = shape.index(n), shape.index(3)
    height, width = (axis for axis in range(4) if axis not in (samples, colours))
    if variable.reversed_axes:
        height, width = width, height
    return _oriented(variable, (samples, colours, height, width), place, np.uint8, pixels)


def _oriented(
    variable: Variable,
    order: tuple[int, ...],
    place: Place,
    dtype: type[np.generic],
    convert: Callable[[NDArray[Any], Place, int], NDArray[Any]],
) -> FileRows:
    """The variable with its axes in this order, samples first."""

    def take(start: int, stop: int) -> NDArray[Any]:
        part = [slice(None)] * len(order)
        part[order[0]] = slice(start, stop)
        return variable.read(tuple(part)).transpose(order)

    shape = tuple(variable.shape[axis] for axis in order)
    return FileRows(place, shape, np.dtype(dtype), take, convert)
