"""An index whose searches run on a GPU: the engine owns the codes, the device has an image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashcore import _core, _gpu_search
from hashcore._arrays import Array
from hashcore._device import GpuArray, address_of
from hashcore._gpu_checks import (
    Options,
    Queries,
    check_options,
    check_pad_bits,
    check_queries,
    code_array,
)
from hashcore._gpu_codes import Codes, Mask, Place, StreamedCodes, find_place, host_codes


class Changes:
    """Counts the changes of an engine's index, for images of it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around a change, so that no image is made meanwhile."""
        with self.lock:
            try:
                yield
            finally:
                self.count += 1


class _Image(NamedTuple):
    """The codes as they were after so many changes."""

    changes: int
    codes: Codes
    ids: NDArray[np.int64] | None  # None: 0, 1, 2, ...
    memory: Any  # the same on the device


class GpuIndex:
    """The searches of an index on a GPU. An image is made by the first one after a change."""

    def __init__(self, engine: _core.Index, changes: Changes, device: int) -> None:
        self._engine = engine
        self._changes = changes
        self.device = find_place(device, {}).device
        self._image: _Image | None = None
        self._scan: str | None = None

    def search(
        self,
        queries: Array,
        k: int,
        mask: Mask | None,
        max_distance: int | None,
        report: Callable[[int, int], object] | None,
    ) -> tuple[tuple[Any, Any, Any], bool]:
        """(distances, ids, counts), and whether the queries are one row."""
        asked, place = self._check(queries, (k, None, max_distance), mask)
        search = self._start(place, asked, mask)._replace(report=report)
        arrays, self._scan = _gpu_search.knn(search, k, max_distance)
        return arrays, asked.one

    def range_search(
        self, queries: Array, radius: int, mask: Mask | None, max_results: int | None
    ) -> tuple[Any, Any, Any]:
        """(lims, distances, ids)."""
        asked, place = self._check(queries, (None, radius, max_results), mask)
        search = self._start(place, asked, mask)
        arrays, self._scan = _gpu_search.range_search(search, radius, max_results)
        return arrays

    def stats(self) -> dict[str, Any]:
        """What ``Index.stats`` says of a GPU."""
        image = self._image
        streamed = image is not None and isinstance(image.codes, StreamedCodes)
        there = 0 if image is None else image.codes.bytes_on_device
        return {
            "device": f"cuda:{self.device}",
            "device_bytes": there,
            "streamed": streamed,
            "scan": self._scan,
        }

    def _check(
        self,
        queries: Array,
        options: Options,
        mask: Mask | None,
    ) -> tuple[Queries, Place]:
        bits = self._engine.bits
        array = code_array(queries, "queries")
        asked = check_queries(array, bits)
        check_options(options, mask, bits)
        place = find_place(self.device, {"queries": array if isinstance(array, GpuArray) else None})
        check_pad_bits(place, array, "queries", bits)
        return asked, place

    def _start(self, place: Place, queries: Queries, mask: Mask | None) -> _gpu_search.Search:
        image = self._refreshed(place)
        return _gpu_search.Search(place, image.codes, queries, mask, image.ids, image.memory)

    def _refreshed(self, place: Place) -> _Image:
        """The image of the present codes, of no call's stream but the device's own."""
        with self._changes.lock:
            if self._image is not None and self._image.changes == self._changes.count:
                return self._image
            self._image = None  # its memory first
            engine = self._engine
            own = place._replace(stream=place.kernels.Stream(self.device, 0))
            ids = engine.ids
            count = len(ids)
            codes = host_codes(
                own, engine.bits, count, lambda first, end: engine.get(ids[first:end])
            )
            memory = None
            if count and ids[-1] != count - 1:
                memory = place.kernels.DeviceMemory(ids.nbytes, "ids", own.stream)
                memory.read_from(address_of(ids), ids.nbytes)
                place.kernels.wait(own.stream)
            known = None if memory is None else ids
            self._image = _Image(self._changes.count, codes, known, memory)
            return self._image
