"""An index whose searches run on a GPU: the engine owns the codes, the device has an image."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashcore import _core, _gpu_search
from hashcore._arrays import Array
from hashcore._device import GpuArray, as_numpy
from hashcore._gpu_checks import (
    Options,
    Queries,
    check_options,
    check_pad_bits,
    check_queries,
    here_or_there,
)
from hashcore._gpu_codes import Codes, Ids, Mask, Place, StreamedCodes, find_place, host_codes

Report = Callable[[int, int], object]


class Changes:
    """Changes an index of the engine and counts that, for images of it.

    Attributes:
        lock: Of changes, and of what an image is made of.
        count: How many there were.
        moves: How many of them may have changed the positions of codes that were there.
        highest: No id is above it; None while nobody has looked.
    """

    def __init__(self, engine: _core.Index) -> None:
        self._engine = engine
        self.lock = threading.RLock()
        self.count = 0
        self.moves = 0
        self.highest: int | None = None

    def add(self, codes: object, ids: object, report: Report | None) -> NDArray[np.int64]:
        """As the engine's."""
        with self.lock:
            before, added = len(self._engine), None
            try:
                added = self._engine.add(codes, ids, report)
            finally:
                if len(self._engine) != before:
                    self._note(added)
            return added

    def remove(self, ids: object) -> int:
        """As the engine's."""
        with self.lock:
            before = len(self._engine)
            try:
                return self._engine.remove(ids)
            finally:
                if len(self._engine) != before:
                    self._note(None)

    def _note(self, added: NDArray[np.int64] | None) -> None:
        """Notes that these ids came; None: other changes, or nobody knows which."""
        self.count += 1
        if added is not None and self.highest is not None and added.min() > self.highest:
            self.highest = int(added.max())
        else:
            self.moves += 1
            self.highest = None


class _Image(NamedTuple):
    """The codes as they were after so many changes."""

    changes: int
    moves: int
    codes: Codes
    ids: Ids | None  # None: 0, 1, 2, ...


class GpuIndex:
    """The searches of an index on a GPU: the first after a change makes or extends the image."""

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
        report: Report | None,
    ) -> tuple[tuple[Any, Any, Any], bool]:
        """(distances, ids, counts), and whether the queries are one row."""
        asked, place = self._check(queries, (k, None, max_distance), mask)
        search = self._start(place, asked, mask)._replace(report=report)
        arrays, self._scan = _gpu_search.knn(search, k, max_distance)
        return arrays, asked.one

    def range_search(
        self,
        queries: Array,
        radius: int,
        mask: Mask | None,
        max_results: int | None,
        report: Report | None,
    ) -> tuple[Any, Any, Any]:
        """(lims, distances, ids)."""
        asked, place = self._check(queries, (None, radius, max_results), mask)
        search = self._start(place, asked, mask)._replace(report=report)
        arrays, self._scan = _gpu_search.range_search(search, radius, max_results)
        return arrays

    def add(self, codes: Array, ids: Array | None, report: Report | None) -> NDArray[np.int64]:
        """As of the index. An image that is up to date takes codes of the device from there."""
        rows = here_or_there(codes, "codes")
        given = None if ids is None else here_or_there(ids, "ids")
        place = find_place(self.device, {"codes": rows, "ids": given})
        copies = _on_host(rows), _on_host(given)
        with self._changes.lock:
            if not len(self._engine):
                self._refreshed(place)  # an image of nothing, which grows
            image = self._image
            if image is not None and image.changes != self._changes.count:
                image = None
            added = self._changes.add(*copies, report)
            if image is not None and isinstance(rows, GpuArray) and len(added):
                self._take_up(place, image, rows, added)
        return added

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
        array = here_or_there(queries, "queries")
        asked = check_queries(array, bits)
        check_options(options, mask, bits)
        place = find_place(self.device, {"queries": array})
        check_pad_bits(place, array, "queries", bits)
        return asked, place

    def _start(self, place: Place, queries: Queries, mask: Mask | None) -> _gpu_search.Search:
        image = self._refreshed(place)
        if image.ids is None:
            return _gpu_search.Search(place, image.codes, queries, mask, None)
        ids = image.ids.host[: image.codes.count]
        return _gpu_search.Search(place, image.codes, queries, mask, ids, image.ids.there)

    def _refreshed(self, place: Place) -> _Image:
        """The image of the present codes."""
        with self._changes.lock:
            image, self._image = self._image, None
            if image is not None and image.changes != self._changes.count:
                image = self._extended(place, image) if self._holds(image) else None
            self._image = self._made(place) if image is None else image
            return self._image

    def _holds(self, image: _Image) -> bool:
        """Whether its codes are where they were, and others came behind them only."""
        return image.moves == self._changes.moves

    def _own(self, place: Place) -> Place:
        """The device's own stream, which is none of a call."""
        return place._replace(stream=place.kernels.Stream(self.device, 0))

    def _made(self, place: Place) -> _Image:
        own, engine, ids = self._own(place), self._engine, self._engine.ids
        self._changes.highest = int(ids[-1]) if len(ids) else -1
        codes = host_codes(
            own, engine.bits, len(ids), lambda first, end: engine.get(ids[first:end])
        )
        return self._image_of(own, codes, ids, None)

    def _extended(self, place: Place, image: _Image) -> _Image | None:
        """With what came since, out of the host's memory; None where there is no room."""
        own, engine = self._own(place), self._engine
        first, count = image.codes.count, len(engine)
        codes = image.codes.grown(own, count)
        if codes is None:
            return None
        counted_on = self._changes.highest == count - 1
        ids = np.arange(first, count) if counted_on else engine.ids[first:]
        codes.fill(own, first, lambda start, end: engine.get(ids[start - first : end - first]))
        return self._image_of(own, codes, ids, image.ids)

    def _take_up(self, place: Place, image: _Image, rows: GpuArray, ids: NDArray[np.int64]) -> None:
        """Extends an image by codes that lie on the device, if they belong behind its own so."""
        if not self._holds(image) or (ids[1:] < ids[:-1]).any():
            return
        own = self._own(place)
        try:
            codes = image.codes.grown(own, len(self._engine))
            if codes is not None:
                codes.put(place, image.codes.count, rows.address, len(ids))
                self._image = self._image_of(own, codes, ids, image.ids)
        except RuntimeError:  # they are in the index: the next search makes room, or says this
            self._image = None

    def _image_of(
        self, own: Place, codes: Codes, added: NDArray[np.int64], before: Ids | None
    ) -> _Image:
        """Of codes that end with added ones, from the ids of these and of those before."""
        changes, ids = self._changes, before
        if changes.highest == codes.count - 1:
            return _Image(changes.count, changes.moves, codes, None)
        first = codes.count - len(added)
        if ids is None or len(ids.host) < codes.count:
            ids = Ids(own, codes.room)
            ids.put(own, 0, np.arange(first) if before is None else before.host[:first])
        ids.put(own, first, added)
        return _Image(changes.count, changes.moves, codes, ids)


def _on_host(x: NDArray[Any] | GpuArray | None) -> NDArray[Any] | None:
    return as_numpy(x.array) if isinstance(x, GpuArray) else x
