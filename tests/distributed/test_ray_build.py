"""Shards built by tasks of a local Ray, of arrays, mapped files and Datasets."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import ray.data
from numpy.typing import NDArray

import hashcore
import reference
from code_blocks import blocks_of
from conftest import REPOSITORY
from distributed.partitions import assert_same, parts
from hashcore.distributed import ShardManifest, merge, search_shard
from hashcore.distributed.ray import _build, build

pytestmark = pytest.mark.usefixtures("cluster")

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]


def mapped(folder: Path, rows: NDArray[Any], name: str) -> NDArray[Any]:
    np.save(folder / f"{name}.npy", rows)
    found: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return found


def some(count: int, bits: int = 32) -> Codes:
    return reference.random_codes(np.random.default_rng(count), count, bits)


def same_as_one_index(manifest: ShardManifest, codes: Codes, ids: Ids | None = None) -> None:
    whole = hashcore.Index(manifest.bits)
    whole.add(codes, ids)
    queries = some(4, manifest.bits)
    found = [search_shard(shard, queries, 20) for shard in manifest.shards]
    assert_same(parts(merge(found, 20)), parts(whole.search(queries, 20)))
    assert manifest.codes == len(codes)


def files_of(folder: Path) -> dict[str, int]:
    """Names and the moments when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("given", ["memory", "mapped", "part of a mapped file"])
def test_arrays(tmp_path: Path, given: str) -> None:
    codes, ids = some(500), np.random.default_rng(0).permutation(2000)[:500].astype(np.int64)
    taken = (codes, ids)
    if given != "memory":
        taken = (mapped(tmp_path, codes, "codes"), mapped(tmp_path, ids, "ids"))
    if given == "part of a mapped file":
        taken, codes, ids = (taken[0][17:419], taken[1][17:419]), codes[17:419], ids[17:419]
    told: list[tuple[int, int]] = []
    manifest = build(
        taken[0],
        tmp_path / "index",
        ids=taken[1],
        codes_per_shard=150,
        kind="flat",
        progress=lambda done, total: told.append((done, total)),
    )
    same_as_one_index(manifest, codes, ids)
    assert ShardManifest.load(tmp_path / "index") == manifest
    sizes = [shard.codes for shard in manifest.shards]
    assert len(sizes) == -(-len(codes) // 150)
    assert max(sizes) - min(sizes) <= 1
    assert all(after > before for (before, _), (after, _) in itertools.pairwise(told))
    assert (told[-1], len(told)) == ((len(codes), len(codes)), len(sizes))
    assert {shard.open().kind for shard in manifest.shards} == {"flat"}


def test_mapped_rows_are_not_sent(tmp_path: Path) -> None:
    rows = np.arange(3000, dtype=np.int64).reshape(-1, 3)
    on_disk = mapped(tmp_path, rows, "rows")
    for part in (slice(0, 1000), slice(13, 400), slice(994, 995)):
        for view in (on_disk[part], on_disk[5:][part]):
            sent = _build._sent(view)
            assert isinstance(sent, _build._Mapped)
            assert sent.rows().tobytes() == view.tobytes()
    raw = np.memmap(tmp_path / "raw", np.uint8, "w+", offset=100, shape=(50, 4))
    raw[:] = np.arange(200).reshape(50, 4)
    sent = _build._sent(raw[20:30])
    assert isinstance(sent, _build._Mapped)
    assert sent.rows().tobytes() == raw[20:30].tobytes()
    own = np.load(tmp_path / "rows.npy", mmap_mode="c")  # what is written to it is in no file
    for view in (own[3:9], on_disk[:, 1], on_disk[::2], rows[3:9], np.array(on_disk)):
        assert _build._sent(view) is view


def test_no_code_at_all(tmp_path: Path) -> None:
    manifest = build(np.empty((0, 4), np.uint8), tmp_path / "index")
    assert (manifest.codes, manifest.bits, len(manifest.shards)) == (0, 32, 1)
    assert search_shard(manifest.shards[0], np.zeros(4, np.uint8), 2).counts == 0


class StoppedError(Exception):
    pass


def test_a_build_that_was_stopped_goes_on(tmp_path: Path) -> None:
    codes, folder = some(400), tmp_path / "index"

    def stop(done: int, total: int) -> None:
        if done >= 200:
            raise StoppedError

    with pytest.raises(StoppedError):
        build(codes, folder, codes_per_shard=100, progress=stop)
    there = files_of(folder)
    assert len(there) >= 2
    assert "shards.json" not in there
    same_as_one_index(build(codes, folder, codes_per_shard=100), codes)
    after = files_of(folder)
    assert {name: after[name] for name in there} == there
    assert len(after) == 5
    again = build(codes, folder, codes_per_shard=100)
    assert again == ShardManifest.load(folder)
    assert {n: t for n, t in files_of(folder).items() if n != "shards.json"} == {
        n: t for n, t in after.items() if n != "shards.json"
    }


def test_ctrl_c_stops_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"

    def endless(*args: Any, **settings: Any) -> None:
        import time

        name = started.with_name(f"started{os.getpid()}")
        name.touch()
        try:
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            name.rename(started.with_name(f"stopped{os.getpid()}"))
            raise

    def interrupt() -> None:
        while not list(tmp_path.glob("started*")):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_build, "_write", endless)
    waiting = threading.Thread(target=interrupt)
    waiting.start()
    with pytest.raises(KeyboardInterrupt):
        build(some(100), tmp_path / "index", codes_per_shard=50)
    waiting.join()
    monkeypatch.undo()
    same_as_one_index(build(some(100), tmp_path / "index", codes_per_shard=50), some(100))
    assert list(tmp_path.glob("stopped*"))
    assert not list(tmp_path.glob("started*"))


