"""The laws of the house: who may import whom, and what an import costs."""

from __future__ import annotations

import ast
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hashcore

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "hashcore"
CSRC = ROOT / "csrc"


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def imports_of(part: str) -> dict[str, set[str]]:
    paths = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").is_file() else []
    paths += sorted((PACKAGE / part).rglob("*.py"))
    assert paths, part
    return {str(path.relative_to(PACKAGE)): imported_modules(path) for path in paths}


PARTS = sorted(
    {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
)
FORBIDDEN = {
    "codes": ("torch", "hashcore.train", "hashcore.methods", "hashcore.search", "hashcore.metrics"),
    "search": (
        "torch",
        "hashcore.train",
        "hashcore.methods",
        "hashcore.metrics",
        "hashcore.rescoring",
    ),
    "results": ("torch", "hashcore.search", "hashcore.index", "hashcore._core"),
    "index": (
        "torch",
        "hashcore.train",
        "hashcore.methods",
        "hashcore.metrics",
        "hashcore.rescoring",
    ),
    "rescoring": ("torch", "hashcore.train", "hashcore.methods", "hashcore.metrics"),
    "metrics": ("torch", "hashcore.train", "hashcore.methods"),
    "data": ("torch", "hashcore.train", "hashcore.methods", "hashcore._core"),
    "ops": ("hashcore.train", "hashcore.methods", "hashcore.data"),
    "methods": ("hashcore.train", "hashcore._core", "hashcore.search", "hashcore.report"),
    "train": ("hashcore.cli", "hashcore.report", "hashcore._core"),
    "plot": ("torch", "hashcore.train", "hashcore.methods", "hashcore.report", "hashcore._core"),
    "report": ("hashcore.cli", "hashcore._core"),
    "experiments": ("hashcore.cli", "hashcore._core"),
    "distributed": (
        "torch",
        "hashcore.train",
        "hashcore.methods",
        "hashcore.metrics",
        "hashcore.data",
        "hashcore.cli",
        "hashcore._core",
    ),
    "compat": (
        "hashcore._core",
        "hashcore.train",
        "hashcore.methods",
        "hashcore.data",
        "hashcore.experiments",
        "hashcore.report",
        "hashcore.cli",
    ),
}


@pytest.mark.parametrize(("part", "forbidden"), FORBIDDEN.items(), ids=FORBIDDEN.keys())
def test_data_flows_one_way(part: str, forbidden: tuple[str, ...]) -> None:
    for path, modules in imports_of(part).items():
        for module in modules:
            assert not any(module == name or module.startswith(name + ".") for name in forbidden), (
                f"{path} imports {module}"
            )


def test_only_the_engine_side_imports_the_extension() -> None:
    allowed = {
        "__init__",
        "codes",
        "index",
        "search",
        "rescoring",
        "metrics",
        "ops",
        "runtime",
        "_gpu",
        "_gpu_checks",
        "_gpu_index",
    }
    for part in PARTS:
        for path, modules in imports_of(part).items():
            if "hashcore._core" in modules:
                assert part in allowed, f"{path} imports hashcore._core"


def test_nothing_imports_the_trainer_but_the_outermost_parts() -> None:
    for part in PARTS:
        if part in {"train", "cli", "experiments", "report"}:
            continue
        for path, modules in imports_of(part).items():
            assert not any(m.startswith("hashcore.train") for m in modules), path


def test_nothing_imports_the_experiments_but_the_command_line() -> None:
    for part in PARTS:
        if part in {"experiments", "cli"}:
            continue
        for path, modules in imports_of(part).items():
            assert not any(m.startswith("hashcore.experiments") for m in modules), path


def test_only_its_own_part_imports_ray() -> None:
    for part in PARTS:
        for path, modules in imports_of(part).items():
            if not path.startswith("distributed/ray/"):
                imported = {module for module in modules if module.split(".")[0] == "ray"}
                assert not imported, path
            if part != "distributed":
                assert not any(m.startswith("hashcore.distributed") for m in modules), path


def test_nothing_imports_what_stands_in_for_others_but_the_outermost_parts() -> None:
    for part in PARTS:
        if part in {"compat", "cli", "experiments", "report", "plot"}:
            continue
        for path, modules in imports_of(part).items():
            assert not any(m.startswith("hashcore.compat") for m in modules), path


def test_the_engine_includes_no_python_and_no_torch() -> None:
    sources = [p for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".cu"}]
    assert len(sources) > 15
    for path in sources:
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                assert not any(word in line for word in ("Python.h", "pybind11", "torch")), path


ENGINE_BELOW = {
    "core": (),
    "cpu": ("core",),
    "metrics": ("core", "cpu"),
    "mih": ("core", "cpu"),
    "index": ("core", "cpu", "mih"),
    "ops": ("core", "cpu"),
    "cuda": ("core",),
}


