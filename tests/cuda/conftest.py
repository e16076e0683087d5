from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cuda_device import kernels_on_host
from gpu_doubles import Cupy
from hashcore import _gpu_codes, _gpu_search
from hashcore._gpu import why_no_cuda

GPUS = [pytest.param("gpu", marks=pytest.mark.gpu)] if why_no_cuda() is None else []


@pytest.fixture(params=["host", *GPUS])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the kernels that ``device="cuda"`` means: a GPU's, and those built for the host."""
    if request.param == "host":
        use_host(monkeypatch)
    return "cuda"


@pytest.fixture
def on_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels built for the host stand for a GPU."""
    use_host(monkeypatch)


def use_host(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = kernels_on_host()
    monkeypatch.setattr(_gpu_codes, "cuda_kernels", lambda: kernels)


@pytest.fixture(params=["plain", "overflow", "streamed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes rooms so small that every way through a search is taken."""
    name: str = request.param
    if name == "overflow":
        monkeypatch.setenv("HASHCORE_TEST_HITS", "1")
        monkeypatch.setattr(_gpu_search, "MOST_QUERIES", 2)
    elif name == "streamed":
        monkeypatch.setattr(_gpu_codes, "MOST_OF_MEMORY", 0.0)
        monkeypatch.setattr(_gpu_codes, "PIECE_BYTES", 1)
        monkeypatch.setattr(_gpu_codes, "STAGE_BYTES", 700)
        monkeypatch.setattr(_gpu_search, "HITS_BYTES", 1)
        monkeypatch.setattr(_gpu_search, "ROWS_A_GROUP", 32)
    return name


@pytest.fixture
def pretend(on_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(cuda_stream=16, ptr=32)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    cupy = SimpleNamespace(
        cuda=SimpleNamespace(get_current_stream=lambda: stream),
        empty=lambda shape, dtype: Cupy(np.full(shape, 7, dtype)),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(torch.Tensor, "get_device", lambda tensor: 0)
