"""The Wikipedia set of featured articles: 2,866 image-text pairs in ten categories.

N. Rasiwasia et al., "A New Approach to Cross-Modal Multimedia Retrieval", ACM Multimedia 2010.
Three layouts are read. The variables of a file tell which it is:

- `wikiData.mat`: `I_tr`, `T_tr`, `L_tr` and `I_te`, `T_te`, `L_te`, rows are samples; SIFT bags of
  words, LDA topics, and class ids 1..10 or one-hot rows.
- `wiki_pca128_text100.mat`: struct `data` with `X1`, `X2`, `Y`, columns are samples, and struct
  `split` with `ind_train`, `ind_test`, counted from 1.
- the authors' own folder: `raw_features.mat` with `I_tr`, `T_tr`, `I_te`, `T_te` as above, and its
  classes in `trainset_txt_img_cat.list` and `testset_txt_img_cat.list`, a line a row: the name of
  the text, of the image, and the class id 1..10, separated by white space.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore.data._files import (
    DatasetFileError,
    Place,
    class_labels,
    features,
    one_hot,
    require,
    same_rows,
)
from hashcore.data._matlab import load_mat
from hashcore.data._parts import Part, joined
from hashcore.data._rows import first_bad
from hashcore.data.source import PairSource
from hashcore.data.split import AS_PUBLISHED, Split

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
RAW_FILE = "raw_features.mat"
LISTS = {"tr": "trainset_txt_img_cat.list", "te": "testset_txt_img_cat.list"}
EXPECTED = (
    "Expected one of two MATLAB v5 files, or a folder. (1) wikiData.mat, in the data folder of "
    "many public cross-modal hashing repositories: I_tr [2173, 128], T_tr [2173, 10], L_tr "
    "[2173, 1] class ids 1..10 or one-hot [2173, 10], and I_te, T_te, L_te with 693 rows. "
    "(2) wiki_pca128_text100.mat: struct data with X1 [128, 2866], X2 [100, 2866], "
    "Y [10, 2866] (columns are samples) and struct split with ind_train [2173], ind_test [693], "
    f"counted from 1. (3) the folder of the set itself: {RAW_FILE} with I_tr [2173, 128], T_tr "
    f"[2173, 10], I_te, T_te with 693 rows, and {LISTS['tr']}, {LISTS['te']}, a line a row that "
    "ends in a class id 1..10. From http://www.svcl.ucsd.edu/projects/crossmodal/"
)


def open_wikipedia(path: str | os.PathLike[str]) -> PairSource:
    """Read a `.mat` file of one of the three layouts, or the folder with `raw_features.mat`.

    Returns:
        2,866 pairs of features, 10 classes; 2,173 training rows, which are the database, and
        693 query rows. `wikiData.mat` and `raw_features.mat` ask for sqrt (images) and log
        (texts), the other file for one scale of its principal components (images).

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
    """
    file = Path(path)
    if file.is_dir():
        file = file / RAW_FILE
    content = load_mat(file, EXPECTED)
    if "data" in content:
        return _from_struct(content, file)
    if all(f"{kind}_{side}" in content for kind in "IT" for side in ("tr", "te")):
        return _from_parts(content, file)
    raise DatasetFileError(f"{file}: its variables are {sorted(content)}. {EXPECTED}")


def _from_parts(content: dict[str, Any], path: Path) -> PairSource:
    """The parts stand there one by one; the classes too, or in lists beside the file."""
    lists = {} if "L_tr" in content else {side: path.with_name(LISTS[side]) for side in LISTS}
    parts = {}
    for side in ("tr", "te"):
        image, text, label = f"I_{side}", f"T_{side}", f"L_{side}"
        if lists:
            labels = _listed_classes(lists[side])
            label = lists[side].name
        elif label in content:
            labels = class_labels(content[label], _CLASSES, Place(path, label, EXPECTED))
        else:
            raise DatasetFileError(f"{path}: no variable {label}. {EXPECTED}")
        parts[side] = Part(
            features(content[image], Place(path, image, EXPECTED)),
            features(content[text], Place(path, text, EXPECTED)),
            labels,
        ).check((image, text, label), path, EXPECTED)
    return joined(
        parts["tr"],
        parts["te"],
        name="wikipedia",
        image_transform="sqrt",
        text_transform="log",
        class_names=CLASS_NAMES,
        files=(path, *lists.values()),
    )


def _listed_classes(path: Path) -> NDArray[np.bool_]:
    """The last column of a list file as bool [n, 10]."""
    place = Place(require(path, EXPECTED), "", EXPECTED)
    ids = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if not words[-1].isdecimal():
            raise place.error(f"line {number} does not end in a class id")
        ids.append(int(words[-1]))
    return one_hot(np.array(ids, dtype=np.int64), _CLASSES, place, first=1)


def _field(struct: Any, name: str, path: Path) -> Any:
    """One field of a 1 x 1 MATLAB struct; a sparse matrix is made dense."""
    array = np.asarray(struct)
    if array.dtype.names is None or name not in array.dtype.names or array.size != 1:
        raise DatasetFileError(f"{path}: no field {name} in its struct. {EXPECTED}")
    value = array[name].reshape(-1)[0]
    return value.toarray() if hasattr(value, "toarray") else value


def _from_struct(content: dict[str, Any], path: Path) -> PairSource:
    """The layout of wiki_pca128_text100.mat: columns are samples, the split is stated."""
    data = content["data"]
    x1, x2, y, parts = (_field(data, name, path) for name in ("X1", "X2", "Y", "split"))
    image = features(np.transpose(x1), Place(path, "data.X1", EXPECTED))
    text = features(np.transpose(x2), Place(path, "data.X2", EXPECTED))
    labels = class_labels(np.transpose(y), _CLASSES, Place(path, "data.Y", EXPECTED))
    counts = {"data.X1": len(image), "data.X2": len(text), "data.Y": len(labels)}
    n = same_rows(counts, path, EXPECTED)
    rows = {}
    for name in ("ind_train", "ind_test"):
        place = Place(path, f"split.{name}", EXPECTED)
        numbers = np.asarray(_field(parts, name, path)).ravel()
        wrong = ~np.isin(numbers, np.arange(1, n + 1))
        if not numbers.size:
            raise place.error("is empty")
        if wrong.any():
            raise place.error(f"{first_bad(wrong)} is {numbers[wrong][0]}; expected 1..{n}")
        rows[name] = numbers.astype(np.int64) - 1
    return PairSource(
        name="wikipedia-pca",
        image=image,
        text=text,
        labels=labels,
        split=Split(train=rows["ind_train"], query=rows["ind_test"], database=rows["ind_train"]),
        image_transform="isotropic",
        class_names=CLASS_NAMES,
        files=(path,),
        protocol=AS_PUBLISHED,
    )
