"""Small MATLAB files as MATLAB and Python write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

HEADER_BYTES = 512


def write_v5(path: Path, content: Mapping[str, Any]) -> Path:
    """A MATLAB v5 file; arrays as MATLAB shows them."""
    savemat(path, dict(content))
    return path


def write_v73(path: Path, content: Mapping[str, Any]) -> Path:
    """A MATLAB v7.3 file as MATLAB writes it: HDF5 after a header, with the axes reversed."""
    classes = {"float64": "double", "float32": "single", "uint8": "uint8", "object": "cell"}
    with h5py.File(path, "w", userblock_size=HEADER_BYTES) as file:
        for name, value in content.items():
            array = np.asarray(value)
            data = np.zeros(array.shape) if array.dtype == object else array
            stored = file.create_dataset(name, data=np.transpose(data), chunks=True, compression=4)
            stored.attrs["MATLAB_class"] = np.bytes_(classes[str(array.dtype)])
    with path.open("r+b") as stream:
        text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 2026"
        stream.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


def write_hdf5(path: Path, content: Mapping[str, Any]) -> Path:
    """What Python code gives out under the same name: plain HDF5, the axes as they are."""
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file.create_dataset(name, data=value)
    return path


WRITERS = {"v5": write_v5, "v7.3": write_v73, "hdf5": write_hdf5}
