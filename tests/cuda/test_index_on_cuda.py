"""An index whose searches run on a GPU answers as the CPU's does, whatever changes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
from hashcore import Filter, Index
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
