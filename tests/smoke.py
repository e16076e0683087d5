"""What an installed hashcore must do with NumPy alone: pack, index, search, save, load.

A program and no test: run it in the environment that is to be tried, as ``make wheel`` does.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata, util
from pathlib import Path

import numpy as np

import hashcore


def search_in(folder: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2_000, 100)).astype(np.float32)
    codes = hashcore.pack(vectors)
    distances = (np.packbits(vectors > 0, axis=1)[:3, None] ^ codes).astype(np.uint8)
    distances = np.unpackbits(distances, axis=2).sum(axis=2)  # [3, 2000]
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :10]

    for kind in ("flat", "mih"):
        index = hashcore.Index(100, kind)
        index.add(codes)
        index.save(folder / f"{kind}.hci")
        for searched in (index, hashcore.Index.load(folder / f"{kind}.hci", mmap=True)):
            result = searched.search(codes[:3], k=10)
            assert result.ids.tolist() == nearest.tolist(), kind
            assert result.distances[:, 0].tolist() == [0, 0, 0], kind


def missing_extra() -> str:
    """What the command line says; without its extra, how to get that."""
    command = Path(sysconfig.get_path("scripts")) / "hashcore"
    done = subprocess.run([command, "info"], capture_output=True, text=True, check=False)
    if util.find_spec("tyro") is None:
        assert done.returncode == 2, done
        assert 'pip install "hashcore-search[cli]"' in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr.strip()
    assert done.returncode == 0, done.stderr
    return "the command line is there"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        search_in(Path(folder))
    assert (Path(hashcore.__file__).parent / "py.typed").is_file()
    assert metadata.metadata("hashcore-search")["License-Expression"] == "Apache-2.0"
    print(f"hashcore {hashcore.__version__}, Python {sys.version.split()[0]}, {hashcore.isa()}")
    print(missing_extra())


if __name__ == "__main__":
    main()
