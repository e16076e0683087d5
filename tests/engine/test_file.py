from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray

import hashcore
import reference

GOLDEN = Path(__file__).parents[1] / "formats"


def sample(bits: int, count: int, *, own_ids: bool) -> hashcore.Index:
    rng = np.random.default_rng(bits + count)
    index = hashcore.Index(bits)
    ids = rng.permutation(3 * count)[:count].astype(np.int64) if own_ids else None
    index.add(reference.random_codes(rng, count, bits), ids)
    return index


def worn(bits: int, count: int) -> hashcore.Index:
    """An index whose file has every section: ids, a delta, and removed codes in both parts."""
    index = sample(bits, count, own_ids=True)
    there = index.ids
    between = np.setdiff1d(np.arange(there[-1]), there)[:count]
    index.add(reference.random_codes(np.random.default_rng(1), len(between), bits), between)
    assert index.remove(np.concatenate([there[::3], between[::5]])) > 0
    return index


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


def sections_of(data: bytes) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Offset, length and checksum by (tag, part)."""
    count = int(np.frombuffer(data[56:60], "<u4")[0])
    sections = {}
    for entry in range(128, 128 + 32 * count, 32):
        tag, part = np.frombuffer(data[entry : entry + 8], "<u4").tolist()
        offset, length, checksum = np.frombuffer(data[entry + 8 : entry + 32], "<u8").tolist()
        sections[tag, part] = offset, length, checksum
    return sections


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


def test_every_truncation_and_extension_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    worn(64, 600).save(path)
    data = path.read_bytes()
    lengths = {0, 1, 7, 8, 4095, 4096, 4097, 8192, len(data) // 2, len(data) - 4096, len(data) - 1}
    for length in sorted(lengths):
        path.write_bytes(data[:length])
        for mmap in (False, True):
            with pytest.raises(hashcore.FormatError, match=r"truncated|not a hashcore"):
                hashcore.Index.load(path, mmap=mmap, verify=False)
    path.write_bytes(data + b"\0")
    with pytest.raises(hashcore.FormatError, match=r"trailing bytes: .* expected"):
        hashcore.Index.load(path)


def test_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    worn(24, 40).save(path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    places = np.concatenate([np.arange(330), rng.integers(0, len(data), 400)])
    for place in places.tolist():
        bit = 1 << int(rng.integers(8))
        data[place] ^= bit
        path.write_bytes(data)
        with pytest.raises(hashcore.FormatError, match=str(path)):
            hashcore.Index.load(path, mmap=bool(place % 2))
        data[place] ^= bit
    path.write_bytes(data)
    hashcore.Index.load(path)


def with_header(data: bytes, offset: int, value: bytes) -> bytes:
    page = bytearray(data[:4088])
    page[offset : offset + len(value)] = value
    checksum = xxhash.xxh64_intdigest(bytes(page)).to_bytes(8, "little")
    return bytes(page) + checksum + data[4096:]


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (8, 3, "format version 3; this hashcore reads versions 1 to 2"),
        (8, 0, "format version 0"),
        (12, 0x04030201, "other byte order"),
        (16, 9, "unknown bit order"),
        (20, 7, "unknown index kind 7"),
        (24, 0, "impossible width"),
        (24, 2**40, "impossible width"),
        (24, 128, r"section 1 of part 0 has 320 bytes, expected 640"),
        (32, 2**60, "impossible code count"),
        (32, 41, "section 1 of part 0 has 320 bytes, expected 384"),
        (32, 39, "section 2 of part 0 has 320 bytes, expected 312"),
        (40, 0, "next id is taken already"),
        (56, 200, "damaged section count"),
        (56, 0, "reserved bytes of the header"),
        (60, 1, "reserved bytes of the header"),
        (64, 2**60, "impossible code count"),
        (64, -1, "impossible code count"),
        (64, 0, "impossible code count"),
        (64, 1000, "section 1 of part 1 has 320 bytes, expected 8000"),
        (72, 41, "impossible code count"),
        (72, 13, "14 codes are marked as removed, expected 13"),
        (72, 0, "removed codes that the header lacks"),
        (80, 9, "8 codes are marked as removed, expected 9"),
        (80, -1, "impossible code count"),
        (88, 1, "reserved bytes of the header"),
        (120, 1, "reserved bytes of the header"),
        (132, 1, "section 1 of part 1 is there twice"),
        (132, 7, "section 1 of part 0 is missing"),
        (136, 2**50, "damaged section table"),
        (144, 2**63, "damaged section table"),
        (4000, 1, "reserved bytes of the header"),
    ],
)
def test_a_forged_header_with_a_good_checksum_is_refused(
    tmp_path: Path, offset: int, value: int, message: str
) -> None:
    path = tmp_path / "f"
    worn(24, 40).save(path)
    size = 4 if offset in (8, 12, 16, 20, 56, 60, 132) else 8
    forged = (value % 2 ** (8 * size)).to_bytes(size, "little")
    path.write_bytes(with_header(path.read_bytes(), offset, forged))
    for mmap in (False, True):
        for verify in (False, True):
            with pytest.raises(hashcore.FormatError, match=message):
                hashcore.Index.load(path, mmap=mmap, verify=verify)


def test_foreign_and_missing_files(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.npy"
    np.save(foreign, np.arange(5000))
    with pytest.raises(hashcore.FormatError, match="not a hashcore index file"):
        hashcore.Index.load(foreign)
    assert issubclass(hashcore.FormatError, ValueError)
    with pytest.raises(FileNotFoundError, match="absent"):
        hashcore.Index.load(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        hashcore.Index.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        sample(8, 3, own_ids=False).save(tmp_path / "no" / "folder")


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


def rewrite_section(path: Path, name: tuple[int, int], change: Callable[[bytearray], None]) -> None:
    """Changes a section's bytes and repairs every checksum, as a wrong writer would."""
    data = bytearray(path.read_bytes())
    sections = sections_of(bytes(data))
    entry = 128 + 32 * list(sections).index(name)
    offset, length, _ = sections[name]
    end = (offset + length + 4095) // 4096 * 4096
    section = data[offset:end]
    change(section)
    data[offset:end] = section
    data[entry + 24 : entry + 32] = xxhash.xxh64_intdigest(bytes(section)).to_bytes(8, "little")
    data[4088:4096] = xxhash.xxh64_intdigest(bytes(data[:4088])).to_bytes(8, "little")
    path.write_bytes(data)


