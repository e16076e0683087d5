"""What the engine runs on: instruction-set level, threads, how it was built."""

from __future__ import annotations

import platform

import numpy as np

from hashcore import _core


def isa() -> str:
    """Name the instruction-set level in use: ``HASHCORE_ISA`` if set, else the best this CPU has.

    Raises:
        ValueError: ``HASHCORE_ISA`` names a level that this CPU does not have; the message lists
            those that it has.
    """
    return _core.isa()


def isa_levels() -> list[str]:
    """List the instruction-set levels that this CPU can run, slowest first."""
    return _core.isa_levels()


def num_threads() -> int:
    """Threads of a call that does not say: as set, ``HASHCORE_NUM_THREADS``, or all CPUs."""
    return _core.num_threads()


def set_num_threads(count: int | None) -> None:
    """Set the threads of every later call without ``threads=``; ``None`` restores the default."""
    _core.set_num_threads(count)


def build_info() -> dict[str, object]:
    """Tell how the engine was built and what it runs on, for bug reports and bench results."""
    return {
        "version": _core.version,
        "compiler": _core.compiler,
        "isa": isa(),
        "isa_levels": isa_levels(),
        "isa_levels_compiled": _core.isa_levels_compiled(),
        "threads": num_threads(),
        "cuda": _core.cuda_architectures.split(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
