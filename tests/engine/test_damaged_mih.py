"""A multi-index hash that a wrong writer wrote, with good checksums, is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
from index_files import LAYOUTS, rewrite_section, sections_of, with_header, worn

PLAN, STARTS, ENTRIES, POSITIONS, ROWS = 16, 17, 18, 19, 20
COUNT = 40
FIRST_WIDTH = 4  # where the plan holds the width of the first key; its bits follow

Numbers = NDArray[np.uint32]
Change = Callable[[Numbers], None]


def put(place: int, value: int) -> Change:
    def change(numbers: Numbers) -> None:
        numbers[place] = value

    return change


def repeat_a_bit(plan: Numbers) -> None:
    plan[FIRST_WIDTH + 2] = plan[FIRST_WIDTH + 1]


def share_a_bit(plan: Numbers) -> None:
    second_width = FIRST_WIDTH + 1 + int(plan[FIRST_WIDTH])
    plan[second_width + 1] = plan[FIRST_WIDTH + 1]
    plan[second_width + 1 : second_width + 1 + int(plan[second_width])].sort()


def descend(starts: Numbers) -> None:
    middle = len(starts) // 2
    starts[middle] = starts[middle + 1] + 1


def save_changed(path: Path, layout: str, section: tuple[int, int], change: Change) -> None:
    worn(LAYOUTS[layout], COUNT).save(path)
    _, length, _ = sections_of(path.read_bytes())[section]
    rewrite_section(path, section, lambda page: change(np.frombuffer(page, "<u4", length // 4)))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("layout", ["fast", "compact", "wide"])
@pytest.mark.parametrize(
    "change",
    [
        put(0, 0),
        put(0, 4),
        put(0, 2**32 - 1),
        put(1, 2),
        put(2, 101),
        put(3, 0),
        put(3, 1),
        put(3, 4),
        put(3, 33),
        put(3, 2**32 - 1),
        put(FIRST_WIDTH, 0),
        put(FIRST_WIDTH, 1),
        put(FIRST_WIDTH, 29),
        put(FIRST_WIDTH, 2**31),
        put(FIRST_WIDTH + 1, 100),
        put(FIRST_WIDTH + 1, 2**32 - 1),
        put(-1, 100),
        repeat_a_bit,
        share_a_bit,
    ],
)
def test_a_plan_that_breaks_its_rules_is_always_refused(
    tmp_path: Path, layout: str, mmap: bool, verify: bool, change: Change
) -> None:
    path = tmp_path / "f"
    save_changed(path, layout, (PLAN, 0), change)
    with pytest.raises(hashcore.FormatError, match="the plan of the hash tables breaks its rules"):
        hashcore.Index.load(path, mmap=mmap, verify=verify)


@pytest.mark.parametrize("layout", ["fast", "compact", "wide"])
def test_entries_of_the_other_width_are_refused(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "f"
    save_changed(path, layout, (PLAN, 0), put(0, 1 if layout == "wide" else 3))
    with pytest.raises(hashcore.FormatError, match="the plan of the hash tables breaks its rules"):
        hashcore.Index.load(path)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("layout", ["fast", "compact", "wide"])
@pytest.mark.parametrize(
    ("tag", "change", "message"),
    [
        (STARTS, put(0, 1), "the directory of hash table 1 breaks its rules"),
        (STARTS, put(-1, COUNT - 1), "the directory of hash table 1 breaks its rules"),
        (STARTS, put(-1, 2**32 - 1), "the directory of hash table 1 breaks its rules"),
        (STARTS, descend, "the directory of hash table 1 breaks its rules"),
        (POSITIONS, put(0, COUNT), "hash table 1 names a code that is not there"),
        (POSITIONS, put(-1, 2**32 - 1), "hash table 1 names a code that is not there"),
    ],
)
def test_tables_that_break_their_rules_are_refused(
    tmp_path: Path, layout: str, mmap: bool, tag: int, change: Change, message: str
) -> None:
    path = tmp_path / "f"
    save_changed(path, layout, (tag, 1), change)
    with pytest.raises(hashcore.FormatError, match=message):
        hashcore.Index.load(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("layout", ["fast", "compact", "wide"])
@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (32, COUNT + 1, r"section 1[89] of part 0 has \d+ bytes, expected \d+"),
        (32, COUNT - 1, r"section 1[89] of part 0 has \d+ bytes, expected \d+"),
        (32, 2**32, "impossible code count"),
        (32, 2**62, "impossible code count"),
        (24, 2, "the plan of the hash tables breaks its rules"),
        (20, 1, "section 1 of part 0 is missing"),
    ],
)
def test_a_header_that_does_not_fit_the_tables_is_refused(
    tmp_path: Path, layout: str, mmap: bool, verify: bool, offset: int, value: int, message: str
) -> None:
    path = tmp_path / "f"
    worn(LAYOUTS[layout], COUNT).save(path)
    forged = value.to_bytes(4 if offset == 20 else 8, "little")
    path.write_bytes(with_header(path.read_bytes(), offset, forged))
    with pytest.raises(hashcore.FormatError, match=message):
        hashcore.Index.load(path, mmap=mmap, verify=verify)


@pytest.mark.parametrize("layout", ["fast", "compact", "wide"])
def test_every_section_is_needed_and_has_its_length(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "f"
    worn(LAYOUTS[layout], COUNT).save(path)
    whole = path.read_bytes()
    for place, (tag, part) in enumerate(sections_of(whole)):
        if tag < PLAN:
            continue
        entry = 128 + 32 * place
        path.write_bytes(with_header(whole, entry, (99).to_bytes(4, "little")))
        with pytest.raises(hashcore.FormatError, match=f"section {tag} of part {part} is missing"):
            hashcore.Index.load(path, verify=False)
        _, length, _ = sections_of(whole)[tag, part]
        path.write_bytes(with_header(whole, entry + 16, (length - 4).to_bytes(8, "little")))
        with pytest.raises(hashcore.FormatError, match=rf"section {tag} of part {part}|the plan"):
            hashcore.Index.load(path, verify=False)


def test_codes_of_more_positions_than_numbers_are_refused(tmp_path: Path) -> None:
    """A file long enough for 2^32 codes, with holes for all that is not there."""
    path = tmp_path / "f"
    worn(LAYOUTS["wide"], COUNT).save(path)
    whole = path.read_bytes()
    length = 2**32 + 4096
    last = 128 + 32 * (len(sections_of(whole)) - 1)
    offset = int.from_bytes(whole[last + 8 : last + 16], "little")
    forged = with_header(whole, 32, (2**32).to_bytes(8, "little"))
    forged = with_header(forged, 48, length.to_bytes(8, "little"))
    forged = with_header(forged, last + 16, (length - offset).to_bytes(8, "little"))
    path.write_bytes(forged)
    os.truncate(path, length)
    for mmap in (False, True):
        with pytest.raises(hashcore.FormatError, match="more codes than a multi-index hash can"):
            hashcore.Index.load(path, mmap=mmap, verify=False)
