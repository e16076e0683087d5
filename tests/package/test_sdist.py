"""What is given out: the files of the sdist, the metadata and the wheels to build."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

import hashcore

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    build = "import sys; from scikit_build_core import build; build.build_sdist(sys.argv[1])"
    command = [sys.executable, "-c", build, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (archive,) = folder.iterdir()
    assert archive.name == f"hashcore_search-{hashcore.__version__}.tar.gz"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_the_sdist_holds_what_is_tracked_and_nothing_else(sdist: Path) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout to compare with")
    known = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    found = {str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()}
    assert found - known == {"PKG-INFO"}
    assert {name for name in known - found if not name.startswith(".ci/")} == set()


def test_the_metadata_is_what_indexes_ask_for(sdist: Path) -> None:
    metadata = email.message_from_string((sdist / "PKG-INFO").read_text())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Version"] == hashcore.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert not [line for line in metadata.get_all("Classifier", []) if line.startswith("License")]
    assert set(metadata.get_all("Provides-Extra", [])) == set(
        PROJECT["project"]["optional-dependencies"]
    )


def test_cmake_and_python_say_the_same_version() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text()
    assert f"project(hashcore VERSION {PROJECT['project']['version']} " in cmake


def test_cibuildwheel_builds_every_python_for_both_processors() -> None:
    pytest.importorskip("cibuildwheel", reason="needs cibuildwheel, of the extra dev")
    found = set()
    for processor in ("x86_64", "aarch64"):
        command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"]
        command += ["--platform", "linux", "--archs", processor, str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found |= set(done.stdout.split())
    assert found == {
        f"cp3{minor}-manylinux_{processor}"
        for minor in (11, 12, 13, 14)
        for processor in ("x86_64", "aarch64")
    }
