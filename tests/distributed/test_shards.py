"""Shards searched one by one, and files that are not what the manifest says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference
from distributed.partitions import KINDS, assert_same, deal, filters, parts
from hashcore import FormatError
from hashcore.distributed import (
    Shard,
    ShardManifest,
    merge,
    merge_ranges,
    range_search_shard,
    search_shard,
    write_shard,
)


@pytest.mark.parametrize("seed", range(12))
def test_any_partition_gives_the_answer_of_one_index(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, shards = int(rng.choice([0, 1, 7, 300])), int(rng.integers(1, 6))
    dealt = deal(tmp_path / "shards", rng, count=count, shards=shards, bits=20)
    manifest, queries = dealt.manifest, dealt.queries
    assert (manifest.codes, manifest.bits) == (count, 20)
    for filter in filters(rng, dealt.ids):
        limit = int(rng.integers(21))
        found = [
            search_shard(
                shard, queries, 9, filter=manifest.filter_of(n, filter), max_distance=limit
            )
            for n, shard in enumerate(manifest.shards)
        ]
        expected = dealt.whole.search(queries, 9, filter=filter, max_distance=limit)
        assert_same(parts(merge(found, 9)), parts(expected))
        near = [
            range_search_shard(
                shard, queries, limit, filter=manifest.filter_of(n, filter), max_results=4
            )
            for n, shard in enumerate(manifest.shards)
        ]
        within = dealt.whole.range_search(queries, limit, filter=filter, max_results=4)
        assert_same(merge_ranges(near, max_results=4), within)


def test_filters_by_ids_of_shards_without_gaps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes, ids = reference.random_codes(rng, 300, 20), np.arange(7, 307)
    whole = hashcore.Index(20)
    whole.add(codes, ids)
    parts_of = ((0, 90), (90, 91), (91, 300))
    manifest = ShardManifest(
        tuple(write_shard(tmp_path, codes[a:b], ids[a:b], bits=20) for a, b in parts_of)
    )
    for chosen in (rng.permutation(400)[:150], np.array([97, 97, -5]), np.arange(0)):
        for make in (hashcore.Filter.allow, hashcore.Filter.deny):
            filter = make(chosen.astype(np.int64))
            expected = whole.search(codes[:4], 30, filter=filter)
            found = [
                search_shard(shard, codes[:4], 30, filter=manifest.filter_of(n, filter))
                for n, shard in enumerate(manifest.shards)
            ]
            assert_same(parts(merge(found, 30)), parts(expected))


def test_a_plain_path_is_searched_too(tmp_path: Path) -> None:
    codes = reference.random_codes(np.random.default_rng(0), 50, 64)
    shard = write_shard(tmp_path, codes, kind="flat")
    for path in (shard.path, str(shard.path)):
        found = search_shard(path, codes[0], 3, threads=1)
        assert_same(parts(found), parts(hashcore.knn(codes, codes[0], 3)))
    with shard.path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(FormatError, match=re.escape(str(shard.path))):
        search_shard(shard.path, codes[0], 3)


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    codes = reference.random_codes(np.random.default_rng(0), 1000, 64)
    return write_shard(tmp_path / "shards", codes, np.arange(5, 1005), kind="flat")


def test_a_shard_says_what_it_holds(shard: Shard) -> None:
    assert (shard.bits, shard.codes, shard.first_id, shard.last_id) == (64, 1000, 5, 1004)
    assert Shard.of(shard.path) == shard


def test_a_path_is_the_same_from_everywhere(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shard.path.parent)
    assert Shard.of(shard.path.name) == shard


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def exchange(path: Path) -> None:
    other = write_shard(path.parent, np.zeros((1000, 8), np.uint8), np.arange(5, 1005), kind="flat")
    shutil.copyfile(other.path, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, r"expected bytes (\d+); got \d+\. Put the right file there"),
        (damage, r"expected sha256 \w{64}; got \w{64}\. "),
        (exchange, r"expected sha256 \w{64}; got \w{64}\. "),
    ],
)
def test_another_file_is_refused(
    shard: Shard, change: Callable[[Path], None], message: str
) -> None:
    change(shard.path)
    query = np.zeros(8, np.uint8)
    for call in (
        shard.open,
        lambda: search_shard(shard, query),
        lambda: range_search_shard(shard, query, 3),
    ):
        with pytest.raises(FormatError, match=re.escape(str(shard.path)) + ": " + message):
            call()


def test_what_is_not_read_is_compared_still(tmp_path: Path, shard: Shard) -> None:
    codes = np.zeros((999, 8), np.uint8)
    other = write_shard(tmp_path / "other", codes, kind="flat")
    path = other.path
    wrong = Shard(path, 64, 1000, 0, 999, other.nbytes, other.sha256)
    with pytest.raises(FormatError, match="expected codes 1000; got 999"):
        wrong.open(verify=False)
    wrong = Shard(path, 60, 999, 0, 998, other.nbytes, other.sha256)
    with pytest.raises(FormatError, match="expected bits 60; got 64"):
        wrong.open(verify=False)
    damage(shard.path)
    assert len(shard.open(verify=False)) == 1000


def test_a_missing_file_is_named(shard: Shard) -> None:
    shard.path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{shard.path}: expected a shard of 1,000 codes"):
        search_shard(shard, np.zeros(8, np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_is_written_once(tmp_path: Path, kind: hashcore.index.IndexKind) -> None:
    rng = np.random.default_rng(0)
    codes = reference.random_codes(rng, 400, 32)
    ids = rng.permutation(400).astype(np.int64)
    shard = write_shard(tmp_path, codes, ids, kind=kind)
    assert shard.path.is_file()
    index = shard.open()
    assert index.kind == kind
    assert index.get(ids).tobytes() == codes.tobytes()
    before = shard.path.stat().st_mtime_ns

    assert write_shard(tmp_path, codes, ids, kind=kind) == shard
    assert shard.path.stat().st_mtime_ns == before
    damage(shard.path)
    assert write_shard(tmp_path, codes, ids, kind=kind) == shard
    assert shard.open().ids.tolist() == list(range(400))
    others = [
        write_shard(tmp_path, codes, kind=kind),
        write_shard(tmp_path, codes[1:], ids[1:], kind=kind),
        write_shard(tmp_path, codes[::-1].copy(), ids, kind=kind),
        write_shard(tmp_path, codes, ids, kind=KINDS[kind == "flat"]),
    ]
    assert len({shard.path, *(other.path for other in others)}) == 5


@pytest.mark.parametrize(
    ("codes", "ids", "error", "message"),
    [
        (np.zeros((3, 2)), None, TypeError, r"codes: expected uint8 \[n, bytes\]; got float64"),
        (np.zeros(3, np.uint8), None, TypeError, r"got uint8 \[3\]"),
        (np.zeros((3, 2), np.uint8), np.arange(3.0), TypeError, r"ids: expected int64 \[3\]"),
        (np.zeros((3, 2), np.uint8), np.arange(2), ValueError, r"expected int64 \[3\]; got int64"),
        (np.zeros((3, 2), np.uint8), np.array([7, 1, 7]), ValueError, "got 7 twice"),
        (np.zeros((3, 2), np.uint8), np.array([7, 1, -7]), ValueError, "ids: expected >= 0"),
    ],
)
def test_wrong_codes_and_ids_are_refused(
    tmp_path: Path, codes: NDArray[Any], ids: NDArray[Any] | None, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        write_shard(tmp_path, codes, ids)


def test_a_filter_of_all_becomes_one_of_a_shard(tmp_path: Path) -> None:
    folder = tmp_path
    codes = np.zeros((4, 1), np.uint8)
    shards = [
        write_shard(folder, codes, np.array(ids))
        for ids in ([2, 4, 60, 80], [3, 5, 7, 61], [100, 101, 102, 103])
    ]
    shards.append(write_shard(folder, codes[:0]))
    manifest = ShardManifest(tuple(shards))
    every = [np.arange(12)[manifest.places(number)].tolist() for number in range(4)]
    assert every == [[0, 2, 5, 7], [1, 3, 4, 6], [8, 9, 10, 11], []]
    allow = manifest.filter_of(1, hashcore.Filter.allow(np.array([4])))
    assert repr(allow) == "Filter.allow(1 values)"
    mask = manifest.filter_of(1, hashcore.Filter.mask(np.arange(12) % 3 == 0))
    assert mask is not None
    assert mask._values.tolist() == [False, True, False, True]
    assert manifest.filter_of(1, None) is None
    with pytest.raises(ValueError, match=r"filter: expected bool \[12\], one a code; got bool"):
        manifest.filter_of(1, hashcore.Filter.mask(np.ones(4, bool)))
    with pytest.raises(TypeError, match=r"filter: expected bool \[12\], one a code; got float64"):
        manifest.filter_of(1, hashcore.Filter.mask(np.ones(12)))
    with pytest.raises(TypeError, match="filter: expected Filter"):
        manifest.filter_of(1, np.ones(12, bool))  # type: ignore[arg-type]
