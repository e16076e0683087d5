"""Labels on a GPU, for evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import Array, as_array, describe
from hashcore._device import GpuArray, address_of, on_gpu
from hashcore._gpu_codes import Place

_WORD_BITS = 64


class GpuLabels:
    """One side's labels: int64 [n], one class each, or bit sets in words of 64.

    Attributes:
        address: Where they are on the device.
        classes: Of sets; None for one class each.
        words: A set's; 0 for one class each.
    """

    def __init__(self, place: Place, labels: Array, name: str, rows: int) -> None:
        there = on_gpu(labels, name)
        given = as_array(labels, name) if there is None else there
        dims, dtype = len(getattr(given, "shape", ())), str(getattr(given, "dtype", ""))
        multi_hot = dims == 2 and dtype == "bool"
        if not multi_hot and not (dims == 1 and dtype == "int64"):
            raise TypeError(
                f"{name}: expected class ids int64 [{rows}] or multi-hot bool [{rows}, C]; "
                f"got {describe(given)}."
            )
        if given.shape[0] != rows:
            raise ValueError(f"{name}: expected {rows} rows, one a code; got {describe(given)}.")
        if there is not None and there.device != place.device:
            raise ValueError(
                f"{name}: expected an array on cuda:{place.device}; got cuda:{there.device}"
            )
        self.classes = given.shape[1] if multi_hot else None
        self.words = 0 if self.classes is None else -(-self.classes // _WORD_BITS)
        self._memory: Any = None
        self._labels = labels
        if isinstance(given, GpuArray):
            self.address = self._packed(place, given) if multi_hot else given.address
        else:
            self.address = self._copied(place, given)

    @property
    def said(self) -> str:
        """For errors."""
        return "class ids" if self.classes is None else f"{self.classes} classes"

    def _packed(self, place: Place, labels: GpuArray) -> int:
        rows, classes = labels.shape
        row_bytes = 8 * self.words
        self._memory = place.kernels.DeviceMemory(rows * row_bytes, "labels", place.stream)
        address: int = self._memory.address
        place.kernels.pack_sign(
            labels.address, "bool", rows, classes, row_bytes, address, place.stream
        )
        return address

    def _copied(self, place: Place, labels: NDArray[Any]) -> int:
        values = np.ascontiguousarray(labels)
        if self.classes is not None:
            values = np.zeros((len(labels), 8 * self.words), np.uint8)
            packed = np.packbits(labels, axis=1)
            values[:, : packed.shape[1]] = packed
        self._memory = place.kernels.DeviceMemory(values.nbytes, "labels", place.stream)
        address: int = self._memory.address
        place.kernels.copy_to_device(address, address_of(values), values.nbytes, place.stream)
        return address
