from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.matlab_files import write_v5, write_v73
from hashcore.data import DatasetFileError, load

N = 30
SPLIT = {"queries": 4, "train_rows": 10}
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N, 3, 4, 5), np.uint8)
TEXT = RNG.integers(0, 2, (N, 9)).astype(np.float64)


def write_folder(folder: Path, concepts: int) -> np.ndarray:
    """As it is given out: images and tags of v7.3, labels of v5."""
    labels = RNG.integers(0, 2, (N, concepts)).astype(np.uint8)
    stem = f"nus-wide-tc{concepts}"
    write_v73(folder / f"{stem}-iall.mat", {"IAll": PIXELS.transpose(2, 3, 1, 0)})
    write_v73(folder / f"{stem}-yall.mat", {"YAll": TEXT})
    write_v5(folder / f"{stem}-lall.mat", {"LAll": labels})
    return labels


def test_both_sets_of_one_folder(tmp_path: Path) -> None:
    labels = {concepts: write_folder(tmp_path, concepts) for concepts in (21, 10)}
    for concepts, expected in labels.items():
        data = load("nus-wide", tmp_path, concepts=concepts, **SPLIT)
        assert data.name == f"nus-wide-tc{concepts}"
        assert np.array_equal(data.image, PIXELS)
        assert np.array_equal(data.text, TEXT)
        assert np.array_equal(data.labels, expected == 1)
        split = data.split
        assert (split.query.size, split.train.size, split.database.size) == (4, 10, 26)
    assert load("nus-wide", tmp_path, **SPLIT).labels.shape[1] == 21


def test_wrong_concepts_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected concepts 21 or 10; got 81"):
        load("nus-wide", tmp_path, concepts=81)
    with pytest.raises(DatasetFileError, match=r"tc10-iall\.mat: no such file\. Expected a folder"):
        load("nus-wide", tmp_path, concepts=10)


def test_the_default_protocol_is_that_of_the_papers(tmp_path: Path) -> None:
    write_folder(tmp_path, 21)
    with pytest.raises(DatasetFileError, match="got 2,100 queries and 10,500 training rows"):
        load("nus-wide", tmp_path)
