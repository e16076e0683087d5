"""Codes dealt out to shards, beside the one index that holds them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore
import reference
from hashcore.distributed import ShardManifest
from hashcore.index import IndexKind

KINDS: tuple[IndexKind, ...] = ("flat", "mih")


@dataclass(frozen=True)
class Dealt:
    """The same codes twice."""

    whole: hashcore.Index
    manifest: ShardManifest
    codes: NDArray[np.uint8]
    ids: NDArray[np.int64]
    queries: NDArray[np.uint8]


def deal(folder: Path, rng: np.random.Generator, *, count: int, shards: int, bits: int) -> Dealt:
    """Shards of any sizes, none of them too, whose ids interleave or are apart."""
    codes = reference.random_codes(rng, count, bits)
    ids = np.sort(rng.choice(4 * count + 1, count, replace=False)).astype(np.int64)
    whole = hashcore.Index(bits)
    whole.add(codes, ids)
    if rng.random() < 0.3:  # ranges of ids apart
        owner = np.sort(rng.integers(0, shards, count))
    else:
        owner = rng.integers(0, shards, count) * rng.integers(0, 2, count)  # the first has most
    folder.mkdir()
    paths = []
    for number in range(shards):
        index = hashcore.Index(bits, KINDS[number % 2])
        index.add(codes[owner == number], ids[owner == number])
        paths.append(folder / f"{number}.hci")
        index.save(paths[-1])
    return Dealt(whole, ShardManifest.of(paths), codes, ids, reference.random_codes(rng, 5, bits))


def filters(rng: np.random.Generator, ids: NDArray[np.int64]) -> list[hashcore.Filter | None]:
    """None, and one of each kind by ids of all codes, and of none."""
    some = np.concatenate([rng.permutation(ids)[: len(ids) // 2], np.array([10**9])])
    return [
        None,
        hashcore.Filter.allow(some),
        hashcore.Filter.deny(some),
        hashcore.Filter.mask(rng.random(len(ids)) < 0.5),
    ]


def assert_same(a: Iterable[NDArray[Any]], b: Iterable[NDArray[Any]]) -> None:
    """The same arrays to the byte."""
    for left, right in zip(a, b, strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()


def parts(result: hashcore.SearchResult) -> tuple[NDArray[Any], ...]:
    """All arrays of a result."""
    return (*result, result.counts)
