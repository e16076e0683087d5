"""The system's cache of file pages: emptied for cold figures, and asked what it holds. Linux."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np


def drop(path: Path) -> None:
    """Give up the cached pages of a file; those that a process has mapped and touched stay."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # pages that wait to be written would stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def cached_share(path: Path) -> float:
    """The share of a file's pages that are in memory.

    Raises:
        OSError: the system refused.
    """
    mapped = np.memmap(path, np.uint8, "r")
    pages = np.empty(-(-mapped.size // mmap.PAGESIZE), np.uint8)
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    addresses = (ctypes.c_void_p(mapped.ctypes.data), ctypes.c_size_t(mapped.size))
    if mincore(*addresses, ctypes.c_void_p(pages.ctypes.data)) != 0:
        raise OSError(ctypes.get_errno(), f"mincore of {path}")
    return float((pages & 1).mean())


def seconds_to_read(path: Path, size: int) -> float:
    """Read the first ``size`` bytes of a file once, in order, on one thread."""
    buffer = memoryview(bytearray(8 << 20))
    left = size
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while left > 0:
            got = file.readinto(buffer[:left])
            if not got:
                raise EOFError(f"{path}: expected {size:,} bytes; {left:,} are missing")
            left -= got
    return time.perf_counter() - start
