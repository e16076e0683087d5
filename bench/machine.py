"""What figures were taken on."""

from __future__ import annotations

import platform
from pathlib import Path

import hashcore


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine() -> dict[str, object]:
    """Processor, versions, instruction-set level and threads."""
    info = hashcore.build_info()
    del info["platform"]  # a kernel's build name says nothing about speed
    return {"cpu": cpu_model(), **info}
