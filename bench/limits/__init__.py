"""What this CPU can do at most: micro-benchmarks in C++, built on first use.

``python -m bench.limits`` prints them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SOURCES = Path(__file__).parent
BUILD = SOURCES.parents[1] / "build" / "limits"
Part = Literal["operations", "scan", "read"]


@dataclass(frozen=True)
class ScanLimits:
    """Upper bounds of a batched scan on one core, pairs a second by 64-bit words of a code.

    Attributes:
        issue_limit: XOR, population count, addition and minimum, measured in their ratio.
        sliced_issue_limit: counting by carry-save adders over bit planes, from the measured rate
            of plain vector logic.
    """

    issue_limit: Mapping[int, float]
    sliced_issue_limit: Mapping[int, float]


@dataclass(frozen=True)
class Limits:
    """Best rates seen; an empty part was not measured.

    Attributes:
        clock: dependent additions a second, one a clock.
        operations: vector operations a second on one core, by level and name.
        scan: bounds of a batched scan, by level.
        read: bytes a second of a streaming read, by threads.
    """

    clock: float = 0.0
    operations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scan: Mapping[str, ScanLimits] = field(default_factory=dict)
    read: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Limits:
        """Read what the program prints, or ``asdict`` made of limits, once it came from JSON."""
        return cls(
            clock=found.get("clock", 0.0),
            operations=found.get("operations", {}),
            scan={
                level: ScanLimits(**{name: _by_number(kind[name]) for name in kind})
                for level, kind in found.get("scan", {}).items()
            },
            read=_by_number(found.get("read", {})),
        )


def _by_number(rates: Mapping[str, float]) -> dict[int, float]:
    return {int(number): rate for number, rate in rates.items()}


def _cmake() -> str:
    beside_python = str(Path(sys.executable).parent)
    cmake = shutil.which("cmake", path=os.pathsep.join([beside_python, os.environ["PATH"]]))
    if cmake is None:
        raise RuntimeError("bench.limits: expected cmake on the PATH; pip install cmake")
    return cmake


def build() -> Path:
    """Build the program where it is out of date.

    Raises:
        RuntimeError: no cmake, or the build failed; the message holds the compiler's words.
    """
    cmake = _cmake()
    for arguments in (["-S", str(SOURCES), "-B", str(BUILD)], ["--build", str(BUILD)]):
        step = subprocess.run([cmake, *arguments], capture_output=True, text=True, check=False)
        if step.returncode != 0:
            raise RuntimeError(f"bench.limits: the build failed\n{step.stdout}{step.stderr}")
    return BUILD / "hashcore_limits"


def measure(program: Path, *parts: Part) -> Limits:
    """Run the program: about a second for all parts, which is also what no part means."""
    done = subprocess.run([program, *parts], capture_output=True, text=True, check=True)
    return Limits.from_dict(json.loads(done.stdout))