@pytest.mark.parametrize(("folder", "below"), ENGINE_BELOW.items(), ids=ENGINE_BELOW.keys())
def test_the_engine_flows_one_way(folder: str, below: tuple[str, ...]) -> None:
    sources = [p for p in (CSRC / folder).rglob("*") if p.suffix in {".h", ".cpp", ".cu"}]
    assert sources
    for path in sources:
        for included in re.findall(r'#include "([^/"]+)/', path.read_text()):
            assert included in {"hashcore", folder, *below}, f"{path} includes {included}/"


def test_isa_units_include_intrinsics_and_kernels_only() -> None:
    allowed = {"<immintrin.h>", "<arm_neon.h>", "<cstddef>", "<cstdint>"}
    # What of it is public as well: plain structures.
    shared = CSRC / "include/hashcore/relaxed_sign.h"
    allowed.add(f'"hashcore/{shared.name}"')
    folders = [*CSRC.glob("cpu/isa/*"), *CSRC.glob("cpu/kernels/*")]
    files = [*folders, CSRC / "cpu/kernel_table.h", shared]
    for path in files:
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                included = line.split()[1]
                assert included in allowed or included.startswith('"cpu/'), f"{path}: {line}"


def test_isa_objects_export_their_table_and_no_weak_symbol() -> None:
    """A weak symbol could replace the baseline's copy with wider instructions at link time."""
    objects = sorted(ROOT.glob("build/*/CMakeFiles/hashcore_isa.dir/csrc/cpu/isa/*.o"))
    if not objects:
        pytest.skip("no build folder beside the sources; make test builds one")
    names = {path.name.split(".")[0] for path in objects}
    assert names == set(hashcore._core.isa_levels_compiled())
    for path in objects:
        table = subprocess.run(
            ["nm", "--defined-only", "--extern-only", path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\n")[:-1]
        kinds = {line.split()[-2] for line in table}
        assert len(table) == 1, table
        assert kinds <= {"R", "D"}, table


# Mnemonics that begin with v are VEX or EVEX, those with k work on masks.
BEYOND_SSE2 = re.compile(r"[vk]\w+|popcnt|lzcnt|andn|bextr|bls\w+|mulx|pdep|pext|rorx|s[ahlr]+x")
BEYOND_AVX2 = re.compile(r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|2\d|3[01])")


def instructions(path: Path) -> list[str]:
    """What an object executes, in AT&T syntax: a mnemonic and its operands each."""
    listing = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", "--wide", path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [line.split("\t", 1)[1] for line in listing.splitlines() if "\t" in line]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the instructions of x86-64 only")
@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump")
def test_no_object_has_instructions_above_its_level() -> None:
    """One of them in baseline code ends the process on an older CPU."""
    targets = ("_core", "hashcore_engine", "hashcore_isa")
    objects = [o for t in targets for o in ROOT.glob(f"build/*/CMakeFiles/{t}.dir/**/*.o")]
    if not objects:
        pytest.skip("no build folder beside the sources; make test builds one")
    assert {path.name for path in objects} > {"portable.cpp.o", "flat_scan.cpp.o", "module.cpp.o"}
    for path in objects:
        level = path.name.split(".")[0] if path.parent.name == "isa" else "portable"
        code = instructions(path)
        assert code, path
        mnemonics = {word for line in code for word in line.split()[:2] if word.isalnum()}
        if level == "portable":
            found = sorted(filter(BEYOND_SSE2.fullmatch, mnemonics))
        elif level == "avx2":
            found = sorted(filter(BEYOND_AVX2.search, code))
        elif level == "avx512":
            found = sorted(word for word in mnemonics if word.startswith("vpopcnt"))
        else:
            found = []
        assert not found, f"{path}: {found[:5]}"


def test_import_is_light() -> None:
    script = """
import sys, time
import numpy
start = time.process_time()
import hashcore
seconds = time.process_time() - start
import hashcore.compat.faiss
import hashcore.distributed
heavy = {"torch", "matplotlib", "scipy", "h5py", "tqdm", "tyro", "cupy", "numba"}
heavy |= {"faiss", "pyarrow", "ray", "sklearn"}
heavy &= set(sys.modules)
print(seconds, sorted(heavy))
"""
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        .stdout.strip()
        .split(" ", 1)
        for _ in range(3)
    ]
    assert {heavy for _, heavy in runs} == {"[]"}
    assert min(float(seconds) for seconds, _ in runs) < 0.15


def test_files_stay_readable() -> None:
    sources = [path for path in CSRC.rglob("*") if path.suffix in {".cpp", ".h", ".cu"}]
    for path in [*PACKAGE.rglob("*.py"), *sources]:
        assert len(path.read_text().splitlines()) <= 400, f"{path} asks for a second look"