def test_a_task_that_is_killed_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = _build._write

    def killed_once(*args: Any, **settings: Any) -> Any:
        try:
            (tmp_path / "killed").mkdir()
        except FileExistsError:
            return write(*args, **settings)
        return os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(_build, "_write", killed_once)
    codes = some(100)
    same_as_one_index(build(codes, tmp_path / "index", codes_per_shard=50), codes)
    assert (tmp_path / "killed").is_dir()


def test_a_new_index_takes_the_place_of_the_old(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    old = build(some(90), folder, codes_per_shard=30)
    (folder / "shard-notes.hci").write_text("not ours")
    with pytest.raises(ValueError, match=r"ids: expected a different one .* got 0 twice"):
        build(some(60), folder, ids=np.zeros(60, np.int64), codes_per_shard=30)
    assert ShardManifest.load(folder) == old
    new = build(some(60), folder, codes_per_shard=30)
    assert ShardManifest.load(folder) == new
    names = {"shards.json", "shard-notes.hci"} | {shard.path.name for shard in new.shards}
    assert set(files_of(folder)) == names


@pytest.fixture
def rows() -> tuple[Codes, Ids]:
    return some(500), np.random.default_rng(0).permutation(5000)[:500].astype(np.int64)


def dataset(codes: Any, ids: Any, blocks: int = 3) -> Any:
    return ray.data.from_items(
        [{"id": i, "codes": c, "other": "x"} for c, i in zip(codes, ids, strict=True)],
        override_num_blocks=blocks,
    )


def test_datasets(tmp_path: Path, rows: tuple[Codes, Ids]) -> None:
    codes, ids = rows
    told: list[tuple[int, int]] = []
    manifest = build(
        dataset(codes, ids),
        tmp_path / "index",
        ids="id",
        codes_per_shard=120,
        progress=lambda done, total: told.append((done, total)),
    )
    same_as_one_index(manifest, codes, ids)
    assert sorted(shard.codes for shard in manifest.shards) == [20, 120, 120, 120, 120]
    assert told[-1] == (500, 0)
    table = pyarrow.table(
        {"id": ids, "of": pyarrow.array(codes.tolist(), pyarrow.list_(pyarrow.uint8()))}
    )
    lists = ray.data.from_arrow(table)
    again = build(lists, tmp_path / "again", ids="id", column="of", codes_per_shard=1000)
    same_as_one_index(again, codes, ids)


def no_rows(codes: Codes, ids: Ids) -> Any:
    return dataset(codes, ids).limit(0)


def ragged(codes: Codes, ids: Ids) -> Any:
    return dataset([row[: 2 + i % 2] for i, row in enumerate(codes)], ids)


def floats(codes: Codes, ids: Ids) -> Any:
    return dataset(codes.astype(np.float32), ids)


def names_as_ids(codes: Codes, ids: Ids) -> Any:
    return dataset(codes, [str(i) for i in ids])


def ids_twice(codes: Codes, ids: Ids) -> Any:
    return dataset(codes, ids % 400)


def without_codes(codes: Codes, ids: Ids) -> Any:
    return dataset(codes, ids).drop_columns(["codes"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (no_rows, ValueError, "codes: expected a Dataset of at least one row; got none"),
        (ragged, TypeError, r"codes: expected uint8 \[n, bytes\]; got object \[\d+\]"),
        (floats, TypeError, r"codes: expected uint8 \[n, bytes\]; got float32 \[\d+, 4\]"),
        (names_as_ids, TypeError, r"ids: expected int64 \[\d+\]; got (object|<U\d+) \[\d+\]"),
        (ids_twice, ValueError, r"ids: expected .* got \d+ "),
        (without_codes, Exception, "codes"),
    ],
)
def test_datasets_that_are_refused(
    tmp_path: Path,
    rows: tuple[Codes, Ids],
    make: Callable[[Codes, Ids], Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        build(make(*rows), tmp_path / "index", ids="id", codes_per_shard=300)
    assert not (tmp_path / "index" / "shards.json").exists()


@pytest.mark.parametrize(
    ("codes", "options", "error", "message"),
    [
        (np.zeros((3, 2)), {}, TypeError, r"codes: expected uint8 \[n, bytes\]; got float64"),
        ([[1, 2]], {}, TypeError, r"codes: expected uint8 .* or a ray\.data\.Dataset; got list"),
        (some(9), {"codes_per_shard": 0}, ValueError, "codes_per_shard: expected >= 1; got 0"),
        (some(9), {"threads": 1.5}, TypeError, "threads: expected an integer; got float"),
        (some(9), {"ids": np.arange(8)}, ValueError, r"ids: expected int64 \[9\]; got int64 \[8\]"),
        (some(9), {"ids": np.arange(9.0)}, TypeError, r"ids: expected int64 \[9\]; got float64"),
        (some(9), {"ids": "id"}, TypeError, r"ids: expected int64 \[9\]; got str"),
        (some(9), {"column": "codes"}, ValueError, "column: an array has none; got 'codes'"),
        (some(9), {"bits": 80}, ValueError, "codes: expected"),
        (some(9), {"kind": "flat", "tables": 3}, ValueError, "tables: kind 'flat' has none"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, codes: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as refused:
        build(codes, tmp_path / "index", **options)
    assert "\n" not in str(refused.value)


def test_a_dataset_needs_ids(tmp_path: Path, rows: tuple[Codes, Ids]) -> None:
    for ids in (None, rows[1]):
        with pytest.raises(TypeError, match="ids: expected the name of the Dataset's column"):
            build(dataset(*rows), tmp_path / "index", ids=ids)


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = REPOSITORY / "docs" / "how-to" / "many-machines.md"
    [block] = [block.code for block in blocks_of(page) if "ShardedIndex" in block.code]
    monkeypatch.chdir(tmp_path)
    codes = some(300)
    np.save("codes.npy", codes)
    names: dict[str, Any] = {"np": np, "queries": codes[:5]}
    exec(compile(block, str(page), "exec"), names)
    assert_same((names["distances"], names["ids"]), hashcore.knn(codes, codes[:5], 10))
