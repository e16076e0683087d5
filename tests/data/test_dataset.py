from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hashcore.data import CrossModalDataset, Split, Vocabulary, _rows
from hashcore.data import dataset as dataset_module

SPLIT = Split(np.array([0, 1]), np.array([2]), np.array([0, 1]))

NONE = np.array([], np.int64)


def dataset(**changes: Any) -> CrossModalDataset:
    fields: dict[str, Any] = {
        "name": "tiny",
        "image": np.ones((3, 4), np.float32),
        "text": np.array([[2, 0], [3, 1], [2, 2]]),
        "labels": np.eye(3, dtype=np.bool_),
        "split": SPLIT,
        "vocabulary": Vocabulary(("a", "b"), 2),
    }
    return CrossModalDataset(**{**fields, **changes})


def test_kinds() -> None:
    data = dataset()
    assert (len(data), data.image_kind, data.text_kind) == (3, "features", "tokens")
    pixels = dataset(
        image=np.zeros((3, 3, 8, 8), np.uint8), text=np.ones((3, 5), np.float32), vocabulary=None
    )
    assert (pixels.image_kind, pixels.text_kind) == ("pixels", "features")
    assert "train 2, query 1, database the training rows" in data.describe()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.ones((3, 4))}, r"image: expected float32 \[N, D\].*got float64"),
        ({"image": np.ones((3, 1, 8, 8), np.uint8)}, "image: expected float32"),
        (
            {"image": np.full((3, 4), np.nan, np.float32)},
            "image: row 0, column 0 is nan; expected finite values",
        ),
        ({"text": np.ones((3, 4), np.int32)}, r"text: expected float32 .* got int32 \[3, 4\]"),
        (
            {"text": np.array([[0], [-1], [0]])},
            r"text: row 1, column 0 is -1; expected token ids in 0\.\.3",
        ),
        (
            {"text": np.array([[4], [0], [0]])},
            r"text: row 0, column 0 is 4; expected token ids in 0\.\.3",
        ),
        ({"text": np.ones((3, 4), np.float32)}, "text holds features"),
        ({"labels": np.ones((3, 2))}, r"labels: expected bool \[N, C\]"),
        ({"labels": np.ones((3, 0), np.bool_)}, r"labels: expected bool \[N, C\]"),
        ({"image": np.ones((3, 0), np.float32)}, "image: rows without values"),
        (
            {"text": np.array([[0], [-2], [0]]), "vocabulary": None},
            "text: row 1, column 0 is -2; expected token ids >= 0",
        ),
        ({"labels": np.ones((2, 2), np.bool_)}, "rows disagree: image 3, text 3, labels 2"),
        ({"captions": ("one",)}, "captions 1"),
        ({"class_names": ("one",)}, "class_names: expected 3; got 1"),
        ({"image_transform": "root"}, "image_transform: expected one of"),
        ({"text_transform": "log"}, "for float32 features only"),
        (
            {"image": -np.ones((3, 4), np.float32), "image_transform": "sqrt"},
            'row 0, column 0 is -1.0; expected values >= 0 for the transform "sqrt"',
        ),
        (
            {"split": Split(np.array([0]), np.array([3]), np.array([1]))},
            r"split\.query: row 3 is past the 3 rows",
        ),
        *(
            ({"split": Split(*parts)}, rf"split\.{name}: empty; expected at least one row")
            for name, parts in (
                ("train", (NONE, np.array([2]), np.array([0]))),
                ("query", (np.array([0]), NONE, np.array([0]))),
                ("database", (np.array([0]), np.array([2]), NONE)),
            )
        ),
    ],
)
def test_what_disagrees_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataset(**changes)


def test_the_first_bad_row_is_told_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _rows.row_blocks
    monkeypatch.setattr(dataset_module, "row_blocks", lambda rows: blocks(rows, 32))
    image = np.ones((3, 4), np.float32)
    image[2, 1] = np.inf
    with pytest.raises(ValueError, match="image: row 2, column 1 is inf; expected finite values"):
        dataset(image=image)


def test_checked_values_are_not_read_again() -> None:
    broken = np.full((3, 4), np.nan, np.float32)
    assert len(dataset(image=broken, values_checked=True)) == 3
    with pytest.raises(ValueError, match="rows disagree"):
        dataset(image=broken[:2], values_checked=True)
