"""The CUDA kernels for tests: on a GPU, and everywhere by threads of the host."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ON_HOST = Path(__file__).parents[1] / "build" / "cuda_on_host"


@functools.cache
def kernels_on_host() -> ModuleType:
    found = sorted(ON_HOST.glob("_cuda_on_host*.so"))
    if not found:
        pytest.skip("needs the CUDA kernels built for the host, which make test does")
    spec = importlib.util.spec_from_file_location("_cuda_on_host", found[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
