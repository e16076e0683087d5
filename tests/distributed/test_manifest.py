"""The file that lists the shards of an index."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashcore
import reference
from hashcore import FormatError
from hashcore.distributed import Shard, ShardManifest, manifest, write_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards with interleaved ids, one of them empty, and their manifest."""
    path = tmp_path / "index"
    codes = reference.random_codes(np.random.default_rng(0), 100, 40)
    shards = [
        write_shard(path, codes[::2].copy(), np.arange(0, 100, 2)),
        write_shard(path, codes[1::2].copy(), np.arange(1, 100, 2)),
        write_shard(path, codes[:0]),
    ]
    ShardManifest(tuple(shards)).save(path / "shards.json")
    return path


def test_comes_back_as_it_was_saved(folder: Path) -> None:
    found = ShardManifest.load(folder)
    assert found == ShardManifest.load(folder / "shards.json", verify=False)
    assert found == ShardManifest.of(shard.path for shard in found.shards)
    assert (found.bits, found.codes) == (40, 100)
    assert [(s.first_id, s.last_id) for s in found.shards] == [(0, 98), (1, 99), (None, None)]


def test_moves_with_its_folder_and_names_what_lies_elsewhere(folder: Path, tmp_path: Path) -> None:
    far = write_shard(tmp_path / "far", np.zeros((3, 5), np.uint8), np.arange(200, 203))
    shards = ShardManifest.load(folder).shards
    ShardManifest((*shards, far)).save(folder / "shards.json")
    moved = folder.rename(tmp_path / "moved")
    found = ShardManifest.load(moved).shards
    assert [shard.path.parent for shard in found] == [moved] * 3 + [far.path.parent]
    assert "/" not in json.loads((moved / "shards.json").read_text())["shards"][0]["path"]


@pytest.mark.parametrize("verify", [True, False])
def test_a_missing_shard_is_named(folder: Path, verify: bool) -> None:
    path = ShardManifest.load(folder).shards[1].path
    path.unlink()
    message = re.escape(f"{path}: expected a shard of 50 codes; got no file. ")
    with pytest.raises(FileNotFoundError, match=message):
        ShardManifest.load(folder, verify=verify)


def test_a_damaged_shard_is_named(folder: Path) -> None:
    path = ShardManifest.load(folder).shards[1].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"{path}: expected sha256"):
        ShardManifest.load(folder)
    path.write_bytes(content[:-1])
    with pytest.raises(FormatError, match=rf"{path}: expected bytes {len(content)}; got"):
        ShardManifest.load(folder, verify=False)


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edited(file: Path) -> None:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return edited


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "expected a manifest of shards in JSON; got "),
        (lambda file: file.write_bytes(b"\xff\xfe"), "expected a manifest of shards in JSON; got "),
        (lambda file: file.write_text("[]"), 'with the format "hashcore.shards"; got another'),
        (edit(lambda c: c.update(format="x")), 'with the format "hashcore.shards"; got another'),
        (edit(lambda c: c.update(version=2)), "expected version 1; got 2"),
        (
            edit(lambda c: c["shards"][0].update(codes=49)),
            r"expected shards of sha256 \w+; got \w+",
        ),
        (edit(lambda c: c["shards"].pop()), r"expected shards of sha256 \w+; got \w+"),
        (edit(lambda c: c.pop("shards")), r"expected shards of sha256 \w+; got \w+"),
    ],
)
def test_a_damaged_manifest_is_refused(
    folder: Path, change: Callable[[Path], None], message: str
) -> None:
    file = folder / "shards.json"
    change(file)
    with pytest.raises(FormatError, match=re.escape(str(file)) + ": .*" + message):
        ShardManifest.load(folder)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"shards\.json: expected a manifest of shards"):
        ShardManifest.load(tmp_path)


def test_shards_that_are_no_index_together(tmp_path: Path) -> None:
    narrow = write_shard(tmp_path, np.zeros((2, 1), np.uint8))
    wide = write_shard(tmp_path, np.zeros((2, 2), np.uint8), np.arange(2, 4))
    with pytest.raises(
        ValueError, match=f"{wide.path}: expected codes of 8 bits, as in .*; got 16"
    ):
        ShardManifest((narrow, wide))
    with pytest.raises(ValueError, match="expected different files; got one twice"):
        ShardManifest((narrow, narrow))
    with pytest.raises(ValueError, match="shards: expected at least one; got none"):
        ShardManifest(())


@pytest.mark.parametrize("ids_at_a_time", [1 << 27, 30])
def test_an_id_in_two_shards_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids_at_a_time: int
) -> None:
    monkeypatch.setattr(manifest, "_IDS_AT_A_TIME", ids_at_a_time)
    codes = np.zeros((50, 2), np.uint8)

    def shard(*ids: int) -> Shard:
        return write_shard(tmp_path, codes[: len(ids)], np.array(ids))

    even, odd, far = shard(*range(0, 100, 2)), shard(*range(1, 101, 2)), shard(*range(200, 210))
    ShardManifest((even, far, odd)).check_ids()
    for again, twice in (
        (shard(1, 4), {4}),
        (shard(7, 8, 201), {8, 201}),
        (shard(209), {209}),
    ):
        with pytest.raises(ValueError, match="ids: expected each in one shard; got") as refused:
            ShardManifest((even, far, again)).check_ids()
        got = re.search(r"got (\d+) in (\S+) and (\S+)\.$", str(refused.value))
        assert got is not None
        assert int(got[1]) in twice
        assert str(again.path) == got[3]
        assert int(got[1]) in hashcore.Index.load(got[2])
    with pytest.raises(ValueError, match="ids: expected each in one shard; got 4 in"):
        ShardManifest.of([even.path, shard(1, 4).path])


def test_ranges_apart_are_not_read(tmp_path: Path) -> None:
    codes = np.zeros((2, 1), np.uint8)
    shards = [write_shard(tmp_path, codes, np.array([n, n + 1])) for n in (0, 2, 4)]
    for shard in shards:
        shard.path.unlink()
    ShardManifest(tuple(shards)).check_ids()


def test_a_kill_leaves_the_old_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ShardManifest.load(folder)

    def no_rename(self: Path, target: Path) -> Path:
        raise OSError("killed")

    monkeypatch.setattr(Path, "replace", no_rename)
    with pytest.raises(OSError, match="killed"):
        ShardManifest(found.shards[:1]).save(folder / "shards.json")
    assert ShardManifest.load(folder) == found
    assert hashcore.Index.load(found.shards[0].path).bits == 40
