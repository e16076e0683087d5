from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray

import hashcore
import reference
from index_files import sample, sections_of, worn

GOLDEN = Path(__file__).parents[1] / "formats"


def assert_same(a: hashcore.Index, b: hashcore.Index) -> None:
    assert (a.bits, a.kind, len(a)) == (b.bits, b.kind, len(b))
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.get(a.ids), b.get(b.ids))
    queries = reference.random_codes(np.random.default_rng(9), 4, a.bits)
    assert a.search(queries, 20).ids.tobytes() == b.search(queries, 20).ids.tobytes()


@pytest.mark.parametrize("bits", [1, 64, 100, 512, 3000])
@pytest.mark.parametrize("count", [0, 1, 9, 2000])
@pytest.mark.parametrize("own_ids", [False, True])
@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("verify", [False, True])
def test_round_trip(
    tmp_path: Path, bits: int, count: int, own_ids: bool, mmap: bool, verify: bool
) -> None:
    index = sample(bits, count, own_ids=own_ids)
    path = tmp_path / "codes.hci"
    index.save(path)
    loaded = hashcore.Index.load(path, mmap=mmap, verify=verify)
    assert_same(index, loaded)
    again = tmp_path / "again.hci"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    loaded.add(np.zeros(((bits + 7) // 8,), np.uint8))
    index.add(np.zeros(((bits + 7) // 8,), np.uint8))
    assert_same(index, loaded)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("bits", [1, 64, 100, 512])
@pytest.mark.parametrize("count", [2, 64, 2000])
@pytest.mark.parametrize("mmap", [False, True])
def test_delta_and_removed_codes_make_the_round_trip(
    tmp_path: Path, bits: int, count: int, mmap: bool
) -> None:
    index = worn(bits, count)
    path = tmp_path / "codes.hci"
    index.save(path)
    loaded = hashcore.Index.load(path, mmap=mmap)
    assert_same(index, loaded)
    counts = ("codes", "removed", "delta")
    assert [loaded.stats()[name] for name in counts] == [index.stats()[name] for name in counts]
    assert loaded.stats()["mapped"] == mmap
    before = path.read_bytes()
    loaded.save(path)  # over the file that it is mapped from
    assert path.read_bytes() == before
    for each in (index, loaded):
        each.remove(each.ids[::4].copy())
        each.add(np.zeros((1, (bits + 7) // 8), np.uint8))
    assert_same(index, loaded)
    assert path.read_bytes() == before
    loaded.compact()
    assert_same(index, loaded)
    assert "mapped" not in repr(loaded)


def test_equal_indexes_give_equal_files_however_they_grew(tmp_path: Path) -> None:
    codes = reference.random_codes(np.random.default_rng(0), 101, 130)
    whole, pieces, merged = (hashcore.Index(130) for _ in range(3))
    whole.add(codes)
    for start in range(0, 101, 7):
        pieces.add(codes[start : start + 7])
    merged.add(codes[::2].copy(), np.arange(0, 101, 2))
    merged.add(codes[1::2].copy(), np.arange(1, 101, 2))
    merged.compact()
    borrowed = hashcore.Index.from_codes(codes, bits=130, copy=False)
    grown = {"whole": whole, "pieces": pieces, "merged": merged, "borrowed": borrowed}
    files = []
    for name, index in grown.items():
        index.save(tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert all(file == files[0] for file in files)


def blocks_of(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Codes as the file holds them: word w of eight neighbours side by side."""
    count, width = codes.shape
    words = (width + 7) // 8
    rows = np.zeros(((count + 7) // 8 * 8, 8 * words), np.uint8)
    rows[:count, :width] = codes
    return rows.view("<u8").reshape(-1, 8, words).transpose(0, 2, 1)


def test_layout_is_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    rng = np.random.default_rng(0)
    codes = reference.random_codes(rng, 30, 100)
    index = hashcore.Index(100)
    base, delta = np.arange(3, 63, 3), np.arange(1, 30, 3)
    index.add(codes[:20], base)
    index.add(codes[20:], delta)
    index.remove(np.array([6, 9, 4]))
    index.save(path)
    data = path.read_bytes()
    assert data[:8] == b"\x89HCIX\r\n\x1a"
    assert np.frombuffer(data[8:24], "<u4").tolist() == [2, 0x01020304, 1, 1]
    assert np.frombuffer(data[24:56], "<i8").tolist() == [100, 20, 61, len(data)]
    assert np.frombuffer(data[56:64], "<u4").tolist() == [6, 0]
    assert np.frombuffer(data[64:128], "<i8").tolist() == [10, 2, 1, 0, 0, 0, 0, 0]
    assert np.frombuffer(data[4088:4096], "<u8")[0] == xxhash.xxh64_intdigest(data[:4088])

    sections = sections_of(data)
    contents = {}
    for name, (offset, length, checksum) in sections.items():
        assert offset % 4096 == 0
        end = (offset + length + 4095) // 4096 * 4096
        assert checksum == xxhash.xxh64_intdigest(data[offset:end])
        contents[name] = data[offset : offset + length]
    assert list(contents) == [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1)]
    assert contents[1, 0] == blocks_of(codes[:20]).tobytes()
    assert contents[2, 0] == base.tobytes()
    assert contents[3, 0] == (0b110).to_bytes(8, "little")
    assert contents[1, 1] == blocks_of(codes[20:]).tobytes()
    assert contents[2, 1] == delta.tobytes()
    assert contents[3, 1] == (0b10).to_bytes(8, "little")


def test_a_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    sample(64, 10, own_ids=False).save(path)
    before = path.read_bytes()

    def give_up(done: int, total: int) -> None:
        raise RuntimeError("enough")

    for count in (20, 100_000):
        other = hashcore.Index(4096)
        other.add(np.zeros((count, 512), np.uint8))
        with pytest.raises(RuntimeError, match="enough"):
            other.save(path, progress=give_up)
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    sample(8, 1, own_ids=False).save(target)
    link.symlink_to(target)
    sample(8, 2, own_ids=False).save(link)
    assert link.is_symlink()
    assert len(hashcore.Index.load(target)) == 2


def test_awkward_paths(tmp_path: Path) -> None:
    index = sample(8, 3, own_ids=False)
    odd = os.path.join(os.fsencode(tmp_path), b"not\xffutf8")
    index.save(os.fsdecode(odd))
    assert len(hashcore.Index.load(os.fsdecode(odd))) == 3
    with pytest.raises(ValueError, match="path: expected no NUL"):
        index.save(str(tmp_path / "a\0b"))
    with pytest.raises(FileNotFoundError):
        hashcore.Index.load(os.fsdecode(odd) + "x")


def test_the_system_refuses_while_another_error_is_handled(tmp_path: Path) -> None:
    try:
        raise KeyError("first")
    except KeyError:
        with pytest.raises(FileNotFoundError) as refused:
            hashcore.Index.load(tmp_path / "nothing")
    assert refused.value.filename == str(tmp_path / "nothing")
    assert isinstance(refused.value.__context__, KeyError)


def test_saving_over_the_file_that_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "f"
    sample(64, 1000, own_ids=False).save(path)
    mapped = hashcore.Index.load(path, mmap=True)
    assert "mapped" in repr(mapped)
    codes = mapped.get(mapped.ids)
    sample(64, 3, own_ids=False).save(path)
    np.testing.assert_array_equal(mapped.get(mapped.ids), codes)
    mapped.save(path)
    assert_same(mapped, hashcore.Index.load(path))


@pytest.mark.parametrize("mmap", [False, True])
def test_version_1_still_loads(mmap: bool) -> None:
    path = GOLDEN / "flat_v1.hci"
    assert path.stat().st_size == 3 * 4096
    index = hashcore.Index.load(path, mmap=mmap)
    codes = np.packbits(np.random.default_rng(2024).random((37, 100)) < 0.5, axis=1)
    np.testing.assert_array_equal(index.ids, np.arange(37) * 3 + 1)
    np.testing.assert_array_equal(index.get(index.ids), codes)
    assert index.search(codes[5], 1).ids.tolist() == [16]
    assert index.add(codes[:1]).tolist() == [110]


@pytest.mark.parametrize("mmap", [False, True])
def test_version_2_still_loads(mmap: bool) -> None:
    path = GOLDEN / "flat_v2.hci"
    assert path.stat().st_size == 7 * 4096
    index = hashcore.Index.load(path, mmap=mmap)
    codes = np.packbits(np.random.default_rng(2025).random((50, 100)) < 0.5, axis=1)
    ids = np.concatenate([np.arange(37) * 3 + 1, np.arange(13) * 6])  # base, delta
    kept = ~np.isin(ids, [1, 16, 109, 12, 72])
    order = np.argsort(ids[kept])
    np.testing.assert_array_equal(index.ids, ids[kept][order])
    np.testing.assert_array_equal(index.get(index.ids), codes[kept][order])
    assert index.search(codes[6], 1).ids.tolist() == [19]
    assert index.search(codes[40], 1).ids.tolist() == [18]
    stats = index.stats()
    assert (stats["removed"], stats["delta"]) == (5, 11)
    assert index.add(codes[:1]).tolist() == [110]


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    ("name", "bits", "layout"),
    [("mih_v2", 60, "fast"), ("mih_compact_v2", 60, "compact"), ("mih_wide_v2", 100, "fast")],
)
def test_version_2_of_mih_still_loads(mmap: bool, name: str, bits: int, layout: str) -> None:
    path = GOLDEN / f"{name}.hci"
    assert path.stat().st_size == (13 if layout == "compact" else 17) * 4096
    index = hashcore.Index.load(path, mmap=mmap)
    codes = np.packbits(np.random.default_rng(2026).random((413, bits)) < 0.5, axis=1)
    ids = np.concatenate([np.arange(400) * 3 + 1, np.arange(13) * 6])  # base, delta
    kept = ~np.isin(ids, [1, 16, 109, 12, 72])
    order = np.argsort(ids[kept])
    codes, ids = codes[kept][order], ids[kept][order]
    np.testing.assert_array_equal(index.ids, ids)
    np.testing.assert_array_equal(index.get(index.ids), codes)
    for k, bound in ((1, 0), (9, None)):
        expected = reference.knn(codes, codes[::9], k, bits, ids=ids, max_distance=bound)
        found = index.search(codes[::9].copy(), k, max_distance=bound)
        for got, right in zip((found.distances, found.ids, found.counts), expected, strict=True):
            np.testing.assert_array_equal(got, right)
    stats = index.stats()
    assert (stats["kind"], stats["layout"], stats["tables"]) == ("mih", layout, 2)
    assert (stats["removed"], stats["delta"]) == (5, 11)
    assert stats["lookups"] > 0
    assert stats["scans"] < stats["queries"]
    assert index.add(codes[:1]).tolist() == [1199]
