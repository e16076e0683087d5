from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashcore.data import DatasetFileError, load

IMAGE, TEXT = "iaprtc12_vgg128.csv", "iaprtc12_bigru.csv"
KEYWORDS = ["0 2", "5", "1 2 5", "3"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, values in ((IMAGE, rng.random((4, 3))), (TEXT, rng.standard_normal((4, 2)))):
        lines = [",".join([ids, *map(str, row)]) for ids, row in zip(KEYWORDS, values, strict=True)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_layout(folder: Path) -> None:
    data = load("iapr", folder, queries=1)
    image = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    assert np.array_equal(data.image, image)
    assert data.text.shape == (4, 2)
    assert [np.flatnonzero(row).tolist() for row in data.labels] == [[0, 2], [5], [1, 2, 5], [3]]
    order = np.random.RandomState(0).permutation(4)
    assert data.split.train.tolist() == data.split.database.tolist() == order[:3].tolist()
    assert data.split.query.tolist() == order[3:].tolist()
    assert (data.image_transform, data.text_transform) == ("sqrt", "none")


def test_one_of_the_files_names_the_folder(folder: Path) -> None:
    assert len(load("iapr", folder / IMAGE, queries=1)) == 4
    assert load("iapr", folder, queries=2, seed=1).split != load("iapr", folder, queries=2).split


def edit(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 5,0.5", "line 3 is not keyword ids"),
        ("1 2 5,0.5,x,0.1", "line 3 is not keyword ids"),
        (",0.5,0.5,0.1", "line 3 is not keyword ids"),
        ("-1,0.5,0.5,0.1", "line 3 is not keyword ids"),
        ("1 291,0.5,0.5,0.1", r"line 3 is not keyword ids 0\.\.290 and as many features"),
        ("1 2 5,0.5,nan,0.1", "row 2, column 1 is nan; expected finite values"),
        ("1 2,0.5,0.5,0.1", r"row 2 of iaprtc12_vgg128.csv has the keyword ids \[1, 2\], of"),
    ],
)
def test_another_layout(folder: Path, text: str, message: str) -> None:
    edit(folder / IMAGE, 2, text)
    with pytest.raises(DatasetFileError, match=message) as caught:
        load("iapr", folder, queries=1)
    assert "1962 rows" in str(caught.value)


def test_missing_and_empty(folder: Path) -> None:
    (folder / TEXT).write_text("")
    with pytest.raises(DatasetFileError, match="empty"):
        load("iapr", folder)
    (folder / TEXT).unlink()
    with pytest.raises(DatasetFileError, match=r"bigru\.csv: no such file\. Expected a folder"):
        load("iapr", folder)


@pytest.mark.parametrize("queries", [0, 4])
def test_wrong_number_of_queries(folder: Path, queries: int) -> None:
    with pytest.raises(ValueError, match="0 < queries < 4"):
        load("iapr", folder, queries=queries)


def test_the_real_files(shared_data: Path) -> None:
    data = load("iapr", shared_data)
    assert data.image.shape == (1962, 128)
    assert data.text.shape == (1962, 64)
    assert data.labels.shape == (1962, 291)
    assert np.flatnonzero(data.labels[0]).tolist() == [
        40, 115, 122, 138, 158, 167, 172, 212, 219, 261,
    ]  # fmt: skip
    assert data.split.train.size == 1462
    assert data.split.query.tolist() == np.random.RandomState(0).permutation(1962)[1462:].tolist()
