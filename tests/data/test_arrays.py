from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashcore.data import DatasetFileError, load

N = 9
RNG = np.random.default_rng(0)


def arrays(**changes: Any) -> dict[str, Any]:
    content = {
        "image": RNG.standard_normal((N, 4)),
        "text": RNG.standard_normal((N, 3)).astype(np.float32),
        "labels": RNG.integers(0, 2, (N, 2)),
        "train": np.array([0, 5, 2]),
        "query": np.array([8, 1]),
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


def write(folder: Path, kind: str, content: dict[str, Any]) -> Path:
    if kind == "npz":
        np.savez(folder / "own.npz", **content)
        return folder / "own.npz"
    path = folder / "own"
    path.mkdir()
    for name, value in content.items():
        np.save(path / f"{name}.npy", value)
    return path


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_features_with_a_split(tmp_path: Path, kind: str) -> None:
    content = arrays(captions=np.array([f"text {i}" for i in range(N)]))
    content["class_names"] = np.array(["cat", "dog"])
    data = load("arrays", write(tmp_path, kind, content), image_transform="none")
    assert data.name == "own"
    assert np.array_equal(data.image, content["image"].astype(np.float32))
    assert np.array_equal(data.text, content["text"])
    assert np.array_equal(data.labels, content["labels"] == 1)
    assert data.split.train.tolist() == data.split.database.tolist() == [0, 5, 2]
    assert data.split.query.tolist() == [8, 1]
    assert data.captions[3] == "text 3"
    assert data.class_names == ("cat", "dog")


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_pixels_tokens_and_class_ids(tmp_path: Path, kind: str) -> None:
    ids = np.array([0, 2, 1, 1, 0, 2, 2, 1, 0])
    content = arrays(
        image=RNG.integers(0, 256, (N, 3, 4, 4), np.uint8),
        text=RNG.integers(0, 50, (N, 6)),
        labels=ids,
        database=np.array([3, 4]),
    )
    data = load("arrays", write(tmp_path, kind, content))
    assert (data.image_kind, data.text_kind) == ("pixels", "tokens")
    assert np.array_equal(data.image, content["image"])
    assert np.array_equal(data.text, content["text"])
    assert data.labels.argmax(axis=1).tolist() == ids.tolist()
    assert data.split.database.tolist() == [3, 4]


def test_a_split_is_drawn_where_there_is_none(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", arrays(train=None, query=None))
    data = load("arrays", path, queries=2)
    assert (data.split.query.size, data.split.train.size, data.split.database.size) == (2, 7, 7)
    data = load("arrays", path, queries=2, train_rows=3, seed=4)
    assert (data.split.query.size, data.split.train.size, data.split.database.size) == (2, 3, 7)
    with pytest.raises(DatasetFileError, match="give the option queries, and they are drawn"):
        load("arrays", path)


def bad(row: int, column: int, value: float) -> np.ndarray:
    out = np.ones((N, 4))
    out[row, column] = value
    return out


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": bad(6, 1, np.nan)}, "image row 6, column 1 is nan; expected finite values"),
        ({"text": bad(2, 3, np.inf)}, "text row 2, column 3 is inf; expected finite values"),
        ({"text": np.full((N, 2), -1)}, "text row 0, column 0 is -1; expected token ids >= 0"),
        ({"text": np.ones((N, 2), np.int32)}, "text is int32 .* token ids int64"),
        ({"labels": bad(5, 0, 3)}, r"labels row 5, column 0 is 3\.0; expected 0 or 1"),
        ({"labels": np.arange(N) - 1}, r"labels row 0 is class -1; expected class ids 0\.\.7"),
        ({"labels": np.ones(N)}, "labels is float64"),
        (
            {"labels": np.full(N, 10**12)},
            r"labels row 0 is class 1000000000000; expected .* 0\.\.8",
        ),
        (
            {"labels": np.arange(N), "class_names": np.array(["a", "b"])},
            r"labels row 2 is class 2; expected class ids 0\.\.1",
        ),
        ({"labels": np.ones((N + 2, 3))}, "rows disagree: image 9, text 9, labels 11"),
        ({"image": np.float64(1)}, "image is a single value"),
        ({"image": np.ones((N, 2, 2))}, r"image: expected float32 \[N, D\]"),
        ({"image": np.ones((N, 0))}, "image: rows without values"),
        ({"query": np.array([9])}, "split.query: row 9 is past the 9 rows"),
        ({"query": np.array([5, 7])}, r"1 query rows are also train rows; first: \[5\]"),
        ({"query": np.array([], np.int64)}, "split.query: empty; expected at least one row"),
        ({"train": np.array([0.5])}, "split.train: expected a 1-D integer array"),
        ({"query": None}, "train without train and query"),
        ({"captions": np.arange(N)}, r"captions is int64 \[9\]; expected texts"),
        ({"captions": np.array(["a"])}, "captions 1"),
        ({"class_names": np.array(["a"])}, "class_names: expected 2; got 1"),
        ({"image_transform": "log"}, "row 0, column 0 is -1.0; expected values >= 0 for the tran"),
    ],
)
def test_bad_data(tmp_path: Path, kind: str, changes: dict[str, Any], message: str) -> None:
    options = {key: changes[key] for key in changes if key == "image_transform"}
    if options:
        changes = {"image": -np.ones((N, 4))}
    path = write(tmp_path, kind, arrays(**changes))
    with pytest.raises(DatasetFileError, match=message) as caught:
        load("arrays", path, **options)
    assert str(caught.value).startswith(str(path))


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileError, match=r"own\.npz: no such file\. Expected an \.npz file"):
        load("arrays", tmp_path / "own.npz")
    with pytest.raises(DatasetFileError, match="no array text; it has"):
        load("arrays", write(tmp_path, "npz", arrays(text=None)))
    with pytest.raises(DatasetFileError, match=r"text\.npy: no such file"):
        load("arrays", write(tmp_path, "npy", arrays(text=None)))
    (tmp_path / "own" / "text.npy").write_text("text")
    with pytest.raises(DatasetFileError, match=r"text\.npy: not a whole \.npy file"):
        load("arrays", tmp_path / "own")
    for content in (b"text", b""):
        (tmp_path / "own.npz").write_bytes(content)
        with pytest.raises(DatasetFileError, match=r"not a readable \.npz file"):
            load("arrays", tmp_path / "own.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(DatasetFileError, match=r"not a readable \.npz file"):
        load("arrays", tmp_path / "one.npy")
