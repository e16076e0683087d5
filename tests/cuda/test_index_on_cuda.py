"""An index whose searches run on a GPU answers as the CPU's does, whatever changes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
from cuda_device import kernels_on_host
from hashcore import Filter, Index, _gpu_codes, _gpu_search
from hashcore._gpu import why_no_cuda
from reference import random_codes
from same_results import same


def codes(seed: int, count: int, bits: int = 65) -> NDArray[np.uint8]:
    return random_codes(np.random.default_rng(seed), count, bits)


def compare(there: Index, here: Index, filter: Filter | None = None) -> None:
    queries = codes(99, 4, here.bits)
    for k in (1, 20, len(here) + 2):
        same(there.search(queries, k, filter=filter), here.search(queries, k, filter=filter))
    for most in (None, 0, 5, 10**6):
        found = there.range_search(queries, 25, filter=filter, max_results=most)
        same(found, here.range_search(queries, 25, filter=filter, max_results=most))


def test_changes_are_seen(device: str, way: str) -> None:
    there = Index(65, device=device)
    here = there.to("cpu")
    assert (there.device, here.device) == ("cuda:0", "cpu")
    compare(there, here)
    there.add(codes(0, 300))
    compare(there, here)
    here.add(codes(1, 200), np.arange(200) * 7 + 1000)
    compare(there, here)
    there.remove(np.arange(3, 1100, 5))
    compare(there, here)
    with pytest.raises(ValueError, match="in the index already"):
        there.add(codes(2, 1), np.array([0]))
    compare(there, here, Filter.allow(np.arange(0, 3000, 7)))
    compare(there, here, Filter.deny(np.arange(-5, 3000, 2)))
    compare(there, here, Filter.mask(np.arange(len(here)) % 3 == 0))
    there.compact()
    compare(there, here)
    assert repr(there).endswith(", cuda:0)")


def test_an_image_grows_by_what_was_added(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes behind all others are brought; the others stay where they are, or move to more room."""
    there = Index.from_codes(codes(0, 300), bits=65, device=device)
    here = there.to("cpu")
    brought: list[tuple[int, int]] = []
    fill = _gpu_codes.ResidentCodes.fill

    def watched(self: Any, place: Any, first: int, read: Any) -> None:
        brought.append((first, self.count))
        fill(self, place, first, read)

    monkeypatch.setattr(_gpu_codes.ResidentCodes, "fill", watched)

    def search(expected: list[tuple[int, int]], tiles: int) -> None:
        compare(there, here)
        assert brought == expected
        assert there.stats()["device_bytes"] == tiles * 256 * 16
        brought.clear()

    search([(0, 300)], 2)
    there.add(codes(1, 100))
    here.add(codes(2, 100))
    search([(300, 500)], 2)
    there.add(codes(3, 13))
    search([(500, 513)], 4)  # twice the room
    there.add(codes(4, 1000), np.arange(1000) * 2 + 700)
    search([(513, 1513)], 8)
    there.add(codes(5, 4), np.array([3000, 2999, 2950, 2980]))
    search([(1513, 1517)], 8)
    there.add(codes(6, 2), np.array([3001, 699]))  # one between others
    search([(0, 1519)], 6)
    there.remove(np.array([4, 3001]))
    search([(0, 1517)], 6)
    assert there.remove(np.array([4, 12345])) == 0
    with pytest.raises(ValueError, match="in the index already"):
        there.add(codes(7, 2), np.array([5000, 0]))
    there.compact()
    search([], 6)


def test_a_search_keeps_the_codes_that_it_began_with(device: str) -> None:
    """What lies behind its codes, in the same memory, is none of its business."""
    index = Index.from_codes(codes(0, 100), bits=65, device=device)
    begun = index._gpu
    assert begun is not None
    index.search(codes(0, 4), 3)
    before = begun._image
    assert before is not None
    assert isinstance(before.codes, _gpu_codes.ResidentCodes)
    index.add(codes(0, 100))
    compare(index, index.to("cpu"))
    after = begun._image
    assert after is not None
    assert isinstance(after.codes, _gpu_codes.ResidentCodes)
    assert after.codes.tiles is before.codes.tiles
    place = _gpu_codes.find_place(0, {})
    assert [tiles.codes for tiles in before.codes.pieces(place)] == [100]
    assert [tiles.codes for tiles in after.codes.pieces(place)] == [200]


