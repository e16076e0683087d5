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

import hashcore
import reference

GOLDEN = Path(__file__).parents[1] / "formats"


def sample(bits: int, count: int, *, own_ids: bool) -> hashcore.Index:
    rng = np.random.default_rng(bits + count)
    index = hashcore.Index(bits)
    ids = rng.permutation(3 * count)[:count].astype(np.int64) if own_ids else None
    index.add(reference.random_codes(rng, count, bits), ids)
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
    assert "mapped" not in repr(loaded)
    assert again.read_bytes() == path.read_bytes()


def test_equal_indexes_give_equal_files_however_they_grew(tmp_path: Path) -> None:
    codes = reference.random_codes(np.random.default_rng(0), 101, 130)
    whole, pieces, merged = (hashcore.Index(130) for _ in range(3))
    whole.add(codes)
    for start in range(0, 101, 7):
        pieces.add(codes[start : start + 7])
    merged.add(codes[::2].copy(), np.arange(0, 101, 2))
    merged.add(codes[1::2].copy(), np.arange(1, 101, 2))
    files = []
    for name, index in (("whole", whole), ("pieces", pieces), ("merged", merged)):
        index.save(tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1] == files[2]


def test_layout_is_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    index = sample(100, 20, own_ids=True)
    index.save(path)
    data = path.read_bytes()
    assert data[:8] == b"\x89HCIX\r\n\x1a"
    header = np.frombuffer(data[8:64], "<u4")
    assert header[:4].tolist() == [1, 0x01020304, 1, 1]
    assert np.frombuffer(data[24:56], "<i8").tolist() == [100, 20, index.ids[-1] + 1, len(data)]
    assert np.frombuffer(data[4088:4096], "<u8")[0] == xxhash.xxh64_intdigest(data[:4088])
    for entry in range(2):
        tag, offset, length, checksum = np.frombuffer(data[64 + 32 * entry :][:32], "<u8").tolist()
        assert tag == entry + 1
        assert offset % 4096 == 0
        end = (offset + length + 4095) // 4096 * 4096
        assert checksum == xxhash.xxh64_intdigest(data[offset:end])
    codes = np.frombuffer(data[4096 : 4096 + 3 * 2 * 8 * 8], "<u8").reshape(3, 2, 8)
    rows = np.zeros((20, 16), np.uint8)
    rows[:, :13] = index.get(index.ids)
    words = np.zeros((24, 2), np.uint64)
    words[:20] = rows.view("<u8")
    np.testing.assert_array_equal(codes, words.reshape(3, 8, 2).transpose(0, 2, 1))


def test_every_truncation_and_extension_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    sample(64, 600, own_ids=True).save(path)
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
    sample(24, 40, own_ids=True).save(path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    places = np.concatenate([np.arange(200), rng.integers(0, len(data), 400)])
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
        (8, 2, "format version 2; this hashcore reads version 1"),
        (12, 0x04030201, "other byte order"),
        (16, 9, "unknown bit order"),
        (20, 7, "unknown index kind 7"),
        (24, 0, "impossible width"),
        (24, 2**40, "impossible width"),
        (24, 128, r"section 1 has 320 bytes, expected 640"),
        (32, 2**60, "impossible width, code count"),
        (32, 41, "section 1 has 320 bytes, expected 384"),
        (40, 0, "next id is taken already"),
        (56, 200, "damaged section count"),
        (56, 0, "reserved bytes of the header"),
        (60, 1, "reserved bytes of the header"),
        (68, 1, "reserved bytes of the header"),
        (4000, 1, "reserved bytes of the header"),
        (72, 2**50, "damaged section table"),
        (80, 2**63, "damaged section table"),
    ],
)
def test_a_forged_header_with_a_good_checksum_is_refused(
    tmp_path: Path, offset: int, value: int, message: str
) -> None:
    path = tmp_path / "f"
    sample(24, 40, own_ids=True).save(path)
    size = 4 if offset in (8, 12, 16, 20, 56, 60, 68) else 8
    path.write_bytes(with_header(path.read_bytes(), offset, value.to_bytes(size, "little")))
    for mmap in (False, True):
        with pytest.raises(hashcore.FormatError, match=message):
            hashcore.Index.load(path, mmap=mmap)


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


def rewrite_section(path: Path, number: int, change: Callable[[bytearray], None]) -> None:
    """Changes a section's bytes and repairs every checksum, as a wrong writer would."""
    data = bytearray(path.read_bytes())
    entry = 64 + 32 * number
    offset, length = np.frombuffer(data[entry + 8 : entry + 24], "<u8").tolist()
    end = (offset + length + 4095) // 4096 * 4096
    section = data[offset:end]
    change(section)
    data[offset:end] = section
    data[entry + 24 : entry + 32] = xxhash.xxh64_intdigest(bytes(section)).to_bytes(8, "little")
    data[4088:4096] = xxhash.xxh64_intdigest(bytes(data[:4088])).to_bytes(8, "little")
    path.write_bytes(data)


def test_forged_contents_with_good_checksums_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"

    def swap_ids(section: bytearray) -> None:
        section[0:8], section[8:16] = section[8:16], section[0:8]

    def negative_id(section: bytearray) -> None:
        section[0:8] = (-7).to_bytes(8, "little", signed=True)

    def pad_bit(section: bytearray) -> None:
        section[3 * 8 + 7] |= 1

    for number, change, message in (
        (1, swap_ids, "ids are negative or do not ascend"),
        (1, negative_id, "ids are negative or do not ascend"),
        (0, pad_bit, "pad bits of codes are set"),
    ):
        sample(60, 40, own_ids=True).save(path)
        rewrite_section(path, number, change)
        for mmap in (False, True):
            with pytest.raises(hashcore.FormatError, match=message):
                hashcore.Index.load(path, mmap=mmap)


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


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("flat_v*.hci")), ids=lambda p: p.name)
def test_files_of_every_released_version_still_load(path: Path) -> None:
    index = hashcore.Index.load(path)
    rng = np.random.default_rng(2024)
    codes = np.packbits(rng.random((37, 100)) < 0.5, axis=1)
    np.testing.assert_array_equal(index.ids, np.arange(37) * 3 + 1)
    np.testing.assert_array_equal(index.get(index.ids), codes)
    assert index.search(codes[5], 1).ids.tolist() == [16]


def test_there_is_a_golden_file() -> None:
    assert (GOLDEN / "flat_v1.hci").is_file()
    assert os.path.getsize(GOLDEN / "flat_v1.hci") == 3 * 4096
