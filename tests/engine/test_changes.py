"""What an index does when codes go, come between others, or belong to somebody else."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference

BITS = 64


def codes_of(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return reference.random_codes(np.random.default_rng(seed), count, BITS)


def owned(path: Path) -> hashcore.Index:
    index = hashcore.Index(BITS)
    index.add(codes_of(100), np.arange(0, 200, 2))
    return index


def mapped(path: Path) -> hashcore.Index:
    owned(path).save(path / "codes.hci")
    return hashcore.Index.load(path / "codes.hci", mmap=True)


def borrowed(path: Path) -> hashcore.Index:
    return hashcore.Index.from_codes(codes_of(100), np.arange(0, 200, 2), copy=False)


@pytest.fixture(params=[owned, mapped, borrowed], ids=lambda make: make.__name__)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> hashcore.Index:
    """Codes codes_of(100) under the even ids to 198."""
    made: hashcore.Index = request.param(tmp_path)
    return made


def everything(index: hashcore.Index) -> tuple[Any, ...]:
    """What shows of an index, but for the room that it may have made for more."""
    found = index.search(codes_of(7, seed=9), 1000)
    stats = index.stats()
    return (
        index.ids.tolist(),
        index.get(index.ids).tobytes(),
        found.distances.tobytes(),
        found.ids.tobytes(),
        [stats[name] for name in ("kind", "codes", "removed", "delta", "mapped")],
    )


def test_removed_codes_are_gone(index: hashcore.Index) -> None:
    assert index.remove(np.array([10, 4, 10, 5, 4, 2**62])) == 2
    assert index.remove(np.array([10])) == 0
    assert index.remove(np.array([], np.int64)) == 0
    assert len(index) == 98
    assert 10 not in index
    assert 4 not in index.ids
    with pytest.raises(KeyError, match="id 10 is not in the index"):
        index.get(np.array([8, 10]))
    hit = codes_of(100)[5]
    assert 10 not in index.search(hit, 1000).ids
    assert 10 not in index.range_search(hit, BITS).ids
    assert index.stats()["removed"] == 2


def test_a_removed_id_comes_back_with_its_new_code(index: hashcore.Index) -> None:
    new = ~codes_of(100)[5:6]
    for _ in range(3):
        assert index.remove(np.array([10])) == 1
        assert index.add(new, np.array([10])).tolist() == [10]
        np.testing.assert_array_equal(index.get(np.array([10])), new)
        assert index.search(new, 1).distances.tolist() == [[0]]
        with pytest.raises(ValueError, match="10 is in the index already"):
            index.add(new, np.array([10]))
        assert len(index) == 100
    index.compact()
    np.testing.assert_array_equal(index.get(np.array([10])), new)


def test_automatic_ids_never_go_back(index: hashcore.Index, tmp_path: Path) -> None:
    index.remove(index.ids)
    assert len(index) == 0
    assert index.search(codes_of(1), 3).ids.tolist() == [[-1, -1, -1]]
    index.compact()
    assert len(index) == 0
    index.save(tmp_path / "empty.hci")
    index = hashcore.Index.load(tmp_path / "empty.hci")
    assert index.add(codes_of(2)).tolist() == [199, 200]
    index.remove(np.array([200]))
    assert index.add(codes_of(1)).tolist() == [201]


@pytest.mark.parametrize(
    "change",
    [
        lambda index, give_up: index.compact(progress=give_up),
        lambda index, give_up: index.add(codes_of(2), np.array([1, 3]), progress=give_up),
        lambda index, give_up: index.add(codes_of(2), progress=give_up),
        lambda index, _: index.remove(np.array([2, 4, -1])),
        lambda index, _: index.add(codes_of(2), np.array([7, 8])),
    ],
)
def test_a_change_that_fails_changes_nothing(index: hashcore.Index, change: Any) -> None:
    index.add(codes_of(3, seed=1), np.array([11, 5, 21]))
    index.remove(np.array([0, 11, 100]))
    before = everything(index)

    def give_up(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises((RuntimeError, ValueError), match=r"enough|>= 0; got -1|8 is in the index"):
        change(index, give_up)
    assert everything(index) == before


def test_compaction_stops_half_way() -> None:
    index = hashcore.Index.from_codes(np.zeros((10_000_000, 8), np.uint8), copy=False)
    index.remove(np.arange(0, 10_000_000, 1000))
    before = everything(index)
    shares = []

    def give_up(done: int, total: int) -> None:
        shares.append(done / total)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        index.compact(progress=give_up)
    assert len(shares) == 1
    assert shares[0] < 1
    assert everything(index) == before


def test_progress_counts_the_pairs_of_both_parts(index: hashcore.Index) -> None:
    index.add(codes_of(10), np.arange(1, 21, 2))
    calls: list[tuple[int, int]] = []
    index.search(codes_of(3), progress=lambda *call: calls.append(call))
    assert calls == [(330, 330)]
    index.range_search(codes_of(3), 5, progress=lambda *call: calls.append(call))
    assert calls == [(330, 330)] * 2
    index.compact(progress=lambda *call: calls.append(call))
    assert calls[-1] == (110, 110)


def test_a_clean_index_is_left_alone(index: hashcore.Index) -> None:
    before = index.stats()
    index.compact()
    assert index.stats() == before
    index.add(codes_of(1), np.array([7]))
    index.remove(np.array([7]))
    index.compact()
    assert index.stats() == before


def test_stats(tmp_path: Path) -> None:
    index = mapped(tmp_path)
    index.add(codes_of(8), np.arange(1, 17, 2))
    index.remove(np.array([0, 1]))
    stats = index.stats()
    assert stats == {
        "kind": "flat",
        "bits": 64,
        "codes": 106,
        "removed": 2,
        "delta": 7,
        "bytes": index.nbytes,
        "bytes_per_code": index.nbytes / 106,
        "mapped": True,
        "device": "cpu",
    }
    index.compact()
    assert index.stats()["mapped"] is False
    assert 106 * 16 <= index.nbytes <= 106 * 16 + 64
    assert hashcore.Index(8).stats()["bytes_per_code"] == 0.0


def seconds_a_removal(count: int) -> float:
    """The rows are zeros that nobody touches, so that they take no memory."""
    index = hashcore.Index.from_codes(np.zeros((count, 8), np.uint8), copy=False)
    ids = np.unique(np.random.default_rng(0).integers(0, count, 2000)).reshape(-1, 1)
    start = time.perf_counter()
    for id in ids:
        index.remove(id)
    elapsed = time.perf_counter() - start
    assert len(index) == count - len(ids)
    return elapsed / len(ids)


def test_removing_takes_no_time_in_proportion_to_the_codes() -> None:
    """A pass over the bitmap alone would take a hundred times as long at the larger size."""
    small, large = (
        min(seconds_a_removal(count) for _ in range(3)) for count in (4_000, 40_000_000)
    )
    assert large < 15 * small


def test_reading_while_codes_come_and_go() -> None:
    index = hashcore.Index(BITS)
    index.add(codes_of(20_000))
    coming = np.arange(30_000, 40_000)
    queries = codes_of(20, seed=1)
    done = threading.Event()
    failures: list[str] = []

    def change() -> None:
        for _ in range(15):
            index.add(codes_of(10_000, seed=2), coming)
            index.add(codes_of(1, seed=3), np.array([25_000]))
            index.remove(coming)
            index.remove(np.array([25_000]))
            index.compact()
        done.set()

    def read() -> None:
        while not done.is_set():
            found = index.search(queries, 50)
            if not (np.diff(found.distances) >= 0).all() or not (found.counts == 50).all():
                failures.append("order")
            if len(index) not in (20_000, 20_001, 30_000, 30_001):
                failures.append("size")

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    change()
    for thread in threads:
        thread.join()
    assert failures == []
    assert index.ids.tolist() == list(range(20_000))


def test_borrowed_codes_are_searched_where_they_are(tmp_path: Path) -> None:
    codes = codes_of(5000)
    np.save(tmp_path / "codes.npy", codes)
    on_disk = np.load(tmp_path / "codes.npy", mmap_mode="r")
    index = hashcore.Index.from_codes(on_disk, copy=False)
    assert index.nbytes == codes.nbytes
    copied = hashcore.Index.from_codes(codes)
    assert everything(index) == everything(copied)
    for each in (index, copied):
        each.save(tmp_path / "saved.hci")
        assert everything(hashcore.Index.load(tmp_path / "saved.hci")) == everything(each)
        each.remove(np.arange(0, 5000, 3))
        each.add(codes_of(10, seed=4), np.arange(0, 30, 3))
    assert everything(index) == everything(copied)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), codes)


@pytest.mark.parametrize("bits", [1, 24, 100, 129, 4096])
def test_borrowed_codes_are_saved_as_owned_ones_are(tmp_path: Path, bits: int) -> None:
    """Several chunks of a file, of which none ends with a block of codes."""
    count = 1001 if bits < 4096 else 20_001
    codes = reference.random_codes(np.random.default_rng(0), count, bits)
    files = []
    for copy in (False, True):
        index = hashcore.Index.from_codes(codes, bits=bits, copy=copy)
        index.save(tmp_path / "f")
        files.append((tmp_path / "f").read_bytes())
    assert files[0] == files[1]


def test_borrowed_codes_live_as_long_as_they_are_needed() -> None:
    codes = codes_of(1000)
    truth = codes.copy()
    freed: list[int] = []
    index = hashcore.Index.from_codes(codes, copy=False)
    # What the last owner's end sets off may use the index that let go.
    weakref.finalize(codes, lambda: freed.append(len(index)))
    del codes
    gc.collect()
    np.testing.assert_array_equal(index.get(index.ids), truth)
    index.remove(np.array([0]))
    assert freed == []
    index.compact()
    assert freed == [999]
    np.testing.assert_array_equal(index.get(index.ids), truth[1:])


def test_borrowed_codes_that_were_none_are_let_go() -> None:
    codes = np.empty((0, 8), np.uint8)
    freed: list[int] = []
    index = hashcore.Index.from_codes(codes, copy=False)
    weakref.finalize(codes, lambda: freed.append(len(index)))
    del codes
    gc.collect()
    assert freed == []
    index.add(codes_of(5))
    assert freed == [5]


def from_codes(*args: Any, **options: Any) -> Callable[[], object]:
    return lambda: hashcore.Index.from_codes(*args, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (from_codes([[1]]), TypeError, r"codes: expected uint8 \[n, bytes\]; got list"),
        (from_codes(np.zeros(8, np.uint8)), TypeError, r"codes: .*got uint8 \[8\]"),
        (from_codes(np.zeros((2, 8))), TypeError, r"codes: expected uint8.*got float64"),
        (from_codes(np.zeros((2, 8)), copy=False), TypeError, r"uint8.*got float64"),
        (from_codes(np.zeros((2, 0), np.uint8)), ValueError, r"bits: expected 1\.\.65536; got 0"),
        (from_codes(codes_of(2), bits=70), ValueError, r"expected uint8 \[n, 9\]"),
        (from_codes(codes_of(2), bits=70, copy=False), ValueError, r"expected uint8 \[n, 9\]"),
        (from_codes(codes_of(4)[::2], copy=False), ValueError, "C-contiguous"),
        (
            from_codes(codes_of(2), kind="tree"),
            ValueError,
            "kind: expected 'flat', 'mih' or 'auto'",
        ),
        (
            from_codes(codes_of(2), kind="tree", copy=False),
            ValueError,
            "kind: expected 'flat' or 'auto' with copy=False; got 'tree'",
        ),
        (
            from_codes(codes_of(3), np.array([1, 7, 3]), copy=False),
            ValueError,
            r"ascending ids with copy=False \(else use copy=True\); got 3 after 7",
        ),
        (
            from_codes(codes_of(2), np.array([5, 5]), copy=False),
            ValueError,
            "got 5 after 5",
        ),
        (from_codes(codes_of(2), np.array([-1, 5]), copy=False), ValueError, ">= 0"),
        (from_codes(codes_of(2), np.array([3]), copy=False), ValueError, r"ids: .*int64 \[2\]"),
        (
            lambda: hashcore.Index(8).remove(np.array([1.0])),
            TypeError,
            r"ids: expected int64 \[n\]; got float64 \[1\]",
        ),
        (lambda: hashcore.Index(8).remove(np.array([3, -1])), ValueError, ">= 0; got -1"),
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
