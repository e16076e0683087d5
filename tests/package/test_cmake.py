"""The engine in other people's CMake projects, installed and as sources."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hashcore
import reference

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "cpp"
# CMake and Ninja stand beside this Python, or are those of the system.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
NATIVE = ROOT / "build" / ".native"

pytestmark = pytest.mark.skipif(
    not NATIVE.is_file(), reason="no native build beside the sources; make test makes one"
)


def run(*command: str | Path, cwd: Path | None = None, fails: bool = False) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def configure(source: Path, build: Path, *defines: str, fails: bool = False) -> str:
    flags = [f"-D{define}" for define in (*defines, "CMAKE_BUILD_TYPE=Debug")]
    return run("cmake", "-G", "Ninja", "-S", source, "-B", build, *flags, fails=fails)


@pytest.fixture(scope="module")
def native() -> Path:
    """The build folder of the engine that ``make test`` tests."""
    return ROOT / NATIVE.read_text().strip()


@pytest.fixture(scope="module")
def prefix(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where that build is installed, as C++ users do."""
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", native, "--component", "hashcore_development", "--prefix", folder)
    return folder


def check_answers(program: Path, folder: Path) -> None:
    """What the example prints is the truth about the codes in the file that it saved."""
    lines = run(program, folder / "codes.hci").splitlines()
    index = hashcore.Index.load(folder / "codes.hci")
    assert (len(index), index.bits, index.kind) == (10_000, 100, "flat")
    assert lines[0] == f"10000 codes of 100 bits at level {hashcore.isa()}"
    codes = index.get(index.ids)
    distances, ids = reference.knn(codes, codes[:3], 5, bits=100)[:2]
    expected = [
        f"{query} {distances[query, hit]} {ids[query, hit]}"
        for query in range(3)
        for hit in range(5)
    ]
    assert lines[1:] == expected


def test_the_example_finds_the_installed_engine(prefix: Path, tmp_path: Path) -> None:
    configure(EXAMPLE, tmp_path / "build", f"CMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    check_answers(tmp_path / "build" / "search", tmp_path)


def test_the_example_builds_beside_the_sources(
    native: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Without --compile, the library of make test takes the place of its own."""
    build = tmp_path / "build"
    log = configure(EXAMPLE, build, f"HASHCORE_SOURCE={ROOT}")
    assert "CUDA kernels: OFF" in log
    if pytestconfig.getoption("--compile"):
        run("cmake", "--build", build)
    else:
        engine = "hashcore/CMakeFiles/hashcore_engine.dir/csrc/cpu/dispatch.cpp.o"
        run("ninja", "CMakeFiles/search.dir/search.cpp.o", engine, cwd=build)
        shutil.copy(native / "libhashcore_engine.a", build / "hashcore")
        (link,) = [
            line
            for line in run("ninja", "-t", "commands", "-s", "search", cwd=build).splitlines()
            if line.rstrip().endswith("&& :")
        ]
        run("sh", "-c", link, cwd=build)
    check_answers(build / "search", tmp_path)


def test_the_prefix_holds_the_public_headers_and_no_python(prefix: Path) -> None:
    found = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    headers = {f"include/hashcore/{path.name}" for path in ROOT.glob("csrc/include/hashcore/*.h")}
    assert len(headers) > 5
    assert {path for path in found if path.startswith("include/")} == headers
    rest = {Path(path).name for path in found - headers}
    settings = {name for name in rest if name.startswith("hashcore-targets-")}
    assert len(settings) == 1  # of the build type
    assert rest - settings == {
        "libhashcore_engine.a",
        "hashcore-config.cmake",
        "hashcore-config-version.cmake",
        "hashcore-targets.cmake",
    }


def test_a_public_header_needs_no_other_header_first(prefix: Path, tmp_path: Path) -> None:
    headers = sorted(path.name for path in (prefix / "include" / "hashcore").iterdir())
    for header in headers:
        (tmp_path / f"{header}.cpp").write_text(f"#include <hashcore/{header}>\n")
    units = " ".join(f"{header}.cpp" for header in headers)
    (tmp_path / "CMakeLists.txt").write_text(f"""
cmake_minimum_required(VERSION 3.24)
project(consumer LANGUAGES CXX)
find_package(hashcore {hashcore.__version__} REQUIRED)
add_library(consumer OBJECT {units})
target_link_libraries(consumer PRIVATE hashcore::engine)
target_compile_options(consumer PRIVATE -fsyntax-only -Wall -Wextra -Werror)
""")
    configure(tmp_path, tmp_path / "build", f"CMAKE_PREFIX_PATH={prefix}")
    commands = run("ninja", "-t", "commands", "consumer", cwd=tmp_path / "build").splitlines()
    compiles = [line for line in commands if "-fsyntax-only" in line]
    assert len(compiles) == len(headers)
    for line in compiles:  # by hand, for no object is written
        run(*shlex.split(line), cwd=tmp_path / "build")


@pytest.mark.parametrize("version", ["0.0", "0.2", "1.0"])
def test_another_minor_version_is_not_taken(prefix: Path, tmp_path: Path, version: str) -> None:
    (tmp_path / "CMakeLists.txt").write_text(f"""
cmake_minimum_required(VERSION 3.24)
project(consumer LANGUAGES CXX)
find_package(hashcore {version} REQUIRED)
""")
    log = configure(tmp_path, tmp_path / "build", f"CMAKE_PREFIX_PATH={prefix}", fails=True)
    assert f'compatible with requested version "{version}"' in " ".join(log.split())
    assert f"version: {hashcore.__version__}" in log
