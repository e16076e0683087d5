"""Indexes to save, and the anatomy of the files that they are saved to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

import hashcore
import reference


@dataclass(frozen=True)
class Layout:
    """A width of code, and how its index lays such codes."""

    bits: int
    kind: hashcore.index.IndexKind
    params: dict[str, Any] = field(default_factory=dict)

    def index(self) -> hashcore.Index:
        return hashcore.Index(self.bits, self.kind, **self.params)


# The widths have pad bits where codes may have them.
LAYOUTS = {
    "flat": Layout(60, "flat"),
    "fast": Layout(60, "mih", {"tables": 2, "radius": 1}),
    "compact": Layout(60, "mih", {"tables": 2, "radius": 1, "layout": "compact"}),
    "wide": Layout(100, "mih", {"tables": 2, "radius": 1}),
}


def sample(layout: int | Layout, count: int, *, own_ids: bool) -> hashcore.Index:
    """Codes of a flat index of that width, or of another one."""
    index = hashcore.Index(layout, "flat") if isinstance(layout, int) else layout.index()
    rng = np.random.default_rng(index.bits + count)
    ids = rng.permutation(3 * count)[:count].astype(np.int64) if own_ids else None
    index.add(reference.random_codes(rng, count, index.bits), ids)
    return index


def worn(layout: int | Layout, count: int) -> hashcore.Index:
    """An index whose file has every section: ids, a delta, and removed codes in both parts."""
    index = sample(layout, count, own_ids=True)
    there = index.ids
    between = np.setdiff1d(np.arange(there[-1]), there)[:count]
    rng = np.random.default_rng(1)
    index.add(reference.random_codes(rng, len(between), index.bits), between)
    assert index.remove(np.concatenate([there[::3], between[::5]])) > 0
    return index


def nearest(index: hashcore.Index, queries: NDArray[np.uint8], threads: int = 1) -> bytes:
    """All that a search gives."""
    found = index.search(queries, 20, threads=threads)
    return found.distances.tobytes() + found.ids.tobytes() + found.counts.tobytes()


def near(index: hashcore.Index, queries: NDArray[np.uint8], threads: int = 1) -> bytes:
    """All that a range search gives."""
    found = index.range_search(queries, index.bits // 4, threads=threads)
    return found.lims.tobytes() + found.distances.tobytes() + found.ids.tobytes()


def answers(index: hashcore.Index, queries: NDArray[np.uint8], threads: int = 1) -> bytes:
    return nearest(index, queries, threads) + near(index, queries, threads)


def sections_of(data: bytes) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Offset, length and checksum by (tag, part)."""
    count = int(np.frombuffer(data[56:60], "<u4")[0])
    sections = {}
    for entry in range(128, 128 + 32 * count, 32):
        tag, part = np.frombuffer(data[entry : entry + 8], "<u4").tolist()
        offset, length, checksum = np.frombuffer(data[entry + 8 : entry + 32], "<u8").tolist()
        sections[tag, part] = offset, length, checksum
    return sections


def with_header(data: bytes, offset: int, value: bytes) -> bytes:
    page = bytearray(data[:4088])
    page[offset : offset + len(value)] = value
    checksum = xxhash.xxh64_intdigest(bytes(page)).to_bytes(8, "little")
    return bytes(page) + checksum + data[4096:]


def rewrite_section(path: Path, name: tuple[int, int], change: Callable[[bytearray], None]) -> None:
    """Changes a section's bytes and repairs every checksum, as a wrong writer would."""
    data = bytearray(path.read_bytes())
    sections = sections_of(bytes(data))
    entry = 128 + 32 * list(sections).index(name)
    offset, length, _ = sections[name]
    end = (offset + length + 4095) // 4096 * 4096
    section = data[offset:end]
    change(section)
    data[offset:end] = section
    data[entry + 24 : entry + 32] = xxhash.xxh64_intdigest(bytes(section)).to_bytes(8, "little")
    data[4088:4096] = xxhash.xxh64_intdigest(bytes(data[:4088])).to_bytes(8, "little")
    path.write_bytes(data)
