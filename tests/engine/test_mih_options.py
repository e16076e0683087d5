"""The options of kind "mih", and an index of that kind as it grows, shrinks and is rewritten."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference

SHAPES = ("layout", "tables", "key_bits")  # what stats() says of the tables


def codes_of(count: int, bits: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    return reference.random_codes(np.random.default_rng(seed), count, bits)


def mih(bits: int = 64, **params: Any) -> hashcore.Index:
    return hashcore.Index(bits, "mih", **params)


def expect_codes(index: hashcore.Index, truth: dict[int, NDArray[np.uint8]]) -> None:
    """Whatever can be asked of the index says that it holds these codes by id."""
    ids = np.array(sorted(truth), np.int64)
    codes = np.array([truth[id] for id in ids.tolist()])
    assert len(index) == len(ids)
    np.testing.assert_array_equal(index.ids, ids)
    order = np.random.default_rng(0).permutation(len(ids))
    np.testing.assert_array_equal(index.get(ids[order]), codes[order])
    asked = codes_of(20, index.bits, seed=9)
    expected = reference.knn(codes, asked, 30, index.bits, ids=ids)
    result = index.search(asked, 30)
    for got, wanted in zip((*result, result.counts), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"layout": "small"}, ValueError, r"layout: expected 'fast' or 'compact'; got 'small'"),
        ({"layout": 1}, TypeError, r"layout: expected a string; got int"),
        ({"tables": 0}, ValueError, r"tables: expected >= 1; got 0"),
        ({"tables": 33}, ValueError, r"tables: expected 1\.\.32; got 33"),
        ({"tables": 2.0}, TypeError, r"tables: expected an integer; got float"),
        ({"radius": -1}, ValueError, r"radius: expected >= 0; got -1"),
        ({"radius": 65}, ValueError, r"radius: expected 0\.\.64; got 65"),
        ({"radius": "2"}, TypeError, r"radius: expected an integer; got str"),
        ({"memory_budget": 0}, ValueError, r"memory_budget: expected >= 1; got 0"),
        ({"memory_budget": 1e9}, TypeError, r"memory_budget: expected an integer; got float"),
    ],
)
def test_refuses(params: dict[str, Any], error: type[Exception], message: str) -> None:
    for kind in ("mih", "auto"):
        with pytest.raises(error, match=message) as caught:
            hashcore.Index(64, kind, **params)
        assert "\n" not in str(caught.value)
    ((name, value),) = params.items()
    with pytest.raises(ValueError, match=f"{name}: kind 'flat' has none; got {value!r}. Use kind="):
        hashcore.Index(64, "flat", **params)


def test_no_more_tables_than_bits() -> None:
    with pytest.raises(ValueError, match=r"tables: expected 1\.\.5; got 6"):
        mih(5, tables=6)
    index = mih(5, tables=5)
    index.add(codes_of(100, 5))
    assert index.stats()["key_bits"] == [1] * 5
    expect_codes(index, dict(enumerate(codes_of(100, 5))))


@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize("layout", ["fast", "compact"])
def test_a_budget_is_kept_or_refused(bits: int, layout: str) -> None:
    codes = codes_of(20_000, bits)
    message = (
        rf"memory_budget: 20000 codes of {bits} bits take at least (\d+) bytes as kind 'mih'; "
        r"got 1000. Use layout='compact', fewer tables or kind='flat'."
    )
    index = mih(bits, layout=layout, memory_budget=1000)
    with pytest.raises(ValueError, match=message) as caught:
        index.add(codes)
    assert len(index) == 0
    told = re.search(message, str(caught.value))
    assert told is not None
    least = int(told[1])
    with pytest.raises(ValueError, match=f"at least {least} bytes"):
        mih(bits, layout=layout, memory_budget=least - 1).add(codes)
    for budget in (least, least + 1000, 2 * least, 5 * least):
        index = mih(bits, layout=layout, radius=3, memory_budget=budget)
        index.add(codes)
        assert index.stats()["bytes"] <= budget


def test_compact_takes_less_memory_than_fast() -> None:
    fast, compact = (mih(radius=3, layout=layout) for layout in ("fast", "compact"))
    for index in (fast, compact):
        index.add(codes_of(100_000))
    assert compact.stats()["bytes"] < 0.7 * fast.stats()["bytes"]
    assert compact.stats()["bytes_per_code"] <= 21 + 4096 / 100_000


def test_what_a_given_radius_changes() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (200_000, 8), np.uint8)
    near, far = mih(radius=0), mih(radius=9)
    for index in (near, far):
        index.add(codes)
    assert near.stats()["expected_radius"] == 0
    assert far.stats()["expected_radius"] == 9
    assert near.stats()["tables"] < far.stats()["tables"]


@pytest.mark.parametrize(("bits", "layout"), [(64, "fast"), (64, "compact"), (200, "fast")])
def test_what_is_added_waits_until_compact(bits: int, layout: Any) -> None:
    index = mih(bits, layout=layout, tables=3, threads=2)
    codes = codes_of(3000, bits)
    truth = dict(enumerate(codes[:1000]))
    index.add(codes[:0])
    assert index.stats()["delta"] == 0
    index.add(codes[:1000])
    assert index.kind == "mih"
    assert index.stats()["delta"] == 0
    shape = {name: index.stats()[name] for name in SHAPES[:2]}
    assert shape == {"layout": layout, "tables": 3}

    index.add(codes[1000:2000])
    index.add(codes[2000:], np.arange(10**12, 10**12 + 1000))
    truth |= dict(enumerate(codes[1000:2000], 1000)) | dict(enumerate(codes[2000:], 10**12))
    assert index.stats()["delta"] == 2000
    expect_codes(index, truth)
    gone = np.concatenate([np.arange(0, 2000, 7), [10**12 + 5]])
    assert index.remove(gone) == len(gone)
    for id in gone.tolist():
        del truth[id]
    expect_codes(index, truth)
    assert (0 in index, 1 in index, 10**12 + 5 in index) == (False, True, False)

    index.compact()
    stats = index.stats()
    assert (stats["removed"], stats["delta"]) == (0, 0)
    assert {name: stats[name] for name in SHAPES[:2]} == shape
    expect_codes(index, truth)


def test_an_index_that_became_empty_is_built_again() -> None:
    index = mih(layout="compact")
    index.add(codes_of(500))
    index.remove(index.ids)
    assert index.search(codes_of(3), 2).ids.tolist() == [[-1, -1]] * 3
    index.compact()
    assert index.stats()["codes"] == 0
    index.add(codes_of(700, seed=1))
    assert index.stats()["delta"] == 0
    assert index.stats()["layout"] == "compact"
    expect_codes(index, dict(enumerate(codes_of(700, seed=1), 500)))


@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_keeps_the_layout(tmp_path: Path, mmap: bool) -> None:
    index = mih(layout="compact", tables=2)
    index.add(codes_of(5000))
    index.save(tmp_path / "codes.hci")
    loaded = hashcore.Index.load(tmp_path / "codes.hci", mmap=mmap)
    assert [loaded.stats()[name] for name in SHAPES] == [index.stats()[name] for name in SHAPES]
    loaded.remove(np.array([3]))
    loaded.compact()
    assert loaded.kind == "mih"
    assert loaded.stats()["layout"] == "compact"
    expect_codes(loaded, {id: code for id, code in enumerate(codes_of(5000)) if id != 3})


def test_get_of_what_is_not_there() -> None:
    index = mih()
    index.add(codes_of(100), np.arange(0, 1000, 10))
    np.testing.assert_array_equal(index.get(np.array([20, 10, 20])), codes_of(100)[[2, 1, 2]])
    with pytest.raises(KeyError, match="id 15 is not in the index"):
        index.get(np.array([10, 15]))


def test_auto_takes_whichever_is_faster() -> None:
    """Tables pay from a million codes on, for searches that end near; compact() asks again."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (1_000_000, 8), np.uint8)
    asked = np.concatenate([codes[:5] ^ np.uint8(1), codes[5:8]])
    near = hashcore.Index(64, radius=2)
    near.add(codes)
    assert near.kind == "mih"
    elsewhere: list[dict[str, Any]] = [{"radius": 25}, {"radius": 2, "memory_budget": 10**6}]
    for params in elsewhere:
        other = hashcore.Index(64, "auto", **params)
        other.add(codes)
        assert other.kind == "flat"
    for got, expected in zip(
        near.search(asked, 3, max_distance=9), other.search(asked, 3, max_distance=9), strict=True
    ):
        assert got.tobytes() == expected.tobytes()
    assert near.stats()["scans"] < near.stats()["queries"]

    grown = hashcore.Index(64, radius=2)
    grown.add(codes[:-1])
    assert grown.kind == "flat"
    grown.add(codes[-1:])
    assert (grown.kind, grown.stats()["delta"]) == ("flat", 0)
    grown.compact()
    assert grown.kind == "mih"
    grown.remove(np.array([0]))
    grown.compact()
    assert grown.kind == "flat"
