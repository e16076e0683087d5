"""Indexes to save, and the anatomy of the files that they are saved to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash

import hashcore
import reference


def sample(bits: int, count: int, *, own_ids: bool) -> hashcore.Index:
    rng = np.random.default_rng(bits + count)
    index = hashcore.Index(bits)
    ids = rng.permutation(3 * count)[:count].astype(np.int64) if own_ids else None
    index.add(reference.random_codes(rng, count, bits), ids)
    return index


def worn(bits: int, count: int) -> hashcore.Index:
    """An index whose file has every section: ids, a delta, and removed codes in both parts."""
    index = sample(bits, count, own_ids=True)
    there = index.ids
    between = np.setdiff1d(np.arange(there[-1]), there)[:count]
    index.add(reference.random_codes(np.random.default_rng(1), len(between), bits), between)
    assert index.remove(np.concatenate([there[::3], between[::5]])) > 0
    return index


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
