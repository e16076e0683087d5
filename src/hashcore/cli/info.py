"""`hashcore info`: what is installed and what this machine can do."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hashcore._extras import EXTRAS, pip_install
from hashcore.cli._parse import as_json, parse

_DESCRIPTION = """Show the version, the CPU levels, the GPUs, the build and the optional packages.

Example:  hashcore info --json"""


@dataclass(frozen=True)
class InfoOptions:
    """Options of `hashcore info`."""

    json: bool = False
    """Print JSON instead of lines."""


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def collect() -> dict[str, Any]:
    """All that is shown."""
    import hashcore
    from hashcore._gpu import cuda_info

    return {
        "hashcore": hashcore.__version__,
        "build": hashcore.build_info(),
        "cpus": os.cpu_count(),
        "gpu": cuda_info(),
        "packages": {
            extra: {name: _version_of(name) for name in modules.values()}
            for extra, modules in EXTRAS.items()
        },
    }


def _gpus(driver: str | None, devices: list[dict[str, Any]], missing: str | None) -> str:
    if missing is not None:
        return missing
    each = (
        f"{device['name']} (compute capability {'.'.join(map(str, device['compute_capability']))}, "
        f"{device['memory'] / 1e9:.0f} GB)"
        for device in devices
    )
    return f"{'; '.join(each)}; driver for CUDA {driver}"


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(InfoOptions, args, command="info", description=_DESCRIPTION)
    found = collect()
    if options.json:
        print(as_json(found))
        return 0
    rows = {"hashcore": found["hashcore"], "cpus": found["cpus"]}
    for key, value in found["build"].items():
        if key != "version":
            rows[key.replace("_", " ")] = " ".join(value) if isinstance(value, list) else value
    rows["gpu"] = _gpus(**found["gpu"])
    for extra, packages in found["packages"].items():
        missing = [name for name, version in packages.items() if version is None]
        have = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
        hint = f"missing {', '.join(missing)}: {pip_install(extra)}"
        rows[f"extra {extra}"] = "; ".join(filter(None, [have, hint if missing else ""]))
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
    return 0
