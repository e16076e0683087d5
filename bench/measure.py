"""Timing: contenders take turns, so that a noisy machine hits them alike; medians and ratios."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hashcore


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender: the median of its rounds and the spread around it."""

    median: float
    best: float
    worst: float


def take_turns(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run every contender once to warm up, then ``rounds`` times in alternation."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if round_number > 0:
                seconds[name].append(time.perf_counter() - start)
    return {
        name: Timing(statistics.median(taken), min(taken), max(taken))
        for name, taken in seconds.items()
    }


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    info = hashcore.build_info()
    del info["platform"]  # a kernel's build name says nothing about speed
    return {"cpu": cpu_model(), **info}
