"""What can be known of the CUDA kernels without a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
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
# Those with the instructions that a source is written for.
ONLY_FOR = {"scan_b1_mma.cu": ("80", "86", "89"), "scan_b1_wgmma.cu": ("90a",)}
NVCC = shutil.which("nvcc")


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
@pytest.mark.parametrize("source", sorted(path.name for path in CUDA.glob("*.cu")))
def test_every_architecture_compiles_and_no_kernel_spills(source: str, tmp_path: Path) -> None:
    assert NVCC is not None
    architectures = ONLY_FOR.get(source, RELEASED)
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    command = [NVCC, "-std=c++20", "-O3", "-Werror=all-warnings", "--resource-usage", *targets]
    command += [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc/include'}"]
    command += ["-c", str(CUDA / source), "-o", str(tmp_path / "kernels.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kernels = done.stderr.count("Function properties")
    kept = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", done.stderr)
    assert len(kept) == kernels
    assert set(kept) <= {("0", "0")}
    in_source = len(re.findall(r"^__global__", (CUDA / source).read_text(), re.MULTILINE))
    assert kernels >= in_source * len(architectures)


def instructions_of(source: str, architecture: str, folder: Path) -> dict[str, list[str]]:
    """What each kernel of a source executes, in order, by its mangled name."""
    assert NVCC is not None
    target = f"-gencode=arch=compute_{architecture},code=sm_{architecture}"
    command = [
        NVCC,
        "-std=c++20",
        "-O3",
        target,
        f"-I{ROOT / 'csrc'}",
        f"-I{ROOT / 'csrc/include'}",
    ]
    command += ["-cubin", str(CUDA / source), "-o", str(folder / "kernels.cubin")]
    subprocess.run(command, check=True)
    assert NVDISASM is not None
    listing = subprocess.run(
        [NVDISASM, "-c", str(folder / "kernels.cubin")], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, list[str]] = {}
    for part in listing.split("\t.section\t")[1:]:
        named = re.match(r"\.text\.(\w+)", part)
        lines = re.findall(r"^\s+/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\d+ )?(\S+)", part, re.MULTILINE)
        if named is not None:
            found[named[1]] = lines
    return found


def disassembler() -> str | None:
    """Of the toolkit, or of the package nvidia-cuda-nvdisasm."""
    packaged = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin" / "nvdisasm"
    return str(packaged) if packaged.is_file() else shutil.which("nvdisasm")


NVDISASM = disassembler()
needs_listing = pytest.mark.skipif(
    NVCC is None or NVDISASM is None,
    reason="needs nvcc and nvdisasm; pip install nvidia-cuda-nvdisasm",
)


@needs_listing
def test_products_of_hopper_are_single_instructions(tmp_path: Path) -> None:
    """As many products a tile as codes have parts of 256 bits, and nothing kept in memory."""
    kernels = instructions_of("scan_b1_wgmma.cu", "90a", tmp_path)
    named = {
        name: (int(found[1]), found[2] == "1")
        for name in kernels
        if (found := re.search(r"scan_tilesILi(\d)ELb([01])ELb[01]E", name)) is not None
    }
    assert sorted(named.values()) == [
        (1, False),
        (1, True),
        (2, False),
        (3, False),
        *[(4, False)] * 2,
    ]
    for name, (products, complemented) in named.items():
        code = kernels[name]
        assert sum(op.startswith("BGMMA.64x256x256.AND.POPC") for op in code) == products
        assert not [op for op in code if re.match(r"CALL|LDL|STL|POPC\.64|BMMA", op)]
        first = next(i for i, op in enumerate(code) if op.startswith("BGMMA"))
        vote = next(i for i, op in enumerate(code) if i > first and op.startswith("VOTE"))
        between = code[first:vote]
        # Of 128 products a thread, two an instruction.
        compare = "VIMNMX3" if complemented else "VIADDMNMX.S16x2"
        assert 60 <= sum(op.startswith(compare) for op in between) <= 66
        assert sum(op.startswith("LDS.128") for op in between) == (0 if complemented else 8)
        assert len(between) < (120 if complemented else 260)
        assert any(op.startswith("UBLKCP") for op in code)
        assert sum(op.startswith("USETMAXREG") for op in code) == 2


@needs_listing
@pytest.mark.parametrize("architecture", ["80", "89"])
def test_products_of_ampere_are_single_instructions(architecture: str, tmp_path: Path) -> None:
    for name, code in instructions_of("scan_b1_mma.cu", architecture, tmp_path).items():
        found = re.search(r"scan_columnsILi(\d)ELb([01])E", name)
        assert found is not None
        shape = "168128" if found[2] == "1" else "168256"
        products = [op for op in code if op.startswith("BMMA")]
        assert products == [f"BMMA.{shape}.XOR.POPC"] * (8 * int(found[1]))  # of 64 x 16
        assert not [op for op in code if re.match(r"LDL|STL", op)]


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
