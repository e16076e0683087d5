"""Figures of a broken engine mislead: nothing is measured until the tests passed on this tree."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCES = ("csrc", "python", "src", "tests", "CMakeLists.txt", "pyproject.toml")


def _files(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            built = file.suffix == ".so" or "__pycache__" in file.parts
            if file.is_file() and not built:
                yield file


def tree_digest(root: Path) -> str:
    """SHA-256 over the names and contents of what the tests depend on."""
    digest = hashlib.sha256()
    for file in _files(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def tests_pass(root: Path) -> bool:
    """Run the test suite as ``make test`` does, its progress on the terminal."""
    command = [sys.executable, "-m", "pytest", "-n", "2", "-q", "--tb=short"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode == 0


def is_green(root: Path, run_tests: Callable[[Path], bool] = tests_pass) -> bool:
    """Whether the tests pass on this tree; they run unless they are known to.

    A green run leaves the tree's digest in ``build/bench/green``.
    """
    record = root / "build" / "bench" / "green"
    digest = tree_digest(root)
    if record.is_file() and record.read_text() == digest:
        return True
    record.unlink(missing_ok=True)
    if not run_tests(root):
        return False
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(digest)
    return True
