"""Whether a run fits: what it takes of disk and memory, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bench.out_of_core.codes import CODE_BYTES

Layout = Literal["compact", "fast"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

# At most, at 64 bits: directories, and an entry and a position in each table.
INDEX_BYTES_PER_CODE = {"compact": 21, "fast": 80}
TABLE_BYTES_PER_CODE = {"compact": 10, "fast": 12}
DIRECTORY_BYTES_PER_CODE = 4  # of one table
LARGEST_DIRECTORY = 4 << 28  # its keys have at most 28 bits
SLICES = 8  # a build in more slices a table reads the codes too often
PROCESS = 256 << 20  # the interpreter, NumPy and a chunk of codes

GIB = 2**30


@dataclass(frozen=True)
class Room:
    """Bytes that are there, or that a run takes."""

    disk: int
    memory: int

    def holds(self, needed: Room) -> bool:
        """Whether there is enough of both."""
        return needed.disk <= self.disk and needed.memory <= self.memory

    def __str__(self) -> str:
        return f"{self.disk / GIB:,.1f} GiB of disk and {self.memory / GIB:,.1f} GiB of memory"


def needed(count: int, layout: Layout, threads: int) -> Room:
    """What codes, index and build take at most; the least memory to build in."""
    counters = min(LARGEST_DIRECTORY, DIRECTORY_BYTES_PER_CODE * count) * (1 + threads)
    table = TABLE_BYTES_PER_CODE[layout] * count
    return Room(
        disk=count * (CODE_BYTES + INDEX_BYTES_PER_CODE[layout]) + (1 << 20),
        memory=PROCESS + counters + table // SLICES,
    )


def largest_count(room: Room, layout: Layout, threads: int, most: int = 10**9) -> int:
    """The largest 1, 2 or 5 times a power of ten that fits, ``most`` at most; 0 if none does."""
    fitting = 0
    for exponent in range(3, len(str(most))):
        for first in (1, 2, 5):
            count = first * 10**exponent
            if count <= most and room.holds(needed(count, layout, threads)):
                fitting = count
    return fitting
