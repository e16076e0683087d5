"""More codes than 31 or 32 bits count, and the largest ids, in files that are mostly holes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference
from index_files import LAYOUTS, Layout, with_header

PAGE = 4096
LARGEST_ID = 2**63 - 2
Pieces = dict[tuple[int, int], tuple[int, dict[int, bytes]]]


def write_with_holes(path: Path, header: Iterable[tuple[int, int, str]], sections: Pieces) -> None:
    """An index file whose sections are zeros but for a few pieces, and have no checksums.

    Args:
        path: The file.
        header: (offset, value, dtype) of the fields that the kind and its counts set.
        sections: Length and pieces by offset, by (tag, part).
    """
    fields = [(8, 2, "<u4"), (12, 0x01020304, "<u4"), (16, 1, "<u4"), *header]
    end = PAGE
    with path.open("wb") as file:
        for place, ((tag, part), (length, pieces)) in enumerate(sections.items()):
            entry = 128 + 32 * place
            fields += [(entry, tag, "<u4"), (entry + 4, part, "<u4")]
            fields += [(entry + 8, end, "<u8"), (entry + 16, length, "<u8")]
            for offset, data in pieces.items():
                file.seek(end + offset)
                file.write(data)
            end += -(-length // PAGE) * PAGE
        try:
            file.truncate(end)
        except OSError as error:
            pytest.skip(f"no file of {end} bytes with holes here: {error}")
        fields += [(48, end, "<u8"), (56, len(sections), "<u4")]
        page = b"\x89HCIX\r\n\x1a" + bytes(PAGE - 8)
        for offset, value, dtype in fields:
            page = with_header(page, offset, np.array(value, dtype).tobytes())
        file.seek(0)
        file.write(page)


def test_flat_codes_beyond_two_to_the_31(tmp_path: Path) -> None:
    path = tmp_path / "f"
    count = 2**31 + 1000
    planted = np.array([7, 2**31 - 1, 2**31, 2**31 + 500, count - 2, count - 1])
    codes = np.array([[3], [5], [255], [254], [255], [1]], np.uint8)
    pieces = {8 * int(i): code.tobytes() for i, code in zip(planted, codes, strict=True)}
    header = [(20, 1, "<u4"), (24, 8, "<i8"), (32, count, "<i8"), (40, count, "<i8")]
    write_with_holes(path, header, {(1, 0): (8 * count, pieces)})
    index = hashcore.Index.load(path, mmap=True, verify=False)
    assert len(index) == count
    assert count - 1 in index
    assert count not in index
    np.testing.assert_array_equal(index.get(planted), codes)

    def check(there: NDArray[np.int64], rows: NDArray[np.uint8]) -> None:
        among = hashcore.Filter.allow(there)
        expected = reference.knn(rows, codes, 4, 8, ids=there)
        found = index.search(codes, 4, filter=among)
        for got, right in zip((found.distances, found.ids, found.counts), expected, strict=True):
            np.testing.assert_array_equal(got, right)

    check(planted, codes)
    near = index.range_search(codes[2], 1, filter=hashcore.Filter.allow(planted))
    assert near.ids.tolist() == [2**31, count - 2, 2**31 + 500]
    assert index.remove(planted[3:5]) == 2
    assert index.add(codes[3:4]).tolist() == [count]
    assert len(index) == count - 1
    kept = [0, 1, 2, 5, 3]
    check(np.append(planted[[0, 1, 2, 5]], count), codes[kept])


def test_a_scan_of_more_than_two_to_the_31_codes(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--large"):
        pytest.skip("takes about a minute; ask for it with --large")
    count = 2**31 + 1000
    codes = np.zeros((count, 1), np.uint8)  # pages that nobody writes to take no memory
    planted = np.array([0, 2**31 - 1, 2**31, 2**31 + 999])
    codes[planted, 0] = [254, 255, 255, 252]
    index = hashcore.Index.from_codes(codes, copy=False)
    found = index.search(np.array([255], np.uint8), 4, max_distance=7)
    assert found.ids.tolist() == [2**31 - 1, 2**31, 0, 2**31 + 999]
    assert found.distances.tolist() == [0, 0, 1, 2]


def key_bits(table: int) -> list[int]:
    return list(range(8 * table, 8 * table + 8))


def gathered(code: NDArray[np.uint8], bits: Iterable[int]) -> int:
    """Code bit ``bits[i]`` as bit i."""
    values = np.unpackbits(code)[list(bits)].tolist()
    return sum(value << i for i, value in enumerate(values))


@pytest.mark.parametrize("own_ids", [False, True])
@pytest.mark.parametrize(("kind", "bits"), [(1, 64), (2, 64), (3, 72)])
def test_mih_positions_up_to_two_to_the_32(
    tmp_path: Path, kind: int, bits: int, own_ids: bool
) -> None:
    """All codes but the last ones are zeros, in a bucket that no search here looks into."""
    path = tmp_path / "f"
    count = 2**32 - 1
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (6, bits // 8), np.uint8)
    first_bytes = np.array([3, 24, 40, 48, 96, 129], np.uint8)  # far from zero, in both tables
    order = np.argsort([gathered(byte, range(8)) for byte in first_bytes.reshape(-1, 1)])
    codes[:, 0] = codes[:, 1] = first_bytes[order]
    codes[5] = codes[4]
    codes[5, -1] ^= 1
    first = count - len(codes)
    positions = np.arange(count - 1, first - 1, -1)
    plan = [kind, 0, 1, 2]
    sections: Pieces = {}
    for table in range(2):
        plan += [8, *key_bits(table)]
        keys = [gathered(code, key_bits(table)) for code in codes]
        starts = np.array([first + sum(k < key for k in keys) for key in range(257)], "<u4")
        starts[0] = 0
        rest_bits = [bit for bit in range(bits) if bit not in key_bits(table)]
        rests = [gathered(code, rest_bits).to_bytes(7, "little") for code in codes if kind == 2]
        entry = {1: codes.tobytes(), 2: b"".join(rests), 3: b""}[kind]
        size = len(entry) // len(codes)
        sections[17, table] = (starts.nbytes, {0: starts.tobytes()})
        if kind != 3:
            sections[18, table] = (count * size + 64, {first * size: entry})
        sections[19, table] = (count * 4, {first * 4: positions.astype("<u4").tobytes()})
    record = np.array(plan, "<u4").tobytes()
    sections = {(16, 0): (len(record), {0: record}), **sections}
    if kind == 3:
        rows = codes[::-1].tobytes()
        sections[20, 0] = (count * bits // 8 + 64, {first * bits // 8: rows})
    ids = positions
    if own_ids:
        stored = LARGEST_ID - np.arange(len(codes))[::-1] * 2**40
        sections[2, 0] = (8 * count, {8 * first: stored.astype("<i8").tobytes()})
        ids = stored[::-1].copy()
    next_id = LARGEST_ID + 1 if own_ids else count
    header = [(20, 2, "<u4"), (24, bits, "<i8"), (32, count, "<i8"), (40, next_id, "<i8")]
    write_with_holes(path, header, sections)

    index = hashcore.Index.load(path, mmap=True, verify=False)
    assert len(index) == count
    expected = reference.knn(codes, codes, 6, bits, ids=ids, max_distance=1)
    found = index.search(codes, 6, max_distance=1)
    for got, right in zip((found.distances, found.ids, found.counts), expected, strict=True):
        np.testing.assert_array_equal(got, right)
    near = index.range_search(codes, 1)
    np.testing.assert_array_equal(near.lims, np.append(0, expected[2].cumsum()))
    assert near.ids.tolist() == expected[1][expected[1] >= 0].tolist()
    stats = index.stats()
    assert (stats["scans"], stats["codes"]) == (0, count)
    assert stats["candidates"] < 100
    if kind == 3:
        np.testing.assert_array_equal(index.get(np.sort(ids)), codes[::-1])
    if kind != 1 or own_ids:
        return  # a bitmap of the removed codes takes half a gigabyte
    assert index.remove(ids[:2]) == 2
    assert index.search(codes[0], 1, max_distance=0).ids.tolist() == [-1]
    assert index.search(codes[5], 1, max_distance=0).ids.tolist() == [ids[5]]


def test_more_codes_than_mih_numbers_are_refused(tmp_path: Path) -> None:
    codes = np.zeros((2**32, 1), np.uint8)
    with pytest.raises(ValueError, match=r"kind 'mih' takes at most 4,294,967,295; got 4294967296"):
        hashcore.Index.build(tmp_path / "f", codes, kind="mih")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("mmap", [False, True])
def test_ids_up_to_the_largest(tmp_path: Path, layout: Layout, mmap: bool) -> None:
    rng = np.random.default_rng(0)
    codes = reference.random_codes(rng, 400, layout.bits)
    ids = np.unique(rng.integers(2**32, LARGEST_ID, 400))
    ids[[0, -2, -1]] = [2**32, LARGEST_ID - 1, LARGEST_ID]
    assert len(ids) == 400
    base = rng.permutation(400)[:300]
    delta = np.setdiff1d(np.arange(400), base)
    index = layout.index()
    index.add(codes[base], ids[base])
    index.add(codes[delta], ids[delta])
    index.save(tmp_path / "f")
    index = hashcore.Index.load(tmp_path / "f", mmap=mmap)
    with pytest.raises(ValueError, match="no automatic ids are left"):
        index.add(codes[:1])
    with pytest.raises(ValueError, match=r"below 2\*\*63 - 1"):
        index.add(codes[:1], np.array([LARGEST_ID + 1]))
    assert LARGEST_ID in index
    assert LARGEST_ID + 1 not in index
    for compacted in (False, True):
        if compacted:
            index.compact()
        np.testing.assert_array_equal(index.ids, ids)
        np.testing.assert_array_equal(index.get(ids), codes)
        for chosen, kept in (
            (None, np.arange(400)),
            (hashcore.Filter.allow(ids[::3].copy()), np.arange(0, 400, 3)),
            (hashcore.Filter.deny(ids[1:].copy()), np.arange(1)),
        ):
            expected = reference.knn(codes[kept], codes[:20], 9, layout.bits, ids=ids[kept])
            found = index.search(codes[:20], 9, filter=chosen)
            arrays = (found.distances, found.ids, found.counts)
            for got, right in zip(arrays, expected, strict=True):
                np.testing.assert_array_equal(got, right)
    assert index.remove(ids[-2:].copy()) == 2
    assert index.add(codes[-1:], ids[-1:].copy()).tolist() == [LARGEST_ID]
