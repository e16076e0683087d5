from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashcore
import reference


def filled(count: int = 100, bits: int = 64) -> hashcore.Index:
    index = hashcore.Index(bits)
    index.add(reference.random_codes(np.random.default_rng(0), count, bits))
    return index


@given(st.integers(1, 200), st.integers(0, 90))
def test_get_returns_what_was_added(bits: int, count: int) -> None:
    codes = reference.random_codes(np.random.default_rng(bits), count, bits)
    index = hashcore.Index(bits)
    for start in range(0, count, 13):
        index.add(codes[start : start + 13])
    order = np.random.default_rng(0).permutation(count)
    np.testing.assert_array_equal(index.get(order), codes[order])


def test_large_user_ids_and_results() -> None:
    ids = np.array([2**62, 5, 2**40], np.int64)
    codes = np.array([[255], [254], [0]], np.uint8)
    index = hashcore.Index(8)
    assert index.add(codes, ids).tolist() == ids.tolist()
    assert index.search(codes[0], 3).ids.tolist() == [2**62, 5, 2**40]
    assert index.range_search(codes[0], 1).ids.tolist() == [2**62, 5]
    assert index.add(codes[:1]).tolist() == [2**62 + 1]


def test_ties_are_ordered_by_id_not_by_insertion() -> None:
    codes = np.zeros((6, 8), np.uint8)
    index = hashcore.Index(64)
    index.add(codes[:3], np.array([30, 10, 20]))
    index.add(codes[:3], np.array([25, 5, 15]))
    assert index.search(codes[0], 4).ids.tolist() == [5, 10, 15, 20]


def test_one_row_and_no_rows() -> None:
    index = hashcore.Index(12)
    assert index.add(np.array([1, 16], np.uint8)).tolist() == [0]
    assert index.add(np.empty((0, 2), np.uint8)).tolist() == []
    assert index.get(np.array([0])).tolist() == [[1, 16]]
    assert index.search(np.array([1, 16], np.uint8), 1).distances.tolist() == [0]


def test_properties_and_repr() -> None:
    index = filled(1000)
    assert (index.bits, index.kind, len(index)) == (64, "flat", 1000)
    assert 8 * 1000 <= index.nbytes <= 2 * 8 * 1000
    assert 999 in index
    assert 1000 not in index
    assert -1 not in index
    assert 2**70 not in index
    assert repr(index) == "Index(bits=64, kind='flat', codes=1,000, 0.0 MiB)"
    assert hashcore.Index(64, kind="auto").kind == "flat"


