"""Memory of this process and of the machine, as Linux tells it, in bytes."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
MEMORY = Path("/proc/meminfo")


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(f"{path} has no {name}")


def available() -> int:
    """Memory that a program can have without swapping: free, or a cache that can go."""
    return _field(MEMORY, "MemAvailable")


def anonymous() -> int:
    """Memory that this process alone holds; mapped files are not in it."""
    return _field(STATUS, "RssAnon")


def resident() -> int:
    """What is resident now, pages of mapped files included."""
    return _field(STATUS, "VmRSS")


def forget_peak() -> None:
    """Let `peak_resident` count from now on."""
    CLEAR.write_text("5")


def peak_resident() -> int:
    """Most that was ever resident, or since `forget_peak`, pages of mapped files included.

    ``ru_maxrss`` would count what the process that started this one held.
    """
    return _field(STATUS, "VmHWM")


class AnonymousPeak:
    """Samples the anonymous memory of this process while a ``with`` block runs.

    Attributes:
        peak: the most that a sample showed.
    """

    def __init__(self, seconds_between: float = 0.01) -> None:
        self.peak = 0
        self._seconds_between = seconds_between
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _sample(self) -> None:
        self.peak = max(self.peak, anonymous())

    def _watch(self) -> None:
        while not self._done.wait(self._seconds_between):
            self._sample()
