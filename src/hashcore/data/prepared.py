"""Prepared directories: a data set as mapped arrays, with a manifest that tells what they are.

    manifest.json                          format, protocol, source, counts, sha256 of every file
    image.npy  text.npy  labels.npy        rows of all pairs, as `CrossModalDataset` has them
    train.npy  query.npy  database.npy     int64 row ids of the split
    captions.json  vocabulary.json         where the set has them

`hashcore data prepare` writes them. The manifest is the last file to be written, after every value
was checked, so that a directory with a manifest is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore.data._files import DatasetFileError, require
from hashcore.data.source import PairSource
from hashcore.data.split import Split
from hashcore.data.vocabulary import Vocabulary

MANIFEST = "manifest.json"
ARRAYS = ("image", "text", "labels")
PARTS = ("train", "query", "database")
CAPTIONS, VOCABULARY = "captions.json", "vocabulary.json"
EXPECTED = (
    f"Expected a directory with {MANIFEST}, image.npy, text.npy, labels.npy, train.npy, query.npy "
    "and database.npy, as hashcore data prepare NAME --source DIR --out DIR writes it"
)
_FORMAT = "hashcore.dataset"


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and sha256 (hex) of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a prepared directory holds.

    Attributes:
        name: of the data set.
        protocol: how the split came about, in words.
        split_hash: `Split.hash`.
        counts: pairs, rows of each part, classes, and pairs without any label.
        source: the loader, its options, and name, size and sha256 of every file that it read.
        image_transform: as `CrossModalDataset` has it.
        text_transform: the same.
        class_names: the same.
        files: every file beside the manifest.
    """

    name: str
    protocol: str
    split_hash: str
    counts: Mapping[str, int]
    source: Mapping[str, Any]
    image_transform: str
    text_transform: str
    class_names: tuple[str, ...]
    files: Mapping[str, FileRecord]

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps({"format": _FORMAT, "version": 1, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """The manifest of a directory.

        Raises:
            DatasetFileError: missing, or not a manifest of version 1.
        """
        path = require(directory / MANIFEST, EXPECTED)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if (document.pop("format"), document.pop("version")) != (_FORMAT, 1):
                raise ValueError("format")
            files = {name: FileRecord(**record) for name, record in document["files"].items()}
            names = tuple(document["class_names"])
            return cls(**{**document, "files": files, "class_names": names})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetFileError(
                f"{path}: not a manifest of a prepared data set (version 1). {EXPECTED}"
            ) from error


def open_prepared(path: str | os.PathLike[str]) -> PairSource:
    """Open a prepared directory; its arrays are mapped, so that they may exceed the memory.

    The sizes of all files, the split and the small files are compared with the manifest. The values
    of the arrays were checked when they were written; `hashcore data check` compares their sha256.

    Raises:
        DatasetFileError: not a prepared directory, or a file is not what its manifest says.
    """
    directory = Path(path)
    manifest = Manifest.read(directory)
    arrays = {name: map_array(directory, name, manifest) for name in ARRAYS}
    parts = {name: np.array(map_array(directory, name, manifest)) for name in PARTS}
    try:
        split = Split(**parts)
    except ValueError as error:
        raise DatasetFileError(f"{directory}: {error}. {EXPECTED}") from error
    if split.hash != manifest.split_hash:
        raise DatasetFileError(
            f"{directory}: the split is not the one of {MANIFEST}; a file was changed. {EXPECTED}"
        )
    captions, vocabulary = _read_words(directory, manifest)
    return PairSource(
        name=manifest.name,
        **arrays,
        split=split,
        image_transform=manifest.image_transform,
        text_transform=manifest.text_transform,
        class_names=manifest.class_names,
        captions=captions,
        vocabulary=vocabulary,
        files=tuple(directory / name for name in (*manifest.files, MANIFEST)),
        protocol=manifest.protocol,
        values_checked=True,
    )


def map_array(directory: Path, name: str, manifest: Manifest) -> NDArray[Any]:
    """One array, mapped; DatasetFileError where it is missing or of another size."""
    path = _require_whole(directory, f"{name}.npy", manifest)
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DatasetFileError(f"{path}: not a whole .npy file. {EXPECTED}") from error
    return array


def _require_whole(directory: Path, name: str, manifest: Manifest) -> Path:
    path = require(directory / name, EXPECTED)
    record = manifest.files.get(name)
    if record is None:
        raise DatasetFileError(f"{directory / MANIFEST}: does not name {name}. {EXPECTED}")
    if (size := path.stat().st_size) != record.bytes:
        raise DatasetFileError(
            f"{path}: {size:,} bytes; expected {record.bytes:,}, as {MANIFEST} says. {EXPECTED}"
        )
    return path


def _read_words(directory: Path, manifest: Manifest) -> tuple[tuple[str, ...], Vocabulary | None]:
    captions: tuple[str, ...] = ()
    vocabulary = None
    try:
        if CAPTIONS in manifest.files:
            path = _require_whole(directory, CAPTIONS, manifest)
            captions = tuple(json.loads(path.read_text(encoding="utf-8")))
        if VOCABULARY in manifest.files:
            path = _require_whole(directory, VOCABULARY, manifest)
            vocabulary = Vocabulary.from_json(path.read_text(encoding="utf-8"))
    except DatasetFileError:
        raise
    except (ValueError, TypeError) as error:
        raise DatasetFileError(f"{path}: damaged. {EXPECTED}") from error
    return captions, vocabulary
