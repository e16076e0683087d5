"""Pascal Sentence and NUS-WIDE-10K: six files that are split, and the files that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.matlab_files import write_v5, write_v73
from hashcore.data import DatasetFileError, load

TRAIN, TEST = 6, 3
CLASSES = {"pascal-sentence": 20, "nus-wide-10k": 10}
IDS = {"train": np.array([1, 3, 2, 3, 10, 1]), "test": np.array([2, 9, 1])}


def write_six(folder: Path, classes: int, *, one_hot: bool, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {}
    for side, n in (("train", TRAIN), ("test", TEST)):
        ids = IDS[side]
        content[f"{side}_img"] = rng.standard_normal((n, 5))
        content[f"{side}_txt"] = rng.standard_normal((n, 4))
        content[f"{side}_img_lab"] = np.eye(classes)[ids - 1] if one_hot else ids[:, None]
    content |= changes
    for name, value in content.items():
        write_v5(folder / f"{name}.mat", {name: value})
    return content


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("one_hot", [False, True])
def test_six_files(tmp_path: Path, name: str, one_hot: bool) -> None:
    content = write_six(tmp_path, CLASSES[name], one_hot=one_hot)
    data = load(name, tmp_path)
    assert data.name == name
    for kind, array in (("img", data.image), ("txt", data.text)):
        expected = np.concatenate([content[f"train_{kind}"], content[f"test_{kind}"]])
        assert np.array_equal(array, expected.astype(np.float32))
    assert data.labels.shape == (TRAIN + TEST, CLASSES[name])
    assert data.labels.argmax(axis=1).tolist() == [*(IDS["train"] - 1), *(IDS["test"] - 1)]
    assert data.split.train.tolist() == data.split.database.tolist() == list(range(TRAIN))
    assert data.split.query.tolist() == list(range(TRAIN, TRAIN + TEST))


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("changes", "file", "message"),
    [
        (
            {"test_img_lab": np.array([[2], [21], [0]])},
            "test_img_lab.mat",
            "test_img_lab row 1 is class 21; expected class ids 1..",
        ),
        ({"test_img_lab": np.full((3, 7), 1)}, "test_img_lab.mat", "neither class ids"),
        ({"train_img_lab": np.ones((TRAIN, 2))}, "train_img_lab.mat", "neither class ids"),
        ({"train_img": np.full((TRAIN, 5), np.inf)}, "train_img.mat", "row 0, column 0 is inf"),
        (
            {"train_txt": np.ones((TRAIN - 1, 4))},
            "",
            "rows disagree: train_img 6, train_txt 5, trai",
        ),
        (
            {"test_txt": np.ones((TEST, 9))},
            "",
            r"text: the parts do not go together: float32 \[6, 4\] and float32 \[3, 9\]",
        ),
        ({"test_txt": np.array(["a"])}, "test_txt.mat", "not a matrix of numbers"),
    ],
)
def test_bad_data(
    tmp_path: Path, name: str, changes: dict[str, Any], file: str, message: str
) -> None:
    write_six(tmp_path, CLASSES[name], one_hot=False, **changes)
    with pytest.raises(DatasetFileError, match=message) as caught:
        load(name, tmp_path)
    assert str(caught.value).startswith(str(tmp_path / file if file else tmp_path))


@pytest.mark.parametrize("name", CLASSES)
def test_missing_and_foreign_files(tmp_path: Path, name: str) -> None:
    write_six(tmp_path, CLASSES[name], one_hot=True)
    (tmp_path / "test_txt.mat").unlink()
    with pytest.raises(DatasetFileError, match=r"test_txt\.mat: no such file\. Expected a folder"):
        load(name, tmp_path)
    write_v5(tmp_path / "test_txt.mat", {"text": np.ones((3, 4))})
    with pytest.raises(DatasetFileError, match=r"not among its variables, \['text'\]"):
        load(name, tmp_path)


def test_nuswide10k_draws_a_split_of_files_without_one(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 20
    image, text = rng.random((n, 5)), rng.random((n, 7))
    write_v73(tmp_path / "nus-wide-10k-iall.mat", {"IAll": image})
    write_v5(tmp_path / "nus-wide-10k-yall.mat", {"YAll": text})
    write_v5(tmp_path / "nus-wide-10k-lall.mat", {"LAll": np.eye(10)[rng.integers(0, 10, n)]})
    data = load("nus-wide-10k", tmp_path, queries=2, train_rows=16)
    assert np.array_equal(data.text, text.astype(np.float32))
    split = data.split
    assert (split.query.size, split.train.size) == (2, 16)
    assert split.database.tolist() == split.train.tolist()
    with pytest.raises(DatasetFileError, match="got 1,000 queries and 8,000 training rows"):
        load("nus-wide-10k", tmp_path)
