"""Checks of what a search on a GPU is given: the engine's own wherever it can see the values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array, describe
from hashcore._device import GpuArray, address_of, on_gpu
from hashcore._gpu_codes import Mask, Place


class Queries(NamedTuple):
    """Checked queries."""

    array: NDArray[np.uint8] | GpuArray  # uint8 [Q, B] or [B]
    total: int
    one: bool  # 1-D

    @property
    def like(self) -> GpuArray | None:
        return self.array if isinstance(self.array, GpuArray) else None

    def rows(self, place: Place, bits: int, first: int, end: int) -> Any:
        """Rows of some of them on the device."""
        array, row = self.array, (bits + 7) // 8
        there = isinstance(array, GpuArray)
        start = array.address if isinstance(array, GpuArray) else address_of(array)
        return place.kernels.QueryRows(
            start + first * row, end - first, bits, not there, place.stream
        )


def here_or_there(x: Array, name: str) -> NDArray[Any] | GpuArray:
    """An array on a GPU or in the host's memory; what is neither, the engine's check refuses."""
    array = on_gpu(x, name)
    return as_array(x, name) if array is None else array


def check_gpu_codes(array: GpuArray, name: str, rows: str, bits: int | None, dims: set[int]) -> int:
    """As the engine checks codes of the host; the width, 8 a byte without ``bits``."""
    width = "bytes" if bits is None else str((bits + 7) // 8)
    expected = f"{name}: expected uint8 [{rows}, {width}], C-contiguous"
    got = describe(array)
    if array.dtype != "uint8":
        raise TypeError(
            f"{expected}; got {got}. Floats: use hashcore.ops.pack_sign(); "
            "int8 from an embedding API: use hashcore.convert()."
        )
    bytes_a_row = array.shape[-1] if array.shape else 0
    if len(array.shape) not in dims or not 1 <= bytes_a_row <= 8192:
        raise ValueError(f"{expected}; got {got}")
    if bits is not None and bytes_a_row != (bits + 7) // 8:
        raise ValueError(f"{expected}; got {got}")
    return bits if bits is not None else 8 * bytes_a_row


def check_host_database(array: NDArray[Any], bits: int | None) -> int:
    """The width of codes of the host, 8 a byte without ``bits``."""
    shape: tuple[int, ...] = getattr(array, "shape", ())
    row = int(shape[1]) if len(shape) == 2 else 1
    _core.distance_histogram(array, np.empty((0, row), np.uint8), None, None)
    if bits is None:
        return 8 * row
    if row != (bits + 7) // 8:
        expected = f"uint8 [N, {(bits + 7) // 8}], C-contiguous"
        raise ValueError(f"database: expected {expected}; got {describe(array)}")
    if bits % 8 and np.any(array[:, -1] & (0xFF >> bits % 8)):
        raise ValueError(f"database: bits are set past bit {bits - 1}")
    return bits


def check_queries(array: NDArray[Any] | GpuArray, bits: int) -> Queries:
    """Queries of a width. Only the pad bits of queries on the device are left to check."""
    if isinstance(array, GpuArray):
        check_gpu_codes(array, "queries", "Q", bits, {1, 2})
    else:
        _core.Index(bits, "flat", (None,) * 4, None).search(array, 0, None, None, None, None)
    one = len(array.shape) == 1
    return Queries(array, 1 if one else int(array.shape[0]), one)


def check_pad_bits(place: Place, array: NDArray[Any] | GpuArray, name: str, bits: int) -> None:
    """Refuses codes on the device with bits past their width. Waits where there may be any."""
    if not isinstance(array, GpuArray) or bits % 8 == 0:
        return
    rows = array.shape[0] if len(array.shape) == 2 else 1
    if place.kernels.has_pad_bits(array.address, rows, bits, place.stream):
        raise ValueError(
            f"{name}: bits are set past bit {bits - 1}; the pad bits of the last byte must be "
            "zero. hashcore.ops.pack_sign() writes them so."
        )


Options = tuple[int | None, int | None, int | None]
"""k or None, radius or None, and max_distance or max_results or None."""


def check_options(options: Options, mask: Mask | None, bits: int) -> None:
    """As the engine checks them, and the filter but for a mask's length."""
    k, radius, most = options
    probe = _core.Index(bits, "flat", (None,) * 4, None)
    none = np.empty((0, (bits + 7) // 8), np.uint8)
    listed = mask if mask is not None and mask[0] != "mask" else None
    if k is not None:
        probe.search(none, k, listed, most, None, None)
    if radius is not None:
        probe.range_search(none, radius, listed, most, None, None)
