"""The CUDA half of the engine, which is loaded when it is first needed."""

from __future__ import annotations

import functools
from types import ModuleType

from hashcore import _core

_OLDEST_DRIVER = 12000


@functools.cache
def cuda_kernels() -> ModuleType:
    """The compiled kernels, on a machine that can run them.

    Raises:
        RuntimeError: there are none, or no GPU; the message says what is missing.
    """
    if not _core.cuda_architectures:
        raise RuntimeError(
            "CUDA: this hashcore was built without it; install hashcore from source where nvcc "
            "12.8 or newer is on the PATH, or use the CPU"
        )
    from hashcore import _cuda

    driver = _cuda.driver_version()
    if driver < _OLDEST_DRIVER:
        found = f"one for CUDA {_version(driver)}" if driver else "none"
        raise RuntimeError(
            f"CUDA: expected an NVIDIA driver for CUDA {_version(_OLDEST_DRIVER)} or newer; found "
            f"{found}; install one, or use the CPU"
        )
    if not _cuda.devices():
        raise RuntimeError("CUDA: the driver sees no GPU; look at nvidia-smi, or use the CPU")
    return _cuda


@functools.cache
def why_no_cuda() -> str | None:
    """What keeps the CUDA kernels from running here; None where they run."""
    try:
        cuda_kernels()
    except RuntimeError as error:
        return str(error)
    return None


def cuda_info() -> dict[str, object]:
    """The driver's CUDA version and the GPUs, or what is missing."""
    missing = why_no_cuda()
    if missing is not None:
        return {"driver": None, "devices": [], "missing": missing}
    kernels = cuda_kernels()
    driver = _version(kernels.driver_version())
    return {"driver": driver, "devices": kernels.devices(), "missing": None}


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
