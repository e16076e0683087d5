"""A file that is not whole, or not what a right writer writes, is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hashcore
from index_files import LAYOUTS, rewrite_section, sample, with_header, worn

HEADER_BYTES = 4096


def refusal(path: Path, *, mmap: bool = False, verify: bool = True) -> str:
    """What load() says against a file; empty where it takes it."""
    try:
        hashcore.Index.load(path, mmap=mmap, verify=verify)
    except hashcore.FormatError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("layout", ["flat", "fast"])
def test_every_truncation_and_extension_is_refused(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "f"
    worn(LAYOUTS[layout], 40).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0")
    assert "trailing bytes: " in refusal(path)
    taken = []
    for length in range(len(whole) - 1, -1, -1):
        os.truncate(path, length)
        said = refusal(path, mmap=bool(length % 2), verify=False)
        if not said.startswith((f"{path}: truncated: {length} ", f"{path}: not a hashcore index")):
            taken.append((length, said))
    assert taken == []
    path.write_bytes(whole)
    assert refusal(path) == ""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_changed_byte_is_refused(tmp_path: Path, layout: str) -> None:
    """Any byte at all where the file is verified, those of the header always."""
    path = tmp_path / "f"
    worn(LAYOUTS[layout], 40).save(path)
    whole = path.read_bytes()
    flips = np.random.default_rng(0).integers(1, 256, len(whole)).tolist()
    taken = []
    with path.open("r+b", buffering=0) as file:
        for place, flip in enumerate(flips):
            os.pwrite(file.fileno(), bytes([whole[place] ^ flip]), place)
            in_header = place < HEADER_BYTES
            if not refusal(path, mmap=bool(place % 2), verify=not in_header).startswith(f"{path}:"):
                taken.append(place)
            os.pwrite(file.fileno(), whole[place : place + 1], place)
    assert taken == []
    assert refusal(path) == ""


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
        (24, 65537, "impossible width"),
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