def swap_ids(section: bytearray) -> None:
    section[0:8], section[8:16] = section[8:16], section[0:8]


def negative_id(section: bytearray) -> None:
    section[0:8] = (-7).to_bytes(8, "little", signed=True)


def pad_bit(section: bytearray) -> None:
    section[3 * 8 + 7] |= 1


def revive(section: bytearray) -> None:
    section[0] &= section[0] - 1


def remove_past_the_end(section: bytearray) -> None:
    section[0] &= section[0] - 1
    section[7] |= 0x80


def repeat_five(section: bytearray) -> None:
    section[8:16] = (5).to_bytes(8, "little")


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ((2, 0), swap_ids, "ids are negative or do not ascend"),
        ((2, 0), negative_id, "ids are negative or do not ascend"),
        ((1, 0), pad_bit, "pad bits of codes are set"),
        ((2, 1), swap_ids, "ids are negative or do not ascend"),
        ((2, 1), negative_id, "ids are negative or do not ascend"),
        ((1, 1), pad_bit, "pad bits of codes are set"),
    ],
)
def test_forged_contents_with_good_checksums_are_refused(
    tmp_path: Path,
    mmap: bool,
    section: tuple[int, int],
    change: Callable[[bytearray], None],
    message: str,
) -> None:
    path = tmp_path / "f"
    worn(60, 40).save(path)
    rewrite_section(path, section, change)
    with pytest.raises(hashcore.FormatError, match=message):
        hashcore.Index.load(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("part", [0, 1])
def test_counts_of_removed_codes_are_always_checked(
    tmp_path: Path, mmap: bool, verify: bool, part: int
) -> None:
    path = tmp_path / "f"
    for change, message in (
        (revive, "codes are marked as removed, expected"),
        (remove_past_the_end, "codes past the last one are marked as removed"),
    ):
        worn(60, 40).save(path)
        rewrite_section(path, (3, part), change)
        with pytest.raises(hashcore.FormatError, match=message):
            hashcore.Index.load(path, mmap=mmap, verify=verify)


def test_an_id_in_both_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    codes = np.zeros((3, 8), np.uint8)
    index = hashcore.Index(64)
    index.add(codes, np.array([2, 5, 9]))
    index.add(codes[:2], np.array([3, 4]))
    index.save(path)
    rewrite_section(path, (2, 1), repeat_five)
    with pytest.raises(hashcore.FormatError, match="id 5 is in the base and in the delta"):
        hashcore.Index.load(path)
    index.remove(np.array([5]))
    index.save(path)
    rewrite_section(path, (2, 1), repeat_five)
    assert hashcore.Index.load(path).ids.tolist() == [2, 3, 5, 9]


@pytest.mark.parametrize("mmap", [False, True])
def test_a_forged_file_that_nobody_verified_is_safe_to_use(tmp_path: Path, mmap: bool) -> None:
    """Ids in no order give wrong answers, and nothing worse."""
    path = tmp_path / "f"
    worn(64, 1000).save(path)
    for part in (0, 1):
        rewrite_section(path, (2, part), lambda section: section[: 8 * 300].reverse())
    index = hashcore.Index.load(path, mmap=mmap, verify=False)
    queries = np.zeros((30, 8), np.uint8)
    for chosen in (
        hashcore.Filter.mask(np.arange(len(index)) % 2 == 0),
        hashcore.Filter.allow(np.arange(3000)),
    ):
        assert index.search(queries, 10, filter=chosen).ids.shape == (30, 10)
        index.range_search(queries, 64, filter=chosen)
    index.remove(np.arange(0, 3000, 7))
    assert len(index.ids) == len(index)
    index.compact()
    assert len(index.ids) == len(index)


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


def test_a_kill_during_save_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    script = textwrap.dedent(
        """
        import sys, numpy as np, hashcore
        small, large = hashcore.Index(1024), hashcore.Index(1024)
        small.add(np.zeros((10, 128), np.uint8))
        large.add(np.zeros((200_000, 128), np.uint8))
        small.save(sys.argv[1])
        print("ready", flush=True)
        while True:
            large.save(sys.argv[1])
            small.save(sys.argv[1])
        """
    )
    for delay in (0.0, 0.013, 0.05, 0.11):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        assert len(hashcore.Index.load(path)) in (10, 200_000)


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
