"""The program that tries an installed hashcore works in this environment too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hashcore

SMOKE = Path(__file__).resolve().parents[1] / "smoke.py"


def test_the_smoke_test_passes(tmp_path: Path) -> None:
    command = [sys.executable, str(SMOKE)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"hashcore {hashcore.__version__}, ")
