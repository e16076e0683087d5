from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashcore.data import PADDING, DatasetFileError, load

# Image 30 shows no category; 77 has no features.
IMAGES = {"train2014": [30, 11, 77], "val2014": [25, 40]}
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}, {"id": 90, "name": "brush"}]
SHOWN = {11: [18, 3, 18], 25: [90], 40: [3], 77: [3]}
ROWS = np.array([40, 30, 11, 25])
FEATURES = np.random.default_rng(0).standard_normal((4, 6))
SMALL = {"queries": 1, "train_rows": 1, "min_count": 1, "max_length": 8}


def captions_of(image: int) -> list[str]:
    return [f"Caption {n} of {image}.\n" for n in range(3)]


def write_folder(folder: Path, *, inside: str = "annotations") -> Path:
    home = folder / inside
    home.mkdir(exist_ok=True)
    for part, images in IMAGES.items():
        said = [
            {"image_id": i, "id": 100 * i - n, "caption": text}
            for i in images
            for n, text in enumerate(captions_of(i))
        ]
        boxes = [
            {"image_id": i, "category_id": c, "id": 7, "segmentation": [[1, 2]]}
            for i in images
            for c in SHOWN.get(i, [])
        ]
        about = {"info": {}, "images": [{"id": i, "file_name": f"{i}.jpg"} for i in images]}
        write_json(home / f"captions_{part}.json", {**about, "annotations": said})
        document = {**about, "annotations": boxes, "categories": CATEGORIES}
        write_json(home / f"instances_{part}.json", document)
    np.save(folder / "image_features.npy", FEATURES)
    np.save(folder / "image_ids.npy", ROWS)
    return folder


def write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("inside", ["annotations", "."])
def test_layout(tmp_path: Path, inside: str) -> None:
    data = load("coco", write_folder(tmp_path, inside=inside), captions=2, **SMALL)
    assert np.array_equal(data.image, FEATURES[[0, 2, 3]].astype(np.float32))  # 40, 11, 25
    assert data.class_names == ("car", "dog", "brush")  # by id
    assert data.labels.tolist() == [[True, False, False], [True, True, False], [False, False, True]]
    assert data.captions[0] == "Caption 2 of 40. Caption 1 of 40."  # in the order of their ids
    (train,) = data.split.train
    vocabulary = data.vocabulary
    assert vocabulary is not None
    assert set(vocabulary.words) == set(data.captions[train].lower().replace(".", "").split())
    assert data.text.shape == (3, 8)
    assert np.array_equal(data.text, vocabulary.encode(data.captions))
    assert not (data.text == PADDING).any()
    assert data.split.database.size == 2


def test_words_that_are_rare_in_training_are_unknown(tmp_path: Path) -> None:
    data = load("coco", write_folder(tmp_path), **{**SMALL, "min_count": 3})
    assert data.vocabulary is not None
    assert "caption" in data.vocabulary.words
    assert "2" not in data.vocabulary.words


def test_one_of_the_two_parts(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for kind in ("captions", "instances"):
        (tmp_path / "annotations" / f"{kind}_train2014.json").unlink()
    np.save(tmp_path / "image_ids.npy", np.array([40, 25]))
    np.save(tmp_path / "image_features.npy", FEATURES[:2])
    assert len(load("coco", tmp_path, **SMALL)) == 2


def edit(folder: Path, file: str, key: str, number: int, changes: dict[str, Any]) -> None:
    path = folder / "annotations" / file
    document = json.loads(path.read_text())
    entry = document[key][number]
    for field, value in changes.items():
        entry.pop(field)
        entry |= {} if value is None else {field: value}
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "key", "number", "changes", "message"),
    [
        (
            "captions_val2014.json",
            "annotations",
            4,
            {"caption": None},
            "annotation 4 is not an obj",
        ),
        (
            "captions_val2014.json",
            "annotations",
            1,
            {"image_id": "x"},
            "annotation 1 is not an obj",
        ),
        (
            "instances_train2014.json",
            "annotations",
            2,
            {"category_id": 4},
            "annotation 2 has no im",
        ),
        (
            "instances_val2014.json",
            "annotations",
            1,
            {"image_id": None},
            "annotation 1 has no imag",
        ),
        (
            "instances_val2014.json",
            "categories",
            1,
            {"name": None},
            "has no categories with id and",
        ),
    ],
)
def test_bad_annotations(
    tmp_path: Path, name: str, key: str, number: int, changes: dict[str, Any], message: str
) -> None:
    edit(write_folder(tmp_path), name, key, number, changes)
    with pytest.raises(DatasetFileError, match=rf"{name}: {message}"):
        load("coco", tmp_path, **SMALL)


@pytest.mark.parametrize(
    ("features", "ids", "message"),
    [
        (FEATURES, [40, 30, 11, 26], r"image_ids\.npy: row 3 is image 26, which has no caption"),
        (FEATURES, [40, 30, 40, 25], r"image_ids\.npy: rows 0 and 2 are both image 40"),
        (FEATURES, [40.0, 30, 11, 25], r"image_ids\.npy: is float64 \[4\]; expected integers"),
        (FEATURES[:3], [40, 30, 11, 25], r"rows disagree: image_features\.npy 3, image_ids\.npy 4"),
        (FEATURES[0], [40, 30, 11, 25], r"image_features\.npy: is float64 \[6\]; expected float"),
        (
            np.where(np.arange(4)[:, None] == 2, np.nan, FEATURES),
            [40, 30, 11, 25],
            r"image_features\.npy: row 2 holds NaN or infinity; expected finite",
        ),
    ],
)
def test_bad_features(tmp_path: Path, features: np.ndarray, ids: list[float], message: str) -> None:
    write_folder(tmp_path)
    np.save(tmp_path / "image_features.npy", features)
    np.save(tmp_path / "image_ids.npy", np.array(ids))
    with pytest.raises(DatasetFileError, match=message):
        load("coco", tmp_path, **SMALL)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    with pytest.raises(DatasetFileError, match="got 5,000 queries and 10,000 training rows"):
        load("coco", folder)
    with pytest.raises(DatasetFileError, match="expected captions >= 1; got 0"):
        load("coco", folder, captions=0)
    captions = folder / "annotations" / "captions_val2014.json"
    for text, message in (("[", "is not JSON"), ("[]", "has no list of annotations")):
        captions.write_text(text)
        with pytest.raises(DatasetFileError, match=rf"captions_val2014\.json: {message}"):
            load("coco", folder)
    for file in folder.glob("annotations/captions*"):
        file.unlink()
    with pytest.raises(DatasetFileError, match=r"captions_train2014\.json: no such file\. Expect"):
        load("coco", folder)
    (folder / "image_ids.npy").unlink()
    with pytest.raises(DatasetFileError, match=r"image_ids\.npy: no such file\. Expected a folder"):
        load("coco", folder)
