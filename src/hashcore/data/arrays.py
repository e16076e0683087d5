"""Arrays of one's own: an `.npz` file, or a folder with the same arrays as `.npy` files.

Arrays, the first three of which must be there:

| name | what |
|---|---|
| `image` | features [N, D], or uint8 pixels [N, 3, H, W] |
| `text` | features [N, D], or int64 token ids [N, L] with 0 as padding |
| `labels` | zeros and ones [N, C], or class ids 0..C-1 [N] |
| `train`, `query`, `database` | row ids; `database` is `train` where it is missing |
| `class_names`, `captions` | texts [C], texts [N] |

Without `train` and `query` the split is drawn. The `.npy` files of a folder are mapped, not read.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore.data._files import (
    DatasetFileError,
    FileRows,
    Place,
    binary_labels,
    features,
    one_hot,
    open_npy,
    pixels,
    require,
    same_rows,
    token_ids,
)
from hashcore.data._rows import Rows
from hashcore.data.source import PairSource
from hashcore.data.split import AS_PUBLISHED, Draw, Split

_NAMES = ("image", "text", "labels", "train", "query", "database", "class_names", "captions")
EXPECTED = (
    "Expected an .npz file, or a folder of .npy files, with image (features [N, D] or uint8 pixels "
    "[N, 3, H, W]), text (features [N, D] or int64 token ids [N, L]) and labels (0 or 1 [N, C], or "
    "class ids 0..C-1 [N]); and if split already train and query (row ids) and maybe database. "
    "numpy.savez makes one"
)


def open_arrays(
    path: str | os.PathLike[str],
    *,
    queries: int | None = None,
    train_rows: int | None = None,
    seed: int = 0,
    image_transform: str = "none",
    text_transform: str = "none",
) -> PairSource:
    """Open an `.npz` file or a folder of `.npy` files.

    Args:
        path: the file or folder.
        queries: rows of the query part, to be drawn where the arrays hold no split.
        train_rows: rows that are trained on; all that are no queries when None.
        seed: of that drawing.
        image_transform: "none", "sqrt", "log" or "isotropic"; what the trainer applies to image
            features (`CrossModalDataset`).
        text_transform: the same for text features.

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
        ValueError: no split and no `queries`, or fewer rows than the split needs.
    """
    file = Path(path)
    arrays, files = _open(file)
    texts = {name: _texts(arrays, name, file) for name in ("class_names", "captions")}
    classes = len(texts["class_names"]) or None
    rows = {n: _typed(n, arrays[n], _place(file, n), classes) for n in _NAMES[:3]}
    n = same_rows({name: len(array) for name, array in rows.items()}, file, EXPECTED)
    draw = None if queries is None else Draw(queries, train_rows, seed=seed)
    split, protocol = _split(arrays, file, n, draw)
    stem = file.stem if file.is_file() else file.resolve().name
    return PairSource(
        name=stem,
        image=rows["image"],
        text=rows["text"],
        labels=rows["labels"],
        split=split,
        image_transform=image_transform,
        text_transform=text_transform,
        class_names=texts["class_names"],
        captions=texts["captions"],
        files=files,
        protocol=protocol,
    )


def _place(path: Path, name: str) -> Place:
    return Place(path / f"{name}.npy" if path.is_dir() else path, name, EXPECTED)


def _texts(arrays: Mapping[str, NDArray[Any]], name: str, path: Path) -> tuple[str, ...]:
    """The texts under this name; none where it is missing."""
    if name not in arrays:
        return ()
    if arrays[name].ndim != 1 or arrays[name].dtype.kind != "U":
        raise _place(path, name).error(f"is {describe(arrays[name])}; expected texts [N]")
    return tuple(arrays[name].tolist())


def _open(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[Path, ...]]:
    """The arrays under the known names, and the files that hold them."""
    if path.is_dir():
        files = {name: path / f"{name}.npy" for name in _NAMES}
        files = {n: f for n, f in files.items() if n in _NAMES[:3] or f.is_file()}
        return {name: open_npy(file, EXPECTED) for name, file in files.items()}, tuple(
            files.values()
        )
    require(path, EXPECTED)
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("one array, not an archive")
        with archive:
            arrays = {name: np.asarray(archive[name]) for name in _NAMES if name in archive}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetFileError(f"{path}: not a readable .npz file. {EXPECTED}") from error
    for name in _NAMES[:3]:
        if name not in arrays:
            raise DatasetFileError(f"{path}: no array {name}; it has {list(arrays)}. {EXPECTED}")
    return arrays, (path,)


def _typed(name: str, array: NDArray[Any], place: Place, classes: int | None) -> Rows:
    """Rows of the dtype of a data set, checked as they are read."""
    convert: Callable[[NDArray[Any], Place, int], NDArray[Any]] = features
    dtype: type[np.generic] = np.float32
    if name == "labels" and array.ndim == 1:
        return _from_ids(array, place, classes)
    if name == "labels":
        convert, dtype = binary_labels, np.bool_
    elif name == "image" and array.ndim == 4:
        convert, dtype = pixels, np.uint8
    elif name == "text" and array.dtype == np.int64:
        convert, dtype = token_ids, np.int64
    elif array.dtype.kind not in "fb" and array.dtype != np.uint8:
        raise place.error(f"is {describe(array)}; features are float or uint8, token ids int64")
    if not array.ndim:
        raise place.error("is a single value, without rows")

    def take(start: int, stop: int) -> NDArray[Any]:
        return array[start:stop]

    return FileRows(place, array.shape, np.dtype(dtype), take, convert)


def _from_ids(ids: NDArray[Any], place: Place, classes: int | None) -> NDArray[np.bool_]:
    if ids.dtype.kind not in "iu" or not ids.size:
        raise place.error(f"is {describe(ids)}; expected 0 or 1 [N, C], or integer class ids [N]")
    if classes is None:  # an id past the number of rows is a slip, and would take all memory
        classes = min(max(int(ids.max()), 0) + 1, ids.size)
    return one_hot(ids, classes, place, first=0)


def _split(
    arrays: Mapping[str, NDArray[Any]], path: Path, n: int, draw: Draw | None
) -> tuple[Split, str]:
    """The split that the arrays hold, or else the drawn one, and what to say of it."""
    if "train" in arrays and "query" in arrays:
        database = arrays.get("database", arrays["train"])
        said = AS_PUBLISHED if "database" not in arrays else "as the files split it"
        return Split(train=arrays["train"], query=arrays["query"], database=database), said
    for name in ("train", "query", "database"):
        if name in arrays:
            raise DatasetFileError(f"{path}: {name} without train and query. {EXPECTED}")
    if draw is None:
        raise DatasetFileError(
            f"{path}: no train and query rows; give the option queries, and they are drawn. "
            f"{EXPECTED}"
        )
    return draw.split(n), str(draw)
