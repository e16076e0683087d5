from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from data.matlab_files import write_v5
from hashcore.data import DatasetFileError, load

CLASSES_TR, CLASSES_TE = np.array([1, 10, 3, 3]), np.array([2, 7])


def wiki_data(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    parts = {
        "I_tr": rng.random((4, 6)),
        "T_tr": rng.random((4, 5)),
        "L_tr": CLASSES_TR[:, None].astype(np.uint8),
        "I_te": rng.random((2, 6)),
        "T_te": rng.random((2, 5)),
        "L_te": CLASSES_TE[:, None].astype(np.uint8),
    }
    return {**parts, **changes}


def pca_data(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    data = {
        "X1": rng.standard_normal((6, 5)),
        "X2": rng.standard_normal((4, 5)),
        "Y": csc_matrix(np.eye(10, dtype=bool)[:, [0, 9, 2, 2, 1]]),
        "split": {"ind_train": np.array([[5, 1, 2]]), "ind_test": np.array([[4], [3]])},
    }
    return {"data": {**data, **changes}}


def write(tmp_path: Path, content: dict[str, Any]) -> Path:
    return write_v5(tmp_path / "file.mat", content)


@pytest.mark.parametrize("one_hot", [False, True])
def test_wiki_data(tmp_path: Path, one_hot: bool) -> None:
    content = wiki_data()
    if one_hot:
        content["L_tr"] = np.eye(10)[CLASSES_TR - 1]
        content["L_te"] = np.eye(10)[CLASSES_TE - 1]
    data = load("wikipedia", write(tmp_path, content))
    assert data.name == "wikipedia"
    assert np.array_equal(data.image[:4], content["I_tr"].astype(np.float32))
    assert np.array_equal(data.text[4:], content["T_te"].astype(np.float32))
    assert data.labels.argmax(axis=1).tolist() == [0, 9, 2, 2, 1, 6]
    assert data.labels.sum(axis=1).tolist() == [1] * 6
    assert data.split.train.tolist() == data.split.database.tolist() == [0, 1, 2, 3]
    assert data.split.query.tolist() == [4, 5]
    assert (data.image_transform, data.text_transform) == ("sqrt", "log")


def test_pca(tmp_path: Path) -> None:
    content = pca_data()
    data = load("wikipedia", write(tmp_path, content))
    assert data.name == "wikipedia-pca"
    assert np.array_equal(data.image, content["data"]["X1"].T.astype(np.float32))
    assert np.array_equal(data.text, content["data"]["X2"].T.astype(np.float32))
    assert data.labels.argmax(axis=1).tolist() == [0, 9, 2, 2, 1]
    assert data.split.train.tolist() == data.split.database.tolist() == [4, 0, 1]
    assert data.split.query.tolist() == [3, 2]
    assert data.image.min() < 0
    assert (data.image_transform, data.text_transform) == ("isotropic", "none")


def write_raw(folder: Path, **changes: Any) -> Path:
    """The folder of the authors: features without classes, and lists."""
    content = {**wiki_data(), **changes}
    write_v5(folder / "raw_features.mat", {k: v for k, v in content.items() if k[0] in "IT"})
    for part, ids in (("train", CLASSES_TR), ("test", CLASSES_TE)):
        lines = [f"text{i}\timage{i}\t{c}" for i, c in enumerate(ids)]
        (folder / f"{part}set_txt_img_cat.list").write_text("\n".join(lines) + "\n")
    return folder


def test_raw_features_and_lists(tmp_path: Path) -> None:
    expected = load("wikipedia", write(tmp_path, wiki_data()))
    folder = write_raw(tmp_path)
    for path in (folder, folder / "raw_features.mat"):
        data = load("wikipedia", path)
        for name in ("image", "text", "labels"):
            assert np.array_equal(getattr(data, name), getattr(expected, name))
        assert data.split == expected.split
        assert (data.image_transform, data.text_transform) == ("sqrt", "log")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a b 1\na b 2\na b 11\na b 3", "row 2 is class 11; expected class ids 1..10"),
        ("a b 1\na b 2\na b x\na b 3", "line 3 does not end in a class id"),
        ("a b 1\na b 2\na b 3", "rows disagree: I_tr 4, T_tr 4, trainset_txt_img_cat.list 3"),
        ("", "rows disagree"),
        (None, "no such file"),
    ],
)
def test_wrong_lists(tmp_path: Path, lines: str | None, message: str) -> None:
    path = write_raw(tmp_path) / "trainset_txt_img_cat.list"
    if lines is None:
        path.unlink()
    else:
        path.write_text(lines)
    with pytest.raises(DatasetFileError, match=message) as caught:
        load("wikipedia", tmp_path)
    assert "trainset_txt_img_cat.list" in str(caught.value).split(". Expected")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            wiki_data(L_tr=np.array([[0], [1], [2], [3]])),
            r"L_tr row 0 is class 0; expected class ids 1\.\.10",
        ),
        (wiki_data(L_te=np.full((2, 10), 2)), "L_te row 0, column 0 is 2; expected 0 or 1"),
        (wiki_data(L_te=np.ones((2, 9))), "neither class ids"),
        (wiki_data(T_tr=np.ones((3, 5))), "rows disagree: I_tr 4, T_tr 3, L_tr 4"),
        (wiki_data(I_te=np.full((2, 6), np.nan)), "I_te row 0, column 0 is nan"),
        ({"I_tr": np.ones((4, 6))}, r"its variables are \['I_tr'\]"),
        (pca_data(X2=np.ones((4, 4))), r"rows disagree: data\.X1 5, data\.X2 4, data\.Y 5"),
        (
            pca_data(split={"ind_train": [1, 6], "ind_test": [2]}),
            r"split\.ind_train row 1 is 6; expected 1\.\.5",
        ),
        (
            pca_data(split={"ind_train": [0, 1], "ind_test": [2]}),
            r"split\.ind_train row 0 is 0; expected 1\.\.5",
        ),
        (pca_data(split={"ind_train": [1.5], "ind_test": [2]}), "row 0 is 1.5; expected 1..5"),
        (pca_data(split={"ind_train": [1], "ind_test": []}), r"split\.ind_test is empty"),
        (
            pca_data(Y=np.eye(10)[:, :5] + np.eye(10)[:, 1:6]),
            r"data\.Y row 0 has 2 ones; expected one",
        ),
        (pca_data(split={"ind_train": [1]}), "no field ind_test"),
        ({"data": np.ones((2, 2))}, "no field X1"),
    ],
)
def test_another_layout(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetFileError, match=message) as caught:
        load("wikipedia", write(tmp_path, content))
    assert "I_tr [2173, 128]" in str(caught.value)


def test_overlapping_split_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, pca_data(split={"ind_train": [1, 2, 3], "ind_test": [3, 4]}))
    with pytest.raises(ValueError, match="1 query rows are also train rows"):
        load("wikipedia", path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileError, match=r"none\.mat: no such file\. Expected one of two"):
        load("wikipedia", tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("not a matrix")
    with pytest.raises(DatasetFileError, match="not a readable MATLAB v5 file"):
        load("wikipedia", tmp_path / "text.mat")


def test_truncated_file(tmp_path: Path) -> None:
    path = write(tmp_path, wiki_data())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetFileError):
        load("wikipedia", path)


@pytest.mark.parametrize(
    ("file", "text_width"), [("wikiData.mat", 10), ("wiki_pca128_text100.mat", 100)]
)
def test_the_real_files(shared_data: Path, file: str, text_width: int) -> None:
    data = load("wikipedia", shared_data / file)
    assert data.image.shape == (2866, 128)
    assert data.text.shape == (2866, text_width)
    assert (data.split.train.size, data.split.query.size) == (2173, 693)
    assert data.labels.sum(axis=0).tolist() == [172, 360, 340, 333, 267, 236, 237, 185, 285, 451]
