"""What the GPU can do at most, by kernels that nvcc builds on first use."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.gpu_search.workloads import B1_LIMIT, COMPARE_LIMIT, POPC_LIMIT, GpuSearch
from bench.workloads import BANDWIDTH

SOURCE = Path(__file__).with_name("ceilings.cu")
ROOT = SOURCE.parents[2]
BUILD = ROOT / "build" / "limits"
_WORD = 32
_PRODUCT = 256
_CARRY_SAVE = 4


@dataclass(frozen=True)
class Ceilings:
    """Best rates of the device.

    Attributes:
        popcounts: 32-bit words whose bits are counted, a second.
        products: pairs of 256 bits on the binary tensor core, a second; 0 where there is none.
        comparisons: numbers that go into a maximum, a second.
        bytes: read from the device's memory, a second.
    """

    popcounts: float
    products: float
    comparisons: float
    bytes: float

    def shares(self, search: GpuSearch, scan: str, seconds: float) -> dict[str, float]:
        """Of each rate that bounds a search, how much it reached.

        Args:
            scan: that ran: ``"b1"`` or ``"popc"``.
        """
        pairs = search.pairs / seconds
        found = {BANDWIDTH: search.bytes_read / seconds / self.bytes}
        if scan == "popc":
            # From two chunks of 128 bits on, carry-save adders leave one count of four words.
            words = -(-search.bits // _WORD)
            counted = words if search.bits <= _PRODUCT // 2 else -(-words // _CARRY_SAVE)
            found[POPC_LIMIT] = pairs * counted / self.popcounts
        elif self.products > 0:
            found[B1_LIMIT] = pairs * -(-search.bits // _PRODUCT) / self.products
            found[COMPARE_LIMIT] = pairs / self.comparisons
        return found


class _Rates(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in Ceilings.__dataclass_fields__]


def architecture_of(capability: tuple[int, int]) -> str:
    """As nvcc names it; of 9.0 that with the instructions of no other."""
    major, minor = capability
    return f"{major}{minor}" + ("a" if capability == (9, 0) else "")


def command(architecture: str, to: Path, nvcc: str) -> list[str]:
    """That builds the library for an architecture."""
    return [
        nvcc,
        "-std=c++20",
        "-O3",
        "-shared",
        "-cudart=static",
        "-Xcompiler=-fPIC",
        "-Werror=all-warnings",
        f"-gencode=arch=compute_{architecture},code=sm_{architecture}",
        f"-I{ROOT / 'csrc'}",
        str(SOURCE),
        "-o",
        str(to),
    ]


def build(architecture: str, folder: Path = BUILD) -> Path:
    """The library, built where it is older than its source.

    Raises:
        RuntimeError: no nvcc, or the build failed; the message holds the compiler's words.
    """
    to = folder / f"gpu_ceilings_{architecture}.so"
    if to.is_file() and to.stat().st_mtime > SOURCE.stat().st_mtime:
        return to
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise RuntimeError("bench.gpu_search: expected nvcc on the PATH, for the device's limits")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command(architecture, to, nvcc), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"bench.gpu_search: the build failed\n{done.stdout}{done.stderr}")
    return to


def measure(library: Path, buffer_bytes: int) -> Ceilings:
    """On the current device: about a second.

    Raises:
        RuntimeError: CUDA's status is not success, or a kernel failed.
    """
    rates = _Rates()
    call = ctypes.CDLL(str(library)).hashcore_ceilings
    call.argtypes = [ctypes.c_int64, ctypes.POINTER(_Rates)]
    status = call(buffer_bytes, ctypes.byref(rates))
    found = {name: float(getattr(rates, name)) for name in Ceilings.__dataclass_fields__}
    if status != 0 or min(found.values()) < 0:
        raise RuntimeError(f"bench.gpu_search: limits: CUDA error {status}; rates {found}")
    return Ceilings(**found)


def shown(ceilings: Mapping[str, float]) -> list[tuple[str, str]]:
    """Names and figures for people."""
    units = {
        "popcounts": ("counts of 32 bits", "T/s", 1e12),
        "products": ("binary products of 256 bits", "T/s", 1e12),
        "comparisons": ("numbers into maxima", "T/s", 1e12),
        "bytes": ("bytes read", "TB/s", 1e12),
    }
    return [
        (units[name][0], f"{rate / units[name][2]:.3g} {units[name][1]}")
        for name, rate in ceilings.items()
    ]
