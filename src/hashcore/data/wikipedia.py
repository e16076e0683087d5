"""The Wikipedia set of featured articles: 2,866 image-text pairs in ten categories.

N. Rasiwasia et al., "A New Approach to Cross-Modal Multimedia Retrieval", ACM Multimedia 2010.
Two files are read, told apart by their variables: `wikiData.mat` (SIFT bag of words and LDA
topics) and `wiki_pca128_text100.mat` (PCA of CNN features and word-embedding means).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore.data._files import DatasetFileError, features, load_mat, one_hot
from hashcore.data.dataset import CrossModalDataset
from hashcore.data.split import Split

CLASS_NAMES = (
    "art",
    "biology",
    "geography",
    "history",
    "literature",
    "media",
    "music",
    "royalty",
    "sport",
    "warfare",
)
_CLASSES = len(CLASS_NAMES)
_PARTS = ("I_tr", "T_tr", "L_tr", "I_te", "T_te", "L_te")
_FIELDS = ("X1", "X2", "Y", "split")
EXPECTED = (
    "Expected one of two MATLAB v5 files. (1) wikiData.mat, in the data folder of many public "
    "cross-modal hashing repositories: I_tr [2173, 128], T_tr [2173, 10], L_tr [2173, 1] class "
    "ids 1..10 or one-hot [2173, 10], and I_te, T_te, L_te with 693 rows. "
    "(2) wiki_pca128_text100.mat: struct data with X1 [128, 2866], X2 [100, 2866], "
    "Y [10, 2866] (columns are samples) and struct split with ind_train [2173], ind_test [693], "
    "counted from 1. The set itself: http://www.svcl.ucsd.edu/projects/crossmodal/"
)


def _labels(value: Any, name: str, path: Path) -> NDArray[np.bool_]:
    """Class ids 1..10 as (n, 1) or (1, n), or one-hot (n, 10), as bool [n, 10]."""
    array = np.asarray(value)
    if array.ndim == 2 and 1 in array.shape:
        if np.isin(array, np.arange(1, _CLASSES + 1)).all():
            return one_hot(array.ravel().astype(np.int64) - 1, _CLASSES)
        raise DatasetFileError(f"{path}: {name} holds class ids outside 1..{_CLASSES}. {EXPECTED}")
    if array.ndim == 2 and array.shape[1] == _CLASSES and np.isin(array, (0, 1)).all():
        labels: NDArray[np.bool_] = array.astype(np.bool_)
        return labels
    raise DatasetFileError(
        f"{path}: {name} is {describe(array)}, neither class ids nor one-hot rows. {EXPECTED}"
    )


def _from_parts(content: dict[str, Any], path: Path) -> CrossModalDataset:
    """The layout of wikiData.mat: the parts stand there one by one."""
    sides = {}
    for side in ("tr", "te"):
        image = features(content[f"I_{side}"], f"I_{side}", path, EXPECTED)
        text = features(content[f"T_{side}"], f"T_{side}", path, EXPECTED)
        labels = _labels(content[f"L_{side}"], f"L_{side}", path)
        if not len(image) == len(text) == len(labels):
            raise DatasetFileError(
                f"{path}: rows disagree: I_{side} {len(image)}, T_{side} {len(text)}, "
                f"L_{side} {len(labels)}. {EXPECTED}"
            )
        sides[side] = (image, text, labels)
    image, text, labels = (
        np.concatenate(pair) for pair in zip(sides["tr"], sides["te"], strict=True)
    )
    train = np.arange(len(sides["tr"][0]))
    return CrossModalDataset(
        name="wikipedia",
        image=image,
        text=text,
        labels=labels,
        split=Split(train=train, query=np.arange(train.size, len(image)), database=train),
        image_transform="sqrt",
        text_transform="log",
        class_names=CLASS_NAMES,
    )


def _field(struct: Any, name: str, path: Path) -> Any:
    """One field of a 1 x 1 MATLAB struct; a sparse matrix is made dense."""
    array = np.asarray(struct)
    if array.dtype.names is None or name not in array.dtype.names or array.size != 1:
        raise DatasetFileError(f"{path}: no field {name} in its struct. {EXPECTED}")
    value = array[name].reshape(-1)[0]
    return value.toarray() if hasattr(value, "toarray") else value


def _from_struct(content: dict[str, Any], path: Path) -> CrossModalDataset:
    """The layout of wiki_pca128_text100.mat: columns are samples, the split is stated."""
    data = content["data"]
    x1, x2, y, parts = (_field(data, name, path) for name in _FIELDS)
    image = features(np.transpose(x1), "data.X1", path, EXPECTED)
    text = features(np.transpose(x2), "data.X2", path, EXPECTED)
    labels = _labels(np.transpose(y), "data.Y", path)
    if not len(image) == len(text) == len(labels):
        raise DatasetFileError(
            f"{path}: samples disagree: data.X1 {len(image)}, data.X2 {len(text)}, "
            f"data.Y {len(labels)}. {EXPECTED}"
        )
    rows = {}
    for name in ("ind_train", "ind_test"):
        ids = np.asarray(_field(parts, name, path)).ravel().astype(np.int64) - 1
        if not ids.size or ids.min() < 0 or ids.max() >= len(image):
            raise DatasetFileError(
                f"{path}: split.{name} is empty or leaves 1..{len(image)}. {EXPECTED}"
            )
        rows[name] = ids
    return CrossModalDataset(
        name="wikipedia-pca",
        image=image,
        text=text,
        labels=labels,
        split=Split(train=rows["ind_train"], query=rows["ind_test"], database=rows["ind_train"]),
        class_names=CLASS_NAMES,
    )


def load_wikipedia(path: str | os.PathLike[str]) -> CrossModalDataset:
    """Read `wikiData.mat` or `wiki_pca128_text100.mat`; the variables tell which it is.

    Returns:
        2,866 pairs of features, 10 classes; 2,173 training rows, which are the database, and
        693 query rows. The first file asks for sqrt (images) and log (texts), the second for
        no transform.

    Raises:
        DatasetFileError: missing or of another layout; says what is expected and from where.
    """
    file = Path(path)
    content = load_mat(file, EXPECTED)
    if all(name in content for name in _PARTS):
        return _from_parts(content, file)
    if "data" in content:
        return _from_struct(content, file)
    raise DatasetFileError(f"{file}: its variables are {sorted(content)}. {EXPECTED}")
