"""Data sets larger than the memory that a training may take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hashcore.train.preprocess import Preparation
from hashcore.train.rows import CHUNK_BYTES, Rows, chunks

MIB = 1 << 20
ALLOWED = 64 * MIB

# Mapped files are not among the data that a process is limited to; copies of their rows are.
PROGRAM = f"""
import re, resource, sys
from pathlib import Path
import numpy as np, torch
from hashcore.data import CrossModalDataset, Split
from hashcore.methods import BranchConfig, DTHConfig
from hashcore.train import TrainConfig, evaluate_hasher, fit

torch.set_num_threads(1)
folder = Path(sys.argv[1])
image, text = (np.load(folder / f"{{name}}.npy", mmap_mode="r") for name in ("image", "text"))
classes = np.random.default_rng(0).integers(0, 20, len(image))

def dataset(n):
    train, query = np.arange(n - 200), np.arange(n - 200, n)
    labels = np.eye(20, dtype=bool)[classes[:n]]
    return CrossModalDataset("mapped", image[:n], text[:n], labels, Split(train, query, train))

def run(data):
    config = DTHConfig(branch=BranchConfig(hidden=(16,)))
    train = TrainConfig(
        epochs=1, batch_size=128, validation=0.1, selection="last", progress=False
    )
    hasher = fit(data, "dth", 16, config, train)
    return evaluate_hasher(hasher, data), hasher.encode_image(data.image)

run(dataset(1000))  # whatever torch takes once is taken
whole = dataset(len(image))
held = re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
limit = int(held[1]) * 1024 + {ALLOWED}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
reports, codes = run(whole)
assert codes.shape == (len(image), 2)
assert reports["encoded"]["image_to_text"].database == len(image) - 200
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory the Linux way")
def test_training_and_encoding_read_mapped_rows_as_they_go(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, width in (("image", 2048), ("text", 32)):
        shape = (24_000, width)
        out = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, shape)
        block = rng.standard_normal((1000, width), np.float32)
        for start in range(0, len(out), 1000):
            out[start : start + 1000] = block
        out.flush()
    assert (tmp_path / "image.npy").stat().st_size > 2.5 * ALLOWED
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(MIB)},  # what is freed is given back
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_rows_are_those_of_the_array_in_the_order_asked_for() -> None:
    array = np.random.default_rng(0).standard_normal((50, 3, 2))
    chosen = np.array([7, 3, 3, 49, 0, 20])
    rows = Rows(array, chosen)
    assert (len(rows), rows.shape, rows.ndim) == (6, (6, 3, 2), 3)
    assert rows.dtype == np.float64
    assert np.array_equal(rows[1:4], array[chosen[1:4]])
    assert np.array_equal(rows[np.array([5, 0, 3])], array[[20, 7, 49]])
    assert np.array_equal(rows.at(slice(2, 5))[:], array[chosen[2:5]])
    rows[:][...] = 0
    assert (array[chosen] != 0).all()


def test_chunks_are_all_rows_in_order_and_small() -> None:
    array = np.arange(3 * CHUNK_BYTES // 8 + 7, dtype=np.int64)[:, None]
    parts = list(chunks(Rows(array, np.arange(len(array))[::-1])))
    assert len(parts) == 4
    assert max(part.nbytes for part in parts) <= CHUNK_BYTES
    assert np.array_equal(np.concatenate(parts), array[::-1])
    wide = np.zeros((3, 2 * CHUNK_BYTES), np.uint8)
    assert [len(part) for part in chunks(wide)] == [1, 1, 1]
    assert list(chunks(wide[:0])) == []


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_statistics_do_not_depend_on_the_chunks(
    offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32) + np.float32(offset)
    mean, scale = x.astype(np.float64).mean(axis=0), x.astype(np.float64).std(axis=0)
    monkeypatch.setattr("hashcore.train.rows.CHUNK_BYTES", 7 * 8 * 4)
    prepare = Preparation.fit(x)
    torch.testing.assert_close(prepare.mean, torch.from_numpy(mean).float())
    torch.testing.assert_close(prepare.scale, torch.from_numpy(scale).float())
    pixels = np.random.default_rng(1).integers(0, 256, (90, 3, 4, 5)).astype(np.uint8)
    prepare = Preparation.fit(pixels)
    wanted = pixels.astype(np.float64).std(axis=(0, 2, 3))
    torch.testing.assert_close(prepare.scale, torch.from_numpy(wanted).float())
    tokens = np.random.default_rng(2).integers(0, 99, (500, 4))
    assert Preparation.fit(tokens).spec.vocabulary == tokens.max() + 1
