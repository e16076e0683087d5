"""Whether a prepared directory is undamaged, and free of leakage and duplicates.

Rows are the same when their bytes are: equal features, pixels or token ids, to the last bit. They
are compared by 128-bit BLAKE2b digests, 16 bytes a row and modality.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore.data._rows import row_blocks
from hashcore.data.prepared import PARTS, Manifest, map_array, open_prepared
from hashcore.data.writer import Progress, file_record

Kind = Literal[
    "damage",
    "shared-rows",
    "leaked-pairs",
    "leaked-images",
    "leaked-texts",
    "duplicate-pairs",
    "duplicate-images",
    "duplicate-texts",
]
_LEAKED: dict[str, Kind] = {
    "pair": "leaked-pairs",
    "image": "leaked-images",
    "text": "leaked-texts",
}
_DUPLICATE: dict[str, Kind] = {
    "pair": "duplicate-pairs",
    "image": "duplicate-images",
    "text": "duplicate-texts",
}


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    Attributes:
        kind: "damage": a file is not what the manifest says; "shared-rows": row ids of the query
            part that are training or database rows too; "leaked-...": query rows with the same
            bytes as a training or database row, under another id; "duplicate-...": rows of one
            side, queries or not, with the same bytes as one before.
        count: rows concerned; files for "damage".
        text: the same in words, with the first example.
    """

    kind: Kind
    count: int
    text: str


def check_prepared(
    path: str | os.PathLike[str], progress: Progress | None = None
) -> tuple[Manifest, list[Finding]]:
    """Read a prepared directory again and compare.

    Args:
        path: the directory.
        progress: called with bytes done and bytes in all; images and texts are read twice.

    Returns:
        The manifest, and what was found; nothing where the set is clean. A damaged set is not
        searched for more.

    Raises:
        DatasetFileError: there is no manifest.
    """
    directory = Path(path)
    manifest = Manifest.read(directory)
    count = _counter(manifest, progress)
    damaged = _damage(directory, manifest, count)
    if damaged:
        return manifest, damaged
    parts = {name: np.array(map_array(directory, name, manifest)) for name in PARTS}
    query = np.unique(parts["query"])
    searched = np.union1d(parts["train"], parts["database"])
    findings = []
    shared = np.intersect1d(query, searched)
    if shared.size:
        said = f"query rows are also training or database rows; first: {shared[:5].tolist()}"
        findings.append(Finding("shared-rows", shared.size, f"{shared.size:,} {said}"))
        query = np.setdiff1d(query, shared)
    else:
        try:
            open_prepared(directory)
        except ValueError as error:
            return manifest, [Finding("damage", 1, str(error))]
    images, texts = (
        _digests(map_array(directory, name, manifest), count) for name in ("image", "text")
    )
    same = {
        "pair": _groups([*images, *texts]),
        "image": _groups(images),
        "text": _groups(texts),
    }
    for what, groups in same.items():
        findings += _leaks(what, groups, query, searched)
    for what, groups in same.items():
        findings += _duplicates(what, groups, query, searched)
    return manifest, findings


def _counter(manifest: Manifest, progress: Progress | None) -> Callable[[int], None]:
    """What is called with the bytes of every piece that was read."""
    sizes = {name: record.bytes for name, record in manifest.files.items()}
    total = sum(sizes.values()) + sizes.get("image.npy", 0) + sizes.get("text.npy", 0)
    done = 0

    def count(piece: int) -> None:
        nonlocal done
        done += piece
        if progress is not None:
            progress(min(done, total), total)

    return count


def _damage(directory: Path, manifest: Manifest, count: Callable[[int], None]) -> list[Finding]:
    """Files that are missing or do not have the sha256 that the manifest states."""
    wrong = []
    for name, record in manifest.files.items():
        path = directory / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif file_record(path, count) != record:
            wrong.append(f"{name} does not have the sha256 of the manifest")
    return [Finding("damage", len(wrong), "; ".join(wrong))] if wrong else []


def _digests(
    array: NDArray[Any], count: Callable[[int], None]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The two halves of a digest of every row, uint64 [N] each."""
    out = np.empty((len(array), 2), dtype=np.uint64)
    for part in row_blocks(array):
        block = np.ascontiguousarray(array[part])
        view = block.data.cast("B")
        width = block.nbytes // len(block)
        out[part] = np.frombuffer(
            b"".join(
                hashlib.blake2b(view[i : i + width], digest_size=16).digest()
                for i in range(0, block.nbytes, width)
            ),
            dtype=np.uint64,
        ).reshape(-1, 2)
        count(block.nbytes)
    return out[:, 0], out[:, 1]


def _groups(keys: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """int64 [N]: rows have the same number when they agree in every key."""
    order = np.lexsort(keys)
    new = np.zeros(order.size, dtype=np.int64)
    for key in keys:
        new[1:] |= key[order[1:]] != key[order[:-1]]
    groups = np.empty_like(new)
    groups[order] = np.cumsum(new)
    return groups


def _leaks(
    what: str, groups: NDArray[np.int64], query: NDArray[np.int64], searched: NDArray[np.int64]
) -> list[Finding]:
    leaked = query[np.isin(groups[query], groups[searched])]
    if not leaked.size:
        return []
    first = int(leaked[0])
    twin = int(searched[groups[searched] == groups[first]][0])
    text = (
        f"{leaked.size:,} query rows have the same {what} as a training or database row; "
        f"first: row {first} as row {twin}"
    )
    return [Finding(_LEAKED[what], leaked.size, text)]


def _duplicates(
    what: str, groups: NDArray[np.int64], query: NDArray[np.int64], searched: NDArray[np.int64]
) -> list[Finding]:
    total, examples = 0, []
    for rows in (query, searched):
        _, first, inverse = np.unique(groups[rows], return_index=True, return_inverse=True)
        repeats = np.flatnonzero(first[inverse] != np.arange(rows.size))
        total += repeats.size
        if repeats.size:
            row, before = int(rows[repeats[0]]), int(rows[first[inverse][repeats[0]]])
            examples.append(f"row {row} as row {before}")
    if not total:
        return []
    text = f"{total:,} rows have the same {what} as one before; first: {examples[0]}"
    return [Finding(_DUPLICATE[what], total, text)]
