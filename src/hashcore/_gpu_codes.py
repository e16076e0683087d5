"""Codes on a GPU: where a call works, and codes that lie there or pass through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore._device import GpuArray, address_of
from hashcore._gpu import cuda_kernels

# Sizes that tests make smaller.
STAGE_BYTES = 32 << 20  # of the two pinned buffers that host memory goes through
PIECE_BYTES = 1 << 30  # of codes on the device where they pass through
MOST_OF_MEMORY = 0.75  # for codes that are to stay
_TILE = 256

Mask = tuple[str, NDArray[Any]]  # kind and values of a filter


class Place(NamedTuple):
    """Where a call works: the kernels and a stream."""

    kernels: Any
    device: int
    stream: Any


def find_place(device: int, arrays: Mapping[str, NDArray[Any] | GpuArray | None]) -> Place:
    """The GPU of a call, on the current stream of the first array that lies there.

    Args:
        device: Its number; -1 is that of the arrays, else 0.
        arrays: The call's, by the names that errors give them, queries first; of those on a GPU,
            the ones of another stream are waited for on the device.

    Raises:
        RuntimeError: no kernels, no driver or no such GPU.
        ValueError: an array on another GPU.
    """
    kernels = cuda_kernels()
    there = {name: array for name, array in arrays.items() if isinstance(array, GpuArray)}
    first = next(iter(there.values()), None)
    number = (first.device if first is not None else 0) if device == -1 else device
    count = kernels.device_count()
    if number >= count:
        raise RuntimeError(f"CUDA: expected a device below cuda:{count}; got cuda:{number}")
    for name, array in there.items():
        if array.device != number:
            raise ValueError(f"{name}: expected an array on cuda:{number}; got cuda:{array.device}")
    place = Place(kernels, number, kernels.Stream(number, 0 if first is None else first.stream))
    for stream in {array.stream for array in there.values()} - {first.stream if first else 0}:
        kernels.follow(place.stream, kernels.Stream(number, stream))
    return place


class Codes:
    """Codes of a database, numbered by ascending id."""

    def __init__(self, bits: int, count: int) -> None:
        self.bits = bits
        self.count = count
        self.room = count
        self.lock = threading.Lock()

    @property
    def bytes_on_device(self) -> int:
        """What they take between searches."""
        return 0

    def pieces(self, place: Place) -> Iterator[Any]:
        """Tiles of all codes, one after the other; what reads them is queued before the next."""
        raise NotImplementedError

    def grown(self, place: Place, count: int) -> ResidentCodes | None:
        """These and more behind them, which are still to come; None where they cannot stay."""
        return None


class ResidentCodes(Codes):
    """Codes that lie on the device, with room for whole tiles."""

    def __init__(self, place: Place, bits: int, count: int, room: int = 0) -> None:
        super().__init__(bits, count)
        self.room = _whole_tiles(max(count, room))
        self.tiles = place.kernels.Tiles(bits, self.room, place.stream)

    @property
    def bytes_on_device(self) -> int:
        size: int = self.tiles.bytes
        return size

    def pieces(self, place: Place) -> Iterator[Any]:
        self.tiles.restart(0, self.count)  # which more codes may share
        yield self.tiles

    def grown(self, place: Place, count: int) -> ResidentCodes | None:
        """In the same memory where it has room; else in twice as much, or in what they need."""
        if count <= self.room:
            grown = copy(self)
            grown.count = count
            return grown
        for room in (2 * self.room, count):
            if room >= count and has_room(place, self.bits, room):
                grown = ResidentCodes(place, self.bits, count, room)
                with self.lock:
                    grown.tiles.take(self.tiles, self.count, place.stream)
                return grown
        return None

    def put(self, place: Place, first: int, address: int, count: int) -> None:
        """Lays codes, from ``first`` on, of rows at an address on the device."""
        with self.lock:
            self.tiles.put(first, address, count, place.stream)

    def fill(self, place: Place, first: int, read: Callable[[int, int], NDArray[np.uint8]]) -> None:
        """Brings the codes from ``first`` on out of the host's memory."""
        if first == self.count:
            return
        upload = new_upload(place, self.bits, self.count - first)
        at_once = max(1, STAGE_BYTES // ((self.bits + 7) // 8))
        for start in range(first, self.count, at_once):
            rows = read(start, min(start + at_once, self.count))
            with self.lock:
                upload.put(self.tiles, start, address_of(rows), len(rows))


class StreamedCodes(Codes):
    """Codes that pass through the device: while a piece is searched, the next comes."""

    def __init__(
        self, bits: int, count: int, read: Callable[[int, int], NDArray[np.uint8]]
    ) -> None:
        super().__init__(bits, count)
        self._read = read

    def pieces(self, place: Place) -> Iterator[Any]:
        tile_bytes = place.kernels.Tiles.bytes_for(self.bits, _TILE)
        at_once = max(1, PIECE_BYTES // tile_bytes) * _TILE
        upload = new_upload(place, self.bits, self.count)
        tiles = [
            place.kernels.Tiles(self.bits, min(at_once, self.count), place.stream)
            for _ in range(min(2, -(-self.count // at_once)))
        ]
        for number, first in enumerate(range(0, self.count, at_once)):
            piece = tiles[number % 2]
            rows = self._read(first, min(first + at_once, self.count))
            piece.restart(first, len(rows))
            upload.put(piece, 0, address_of(rows), len(rows))
            yield piece


def new_upload(place: Place, bits: int, count: int) -> Any:
    """The way from host memory to the device, no wider than so many codes need."""
    row = (bits + 7) // 8
    return place.kernels.Upload(max(row, min(STAGE_BYTES, row * count)), place.device)


def has_room(place: Place, bits: int, count: int) -> bool:
    """Whether the device has room for so many codes to stay."""
    needed: int = place.kernels.Tiles.bytes_for(bits, count)
    free: int = place.kernels.free_memory(place.device)
    return needed <= MOST_OF_MEMORY * free


def _whole_tiles(codes: int) -> int:
    return -(-codes // _TILE) * _TILE


def host_codes(
    place: Place, bits: int, count: int, read: Callable[[int, int], NDArray[np.uint8]]
) -> Codes:
    """Codes of the host's memory on the device where they have room, else passing through."""
    if not has_room(place, bits, count):
        return StreamedCodes(bits, count, read)
    codes = ResidentCodes(place, bits, count)
    codes.fill(place, 0, read)
    return codes


class Ids:
    """Ids of positions, ascending, on the host and on the device."""

    def __init__(self, place: Place, room: int) -> None:
        self.host = np.empty(room, np.int64)
        self.there = place.kernels.DeviceMemory(self.host.nbytes, "ids", place.stream)

    def put(self, place: Place, first: int, ids: NDArray[np.int64]) -> None:
        """Sets those from ``first`` on; waits."""
        self.host[first : first + len(ids)] = ids
        to = self.there.address + ids.itemsize * first
        place.kernels.copy_to_device(to, address_of(ids), ids.nbytes, place.stream)
        place.kernels.wait(place.stream)


class Allowed:
    """A filter as bits on the device, one a code."""

    def __init__(
        self, place: Place, mask: Mask | None, count: int, ids: NDArray[np.int64] | None
    ) -> None:
        self._memory: Any = None
        if mask is None:
            return
        bits = np.packbits(_allowed(mask, count, ids), bitorder="little")
        words = np.zeros(-(-len(bits) // 4) * 4, np.uint8)
        words[: len(bits)] = bits
        self._memory = place.kernels.DeviceMemory(len(words), "a filter", place.stream)
        self._memory.read_from(address_of(words), len(words))

    def at(self, tiles: Any) -> int:
        """The address of the bits of a piece; 0 where all codes are allowed."""
        if self._memory is None:
            return 0
        address: int = self._memory.address + tiles.first_position // 8
        return address


def _allowed(mask: Mask, count: int, ids: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """A filter as one bool a code."""
    kind, values = mask
    if kind == "mask":
        if not isinstance(values, np.ndarray) or values.dtype != np.bool_:
            raise TypeError(f"filter: expected bool [N], one a code; got {describe(values)}.")
        if values.shape != (count,):
            raise ValueError(
                f"filter: expected bool [{count}], one a code; got {describe(values)}."
            )
        return values
    if ids is None:
        positions = values[(values >= 0) & (values < count)]
    else:
        positions = np.searchsorted(ids, values)
        there = positions < count
        there[there] = ids[positions[there]] == values[there]
        positions = positions[there]
    allowed = np.full(count, kind == "deny")
    allowed[positions] = kind == "allow"
    return allowed