def test_an_image_without_room_to_grow(on_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.from_codes(codes(0, 512), bits=65, device="cuda")
    here = index.to("cpu")
    compare(index, here)
    kernels = SimpleNamespace(**vars(kernels_on_host()))
    monkeypatch.setattr(_gpu_codes, "cuda_kernels", lambda: kernels)
    for tiles_free, tiles in ((100, 4), (7, 5), (4, 0)):  # twice as much; what is needed; nothing
        kernels.free_memory = lambda device, free=tiles_free: free * 256 * 16
        index.add(codes(1, 512 if tiles == 4 else 256))
        compare(index, here)
        assert index.stats()["device_bytes"] == tiles * 256 * 16
        assert index.stats()["streamed"] == (tiles == 0)


@pytest.mark.parametrize("kind", ["flat", "mih"])
def test_files_and_kinds(kind: str, device: str, tmp_path: Path) -> None:
    here = Index(65, kind)  # type: ignore[arg-type]
    here.add(codes(0, 400), np.arange(400)[::-1] * 3)
    here.to(device).save(tmp_path / "codes.hci")
    for mmap in (False, True):
        compare(Index.load(tmp_path / "codes.hci", mmap=mmap, device=device), here)
    borrowed = Index.from_codes(codes(0, 400), bits=65, copy=False, device=device)
    compare(borrowed, borrowed.to("cpu"))
    assert Index(65, device=device).kind == "flat"


def test_stats_and_progress(device: str) -> None:
    index = Index.from_codes(codes(0, 300), bits=65, device=device)
    before = index.stats()
    assert (before["device"], before["device_bytes"], before["scan"]) == ("cuda:0", 0, None)
    seen: list[tuple[int, int]] = []
    index.search(codes(1, 4), 3, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (1200, 1200)
    after = index.stats()
    assert after["device_bytes"] == 512 * 16
    assert not after["streamed"]
    assert after["scan"] in ("popc", "b1")
    with pytest.raises(ValueError, match=r"threads: cuda:0 has none to set; got 2"):
        index.search(codes(1, 4), 3, threads=2)
    with pytest.raises(ZeroDivisionError):
        index.search(codes(1, 4), 3, progress=lambda done, total: 1 // 0)
    compare(index, index.to("cpu"))


@pytest.mark.parametrize("at_once", [2, 3, 100])
def test_progress_grows_to_the_total(
    device: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(_gpu_search, "MOST_QUERIES", at_once)
    index, queries = Index.from_codes(codes(0, 300), bits=65, device=device), codes(1, 7)
    for total, call in (
        (2100, partial(index.search, queries, 3)),
        (4200, partial(index.range_search, queries, 30)),  # hits are counted first
        (2100, partial(index.range_search, queries, 30, max_results=4)),
    ):
        seen: list[tuple[int, int]] = []
        call(progress=lambda *report: seen.append(report))  # noqa: B023
        assert seen[-1] == (total, total)
        assert {whole for _, whole in seen} == {total}
        assert seen == sorted(set(seen))


def test_shards_on_several_devices(on_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHCORE_TEST_DEVICES", "2")
    database, queries = codes(0, 500, 64), codes(1, 6, 64)
    shards = [Index(64, device=f"cuda:{i}") for i in range(2)]
    for i, shard in enumerate(shards):
        shard.add(database[i::2].copy(), np.arange(i, 500, 2))
    merged = hashcore.merge([shard.search(queries, 10) for shard in shards], 10)
    same(merged, hashcore.knn(database, queries, 10))


def test_searches_beside_each_other_and_changes(device: str) -> None:
    index = Index.from_codes(codes(0, 200), bits=65, device=device)
    expected = index.to("cpu").search(codes(1, 3), 5)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                found = index.search(codes(1, 3), 5, filter=Filter.allow(np.arange(200)))
                same(found, expected)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for first in range(200, 230, 10):
        index.add(codes(first, 10), np.arange(first, first + 10))
    for worker in workers:
        worker.join()
    assert not failures


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        ("gpu", ValueError, "device: expected 'cpu', 'cuda' or 'cuda:N'; got 'gpu'"),
        ("cuda:", ValueError, "device: expected 'cpu', 'cuda' or 'cuda:N'; got 'cuda:'"),
        ("cuda:-1", ValueError, "device: expected 'cpu', 'cuda' or 'cuda:N'; got 'cuda:-1'"),
        (1, TypeError, "device: expected 'cpu', 'cuda' or 'cuda:N'; got int."),
        ("cuda:1", RuntimeError, "CUDA: expected a device below cuda:1; got cuda:1"),
    ],
)
def test_wrong_devices(device: str, error: type[Exception], said: str, on_host: None) -> None:
    database = codes(0, 5, 64)
    index = Index.from_codes(database)
    calls: list[Callable[[], object]] = [
        lambda: hashcore.knn(database, database, 1, device=device),
        lambda: hashcore.range_search(database, database, 1, device=device),
        lambda: hashcore.distance_histogram(database, database, device=device),
        lambda: Index(64, device=device),
        lambda: index.to(device),
    ]
    for call in calls:
        with pytest.raises(error, match=f"^{re.escape(said)}$"):
            call()


@pytest.mark.skipif(why_no_cuda() is None, reason="there is a GPU")
def test_without_a_gpu_it_is_said_at_once() -> None:
    for call in (
        lambda: Index(64, device="cuda"),
        lambda: hashcore.knn(codes(0, 5, 64), codes(0, 5, 64), 1, device="cuda"),
    ):
        with pytest.raises(RuntimeError, match=r"^CUDA: .*use the CPU$"):
            call()


def test_wrong_arguments_are_told_as_on_the_cpu(on_host: None) -> None:
    database, queries = codes(0, 20, 64), codes(1, 3, 64)
    wrong = [
        (database.astype(np.float32), queries, 1, {}),
        (database, queries.astype(np.int8), 1, {}),
        (database, queries[:, :5], 1, {}),
        (database[::2], queries, 1, {}),
        (database, np.asfortranarray(queries), 1, {}),
        (database[0], queries, 1, {}),
        (database, queries, -1, {}),
        (database, queries, 1.5, {}),
        (database, queries, True, {}),
        (database, queries, 1, {"max_distance": -1}),
        (database, queries, 1, {"filter": Filter.allow(np.array([1.5]))}),
        (database, queries, 1, {"filter": Filter.mask(np.array([1, 0]))}),
        (database, queries, 1, {"filter": Filter.mask(np.array([True]))}),
        (database, queries, 1, {"filter": "none"}),
    ]
    for a, b, k, more in wrong:
        with pytest.raises((TypeError, ValueError)) as here:
            hashcore.knn(a, b, k, **more)  # type: ignore[arg-type]
        with pytest.raises(here.type) as there:
            hashcore.knn(a, b, k, device="cuda", **more)  # type: ignore[arg-type]
        assert str(there.value) == str(here.value)
    with pytest.raises(ValueError, match=r"^threads: cuda has none to set; got 3"):
        hashcore.knn(database, queries, 1, threads=3, device="cuda")
    padded = np.full((2, 9), 255, np.uint8)
    with pytest.raises(ValueError, match="row 0 has bits set past bit 64"):
        Index(65, device="cuda").search(padded, 1)


def test_too_little_memory_leaves_all_usable(
    on_host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is refused, everything else is given back: the same search works later."""
    index = Index.from_codes(codes(0, 900), bits=65, device="cuda")
    queries = codes(1, 4)
    expected = index.to("cpu").search(queries, 30)
    said = re.compile(r"CUDA: expected \d+ MiB for [a-z ]+ on device 0, which has \d+ MiB free; ")
    refused: list[str] = []
    for limit in range(0, 400_000, 9_000):
        monkeypatch.setenv("HASHCORE_TEST_DEVICE_MEMORY", str(limit))
        try:
            same(index.search(queries, 30), expected)
        except RuntimeError as error:
            refused.append(str(error))
    assert 5 < len(refused) < 40
    assert all(said.match(message) and "\n" not in message for message in refused)
    monkeypatch.delenv("HASHCORE_TEST_DEVICE_MEMORY")
    same(index.search(queries, 30), expected)