def test_progress_ends_at_the_total() -> None:
    index = filled(10)
    calls: list[tuple[int, int]] = []
    index.add(
        np.zeros((100, 8), np.uint8), progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (100, 100)
    index.search(
        np.zeros((3, 8), np.uint8), progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (330, 330)


def test_an_exception_in_progress_leaves_the_index_as_it_was() -> None:
    index = filled(11)
    before = index.get(index.ids)

    def give_up(done: int, total: int) -> None:
        raise RuntimeError("enough")

    codes = np.ones((4_000_000, 8), np.uint8)
    for count in (1, 10, 4_000_000):
        for ids in (None, np.arange(count)[::-1] + 2**40, np.arange(count) + 2**40):
            with pytest.raises(RuntimeError, match="enough"):
                index.add(codes[:count], ids, progress=give_up)
            np.testing.assert_array_equal(index.ids, np.arange(11))
            np.testing.assert_array_equal(index.get(index.ids), before)
    assert index.add(codes[:2]).tolist() == [11, 12]


def test_reading_while_another_thread_adds() -> None:
    index = filled(8)
    codes = np.ones((20_000, 8), np.uint8)
    sizes = []

    def add() -> None:
        for _ in range(100):
            index.add(codes, progress=lambda done, total: None)

    writer = threading.Thread(target=add)
    writer.start()
    while writer.is_alive():
        ids = index.ids
        assert (ids == np.arange(len(ids))).all()
        sizes.append(len(index))
        assert 3 in index
        assert index.get(np.array([7])).shape == (1, 8)
        assert "codes=" in repr(index)
    writer.join()
    assert sizes == sorted(sizes)
    assert len(index) == 8 + 100 * 20_000


def test_a_writer_gets_in_between_endless_searches() -> None:
    index = filled(50_000)
    queries = index.get(np.arange(64))
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            index.search(queries, 3, threads=1)

    readers = [threading.Thread(target=search) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(5):
            index.add(queries)
    finally:
        stop.set()
    for reader in readers:
        reader.join()
    assert len(index) == 50_000 + 5 * 64


def test_an_index_is_not_used_from_inside_its_own_progress() -> None:
    index = filled(10)
    with pytest.raises(RuntimeError, match="inside its own progress callback"):
        index.add(np.zeros((1, 8), np.uint8), progress=lambda done, total: len(index))
    other = filled(20)
    with pytest.raises(RuntimeError, match="inside its own progress callback"):
        index.search(
            np.zeros((1, 8), np.uint8),
            progress=lambda *_: other.search(
                np.zeros((1, 8), np.uint8), progress=lambda *_: len(index)
            ),
        )
    assert len(index) == 10


def test_a_reader_gets_in_between_endless_adds() -> None:
    index = filled(10)
    codes = np.zeros((50_000, 8), np.uint8)
    stop = threading.Event()

    def add() -> None:
        while not stop.is_set():
            index.add(codes)

    writers = [threading.Thread(target=add) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(5):
            assert len(index) >= 10
    finally:
        stop.set()
    for writer in writers:
        writer.join()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hashcore.Index(0), ValueError, r"bits: expected 1\.\.65536; got 0"),
        (lambda: hashcore.Index(65537), ValueError, r"bits: expected 1\.\.65536; got 65537"),
        (lambda: hashcore.Index(64.0), TypeError, "bits: expected an integer; got float"),  # type: ignore[arg-type]
        (
            lambda: hashcore.Index(64, kind="ivf"),  # type: ignore[arg-type]
            ValueError,
            "kind: expected 'flat', 'mih' or 'auto'; got",
        ),
        (lambda: hashcore.Index(64, kind=3), TypeError, "kind: expected a string; got int"),  # type: ignore[arg-type]
        (lambda: hashcore.Index(64, nprobe=3), TypeError, "nprobe"),  # type: ignore[call-arg]
        (lambda: hashcore.Index(64, threads=0), ValueError, "threads"),
        (lambda: filled().add(np.zeros((2, 8), np.float32)), TypeError, r"codes: .*pack\(\)"),
        (lambda: filled().add(np.zeros((2, 9), np.uint8)), ValueError, r"uint8 \[n, 8\]"),
        (lambda: filled(bits=60).add(np.full((1, 8), 1, np.uint8)), ValueError, "past bit 59"),
        (
            lambda: filled().add(np.zeros((2, 8), np.uint8), np.array([1])),
            ValueError,
            r"int64 \[2\]",
        ),
        (
            lambda: filled().add(np.zeros((1, 8), np.uint8), np.array([1], np.int32)),
            TypeError,
            r"ids: expected int64 \[1\]; got int32 \[1\]",
        ),
        (lambda: filled().add(np.zeros((1, 8), np.uint8), np.array([-1])), ValueError, ">= 0"),
        (
            lambda: filled().add(np.zeros((1, 8), np.uint8), np.array([5])),
            ValueError,
            "5 is in the",
        ),
        (
            lambda: filled().add(np.zeros((2, 8), np.uint8), np.array([500, 500])),
            ValueError,
            "500 is given twice",
        ),
        (
            lambda: filled().add(np.zeros((1, 8), np.uint8), np.array([2**63 - 1])),
            ValueError,
            "below",
        ),
        (lambda: filled().search(np.zeros((1, 8), np.uint8), -1), ValueError, "k: expected >= 0"),
        (lambda: filled().search(np.zeros((1, 4), np.uint8)), ValueError, r"queries: .*\[Q, 8\]"),
        (lambda: filled().range_search(np.zeros(8, np.uint8), -2), ValueError, "radius"),
        (lambda: filled().get(np.array([3, 100])), KeyError, "id 100 is not in the index"),
        (lambda: filled().get([3]), TypeError, r"ids: expected int64 \[n\].*got list"),  # type: ignore[arg-type]
        (lambda: "x" in filled(), TypeError, "id: expected an integer; got str"),  # type: ignore[operator]
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_refused_add_changes_nothing() -> None:
    index = filled(50)
    before = index.get(index.ids)
    with pytest.raises(ValueError, match="49 is in the index"):
        index.add(np.zeros((2, 8), np.uint8), np.array([90, 49]))
    assert len(index) == 50
    np.testing.assert_array_equal(index.get(index.ids), before)
