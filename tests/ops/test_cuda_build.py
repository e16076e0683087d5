"""What can be known of the CUDA kernels without a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import hashcore
from hashcore import _gpu, ops
from hashcore.ops import _library

ROOT = Path(__file__).resolve().parents[2]
CUDA = ROOT / "csrc" / "cuda"
RELEASED = ("80", "86", "89", "90", "120")
NVCC = shutil.which("nvcc")


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
@pytest.mark.parametrize("source", sorted(path.name for path in CUDA.glob("*.cu")))
def test_every_architecture_compiles_and_no_kernel_spills(source: str, tmp_path: Path) -> None:
    assert NVCC is not None
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in RELEASED]
    command = [NVCC, "-std=c++20", "-O3", "--resource-usage", *targets]
    command += [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc/include'}"]
    command += ["-c", str(CUDA / source), "-o", str(tmp_path / "kernels.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kernels = done.stderr.count("Function properties")
    kept = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", done.stderr)
    assert len(kept) == kernels
    assert set(kept) <= {("0", "0")}
    in_source = len(re.findall(r"^__global__", (CUDA / source).read_text(), re.MULTILINE))
    assert kernels >= in_source * len(RELEASED)


@pytest.mark.skipif(not hashcore._core.cuda_architectures, reason="built without CUDA")
@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
def test_the_module_needs_no_library_of_cuda_or_pytorch() -> None:
    from hashcore import _cuda

    listing = subprocess.run(
        ["readelf", "--dynamic", str(_cuda.__file__)], capture_output=True, text=True, check=True
    ).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", listing)
    assert any(name.startswith("libc.") for name in needed)
    assert not [name for name in needed if re.match(r"lib(cuda|cudart|torch|c10|nv)", name)]


def test_nothing_of_cuda_is_loaded_before_it_is_used() -> None:
    program = "import hashcore.ops, sys; print('hashcore._cuda' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.fixture
def forget_what_was_found() -> None:
    _gpu.cuda_kernels.cache_clear()
    _gpu.why_no_cuda.cache_clear()


@pytest.mark.usefixtures("forget_what_was_found")
@pytest.mark.parametrize(
    ("architectures", "driver", "devices", "said"),
    [
        ("", 0, [], "CUDA: this hashcore was built without it; install hashcore from source"),
        ("90-real", 0, [], "CUDA: expected an NVIDIA driver for CUDA 12.0 or newer; found none;"),
        ("90-real", 11040, [], "found one for CUDA 11.4; install one, or use the CPU"),
        ("90-real", 13000, [], "CUDA: the driver sees no GPU; look at nvidia-smi, or use the CPU"),
    ],
)
def test_what_is_missing_is_said(
    architectures: str,
    driver: int,
    devices: list[object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = SimpleNamespace(driver_version=lambda: driver, devices=lambda: devices)
    monkeypatch.setattr(hashcore._core, "cuda_architectures", architectures)
    monkeypatch.setattr(hashcore, "_cuda", module, raising=False)
    monkeypatch.setitem(sys.modules, "hashcore._cuda", module)
    with pytest.raises(RuntimeError, match=re.escape(said)) as error:
        _gpu.cuda_kernels()
    assert "\n" not in str(error.value)
    assert _gpu.cuda_info() == {"driver": None, "devices": [], "missing": str(error.value)}
    _gpu.cuda_kernels.cache_clear()
    _gpu.why_no_cuda.cache_clear()


def test_without_kernels_plain_pytorch_computes_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_library, "why_no_cuda", lambda: "CUDA: no driver")
    on_gpu = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    with pytest.warns(UserWarning, match=r"plain PyTorch computes the losses\. CUDA: no driver"):
        assert not _library.has_kernel(on_gpu)  # type: ignore[arg-type]
    monkeypatch.setattr(_library, "why_no_cuda", lambda: None)
    assert _library.has_kernel(on_gpu)  # type: ignore[arg-type]
    on_gpu.dtype = torch.float64
    assert not _library.has_kernel(on_gpu)  # type: ignore[arg-type]
    assert _library.has_kernel(on_gpu, float64_on_cuda=True)  # type: ignore[arg-type]
    meta = torch.zeros(3, 4, device="meta")
    assert not _library.has_kernel(meta)
    assert ops.pack_sign(meta).shape == (3, 1)
