"""MS-COCO: photographs with five captions each, multi-label in 80 categories.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014. Read is a folder of

- `annotations/captions_train2014.json`, `captions_val2014.json`: `annotations`, each with
  `image_id`, `id` and `caption`;
- `annotations/instances_train2014.json`, `instances_val2014.json`: `categories`, each with `id` and
  `name`, and `annotations`, each with `image_id` and `category_id`;
- `image_features.npy`, float [N, D], and `image_ids.npy`, integers [N]: features of the images by
  any network, and whose they are.

A JSON file may be missing, not both of a kind; the JSON files may lie in the folder itself. A pair
is an image of `image_ids.npy` that shows at least one category; its text is its captions, in the
order of their ids, as token ids.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore.data._files import DatasetFileError, FileRows, Place, open_npy, same_rows
from hashcore.data.source import PairSource
from hashcore.data.split import Draw
from hashcore.data.vocabulary import Vocabulary

_SETS = ("train2014", "val2014")
_KEYS = ("annotations", "categories", "image_id", "category_id", "id", "name", "caption")
FEATURES, IDS = "image_features.npy", "image_ids.npy"
EXPECTED = (
    f"Expected a folder with {FEATURES} (float [N, D], features of the images by any network), "
    f"{IDS} (integers [N], their COCO image ids), and annotations/captions_train2014.json, "
    "captions_val2014.json, instances_train2014.json, instances_val2014.json from "
    "https://cocodataset.org/#download (2014 Train/Val annotations)"
)


def open_coco(
    path: str | os.PathLike[str],
    *,
    queries: int = 5000,
    train_rows: int = 10_000,
    seed: int = 0,
    captions: int = 5,
    min_count: int = 5,
    max_length: int = 80,
) -> PairSource:
    """Open the folder with annotations and features.

    Args:
        path: the folder.
        queries: rows of the query part.
        train_rows: rows that are trained on; the database is all rows that are no queries.
        seed: of the drawing of the split.
        captions: captions of an image that make its text.
        min_count: words that the training rows hold fewer times read as unknown.
        max_length: words of a text; longer ones are cut.

    Returns:
        122,218 pairs with features of all images of 2014, in the order of `image_ids.npy`; text
        [max_length], 80 classes.

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
        ValueError: fewer rows than the split needs.
    """
    folder = Path(path)
    image, ids = _image_features(folder)
    texts, caption_files = _captions(folder, captions)
    categories, shown, instance_files = _categories(folder)
    place = Place(folder / IDS, "", EXPECTED)
    for row, image_id in enumerate(ids.tolist()):
        if image_id not in texts:
            raise place.error(f"row {row} is image {image_id}, which has no caption")
    rows = np.array([row for row, i in enumerate(ids.tolist()) if i in shown], dtype=np.int64)
    kept = ids[rows].tolist()
    labels = np.zeros((len(kept), len(categories)), dtype=np.bool_)
    for row, image_id in enumerate(kept):
        labels[row, list(shown[image_id])] = True
    draw = Draw(queries, train_rows, seed=seed)
    split = draw.split(len(kept))
    written = tuple(texts[image_id] for image_id in kept)
    vocabulary = Vocabulary.build(
        (written[row] for row in split.train), max_length=max_length, min_count=min_count
    )
    return PairSource(
        name="coco",
        image=_rows_at(image, rows, Place(folder / FEATURES, "", EXPECTED)),
        text=vocabulary.encode(written),
        labels=labels,
        split=split,
        class_names=tuple(categories.values()),
        captions=written,
        vocabulary=vocabulary,
        files=(folder / FEATURES, folder / IDS, *caption_files, *instance_files),
        protocol=str(draw),
    )


def _image_features(folder: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Features [N, D], mapped, and the image id of every row."""
    image, ids = (open_npy(folder / name, EXPECTED) for name in (FEATURES, IDS))
    place = Place(folder / IDS, "", EXPECTED)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise place.error(f"is {describe(ids)}; expected integers [N]")
    if image.ndim != 2 or image.dtype.kind != "f":
        raise Place(folder / FEATURES, "", EXPECTED).error(
            f"is {describe(image)}; expected float [N, D]"
        )
    same_rows({FEATURES: len(image), IDS: len(ids)}, folder, EXPECTED)
    first = {image_id: row for row, image_id in reversed(list(enumerate(ids.tolist())))}
    for row, image_id in enumerate(ids.tolist()):
        if first[image_id] != row:
            raise place.error(f"rows {first[image_id]} and {row} are both image {image_id}")
    return image, np.asarray(ids, dtype=np.int64)


