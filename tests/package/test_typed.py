"""The types of hashcore, as a project that has it installed sees them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest

import hashcore

CONSUMER = """
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import hashcore
from hashcore import metrics

codes = hashcore.pack(np.zeros((3, 64), dtype=np.float32))
assert_type(codes, NDArray[np.uint8])
index = hashcore.Index(bits=64, kind="mih")
assert_type(index.add(codes), NDArray[np.int64])
result = index.search(codes, k=2, filter=hashcore.Filter.allow(np.array([1])))
assert_type(result, hashcore.SearchResult)
assert_type(result.ids, NDArray[np.int64])
assert_type(index.remove(result.ids[0]), int)
report = metrics.evaluate(codes, codes, np.arange(3), np.arange(3))
assert_type(report, metrics.Report)
"""
WRONG = """
import hashcore

hashcore.Index(bits="64")
hashcore.Index(64).search(b"", neighbours=3)
"""


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of this project, and an environment with hashcore and NumPy only."""
    folder = tmp_path_factory.mktemp("consumer")
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env").glob("lib/python3*/site-packages")
    shutil.copytree(Path(hashcore.__file__).parent, packages / "hashcore")
    (packages / "numpy").symlink_to(Path(np.__file__).parent)
    (folder / "good.py").write_text(CONSUMER)
    (folder / "wrong.py").write_text(WRONG)
    return folder


def mypy(folder: Path, file: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")]
    command += ["--python-executable", str(folder / "env" / "bin" / "python"), file]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_mypy_knows_the_types(consumer: Path) -> None:
    good = mypy(consumer, "good.py")
    assert good.returncode == 0, good.stdout + good.stderr
    wrong = mypy(consumer, "wrong.py").stdout
    assert "wrong.py:4: error" in wrong
    assert "wrong.py:5: error" in wrong


def test_mypy_asks_for_the_marker(consumer: Path) -> None:
    """Without py.typed the types would not be read, so that the test above sees it honoured."""
    (marker,) = consumer.glob("env/lib/python3*/site-packages/hashcore/py.typed")
    marker.rename(marker.with_suffix(".away"))
    try:
        assert "py.typed marker" in mypy(consumer, "good.py").stdout
    finally:
        marker.with_suffix(".away").rename(marker)


def test_pyright_knows_the_types(consumer: Path) -> None:
    """By basedpyright, which brings pyright's checker in a wheel."""
    program = shutil.which("basedpyright", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("needs basedpyright, of the extra dev")
    (consumer / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11"})
    )
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if version.returncode != 0:
        pytest.skip(f"basedpyright does not run here: {version.stderr.strip()[:100]}")

    def check(file: str) -> list[dict[str, object]]:
        python = str(consumer / "env" / "bin" / "python")
        command = [program, "--outputjson", "--pythonpath", python, file]
        done = subprocess.run(command, cwd=consumer, capture_output=True, text=True, check=False)
        found: list[dict[str, object]] = json.loads(done.stdout)["generalDiagnostics"]
        return [one for one in found if one["severity"] == "error"]

    assert check("good.py") == []
    rules = [one["rule"] for one in check("wrong.py")]
    assert rules == ["reportArgumentType", "reportCallIssue"]