def _rows_at(image: NDArray[Any], rows: NDArray[np.int64], place: Place) -> FileRows:
    """The rows at these positions, which ascend, as features; errors tell the row of the file."""

    def take(start: int, stop: int) -> NDArray[Any]:
        return np.asarray(image[rows[start:stop]])

    def convert(block: NDArray[Any], place: Place, start: int) -> NDArray[Any]:
        out = block.astype(np.float32)
        wrong = ~np.isfinite(out).all(axis=1)
        if wrong.any():
            row = rows[start + int(wrong.argmax())]
            raise place.error(f"row {row} holds NaN or infinity; expected finite values")
        return out

    return FileRows(place, (len(rows), image.shape[1]), np.dtype(np.float32), take, convert)


def _annotations(folder: Path, kind: str) -> tuple[list[tuple[Place, dict[str, Any]]], list[Path]]:
    """The documents of one kind that are there, with at least an empty list of annotations."""
    names = [f"{kind}_{part}.json" for part in _SETS]
    files = [home / name for home in (folder / "annotations", folder) for name in names]
    files = [file for file in files if file.is_file()][: len(_SETS)]
    if not files:
        missing = folder / "annotations" / names[0]
        raise DatasetFileError(f"{missing}: no such file. {EXPECTED}")
    documents = []
    for file in files:
        place = Place(file, "", EXPECTED)
        try:
            document = json.loads(file.read_text(encoding="utf-8"), object_hook=_known_keys)
        except ValueError as error:
            raise place.error("is not JSON") from error
        if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
            raise place.error("has no list of annotations")
        documents.append((place, document))
    return documents, files


def _known_keys(entry: dict[str, Any]) -> dict[str, Any]:
    """Without outlines and boxes, which are most of the bytes."""
    return {key: entry[key] for key in _KEYS if key in entry}


def _captions(folder: Path, count: int) -> tuple[dict[int, str], list[Path]]:
    """The first captions of every image, joined, by image id."""
    if count < 1:
        raise ValueError(f"coco: expected captions >= 1; got {count}")
    documents, files = _annotations(folder, "captions")
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for place, document in documents:
        for number, entry in enumerate(document["annotations"]):
            try:
                found[int(entry["image_id"])].append((int(entry["id"]), str(entry["caption"])))
            except (KeyError, TypeError, ValueError) as error:
                raise place.error(
                    f"annotation {number} is not an object with image_id, id and caption"
                ) from error
    texts = {
        image: " ".join(text.strip() for _, text in sorted(said)[:count])
        for image, said in found.items()
    }
    return texts, files


def _categories(folder: Path) -> tuple[dict[int, str], dict[int, set[int]], list[Path]]:
    """Names by category id, in the order of the classes, and the classes that images show."""
    documents, files = _annotations(folder, "instances")
    names: dict[int, str] = {}
    for place, document in documents:
        try:
            names |= {int(c["id"]): str(c["name"]) for c in document["categories"]}
        except (KeyError, TypeError, ValueError) as error:
            raise place.error("has no categories with id and name") from error
    names = dict(sorted(names.items()))
    classes = {category: i for i, category in enumerate(names)}
    shown: dict[int, set[int]] = defaultdict(set)
    for place, document in documents:
        for number, entry in enumerate(document["annotations"]):
            try:
                shown[int(entry["image_id"])].add(classes[int(entry["category_id"])])
            except (KeyError, TypeError, ValueError) as error:
                raise place.error(
                    f"annotation {number} has no image_id, or no category_id among the "
                    f"{len(classes)} categories"
                ) from error
    return names, shown, files
