"""IAPR TC-12: photographs with descriptions, multi-label; 1,962 pairs as ready features.

M. Grubinger et al., "The IAPR TC-12 Benchmark", OntoImage 2006. Two CSV files whose rows go
together: the first column holds the keyword ids, separated by spaces, the others the features.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashcore.data._files import DatasetFileError, Place, features, require, same_rows
from hashcore.data.source import PairSource
from hashcore.data.split import Split

IMAGE_FILE = "iaprtc12_vgg128.csv"
TEXT_FILE = "iaprtc12_bigru.csv"
_QUERIES = 500
KEYWORDS = 291
EXPECTED = (
    f"Expected a folder with {IMAGE_FILE} (1962 rows: keyword ids 0..{KEYWORDS - 1} separated by "
    f"spaces, then 128 VGG features) and {TEXT_FILE} (the same rows and keyword ids, then 64 BiGRU "
    "features), comma-separated, without a heading: the feature files that published "
    "cross-modal retrieval code on IAPR TC-12 ships. The set itself: "
    "https://www.imageclef.org/photodata"
)


def _read(path: Path) -> tuple[list[list[int]], NDArray[np.float32]]:
    """Keyword ids of every row, and the features float32 [N, D]."""
    require(path, EXPECTED)
    keywords: list[list[int]] = []
    rows: list[NDArray[np.float32]] = []
    with path.open(encoding="utf-8") as lines:
        try:
            for line in lines:
                head, _, rest = line.partition(",")
                keywords.append([int(word) for word in head.split()])
                values = np.array(rest.split(","), dtype=np.float32)
                if not 0 <= min(keywords[-1]) <= max(keywords[-1]) < KEYWORDS:
                    raise ValueError("keyword id")
                if values.size != (rows or [values])[0].size:
                    raise ValueError("columns")
                rows.append(values)
        except ValueError as error:
            raise DatasetFileError(
                f"{path}: line {len(rows) + 1} is not keyword ids 0..{KEYWORDS - 1} and as many "
                f"features as line 1. {EXPECTED}"
            ) from error
    if not rows:
        raise DatasetFileError(f"{path}: empty. {EXPECTED}")
    return keywords, features(np.stack(rows), Place(path, "", EXPECTED))


def open_iapr(
    path: str | os.PathLike[str], *, queries: int = _QUERIES, seed: int = 0
) -> PairSource:
    """Read the folder with the two CSV files (or one of the two files in it).

    Args:
        path: the folder.
        queries: rows of the query split; the others train and are the database. Which ones is
            drawn by `numpy.random.RandomState(seed).permutation(N)`, training rows first.
        seed: of that draw.

    Returns:
        1,962 pairs, image [128] (transform sqrt), text [64], one class a keyword.

    Raises:
        DatasetFileError: missing or of another layout; says what is expected and from where.
        ValueError: queries leaves no row to train or to ask.
    """
    folder = Path(path)
    if folder.name in (IMAGE_FILE, TEXT_FILE):
        folder = folder.parent
    keywords, image = _read(folder / IMAGE_FILE)
    text_keywords, text = _read(folder / TEXT_FILE)
    same_rows({IMAGE_FILE: len(image), TEXT_FILE: len(text)}, folder, EXPECTED)
    if keywords != text_keywords:
        row = next(i for i, ids in enumerate(keywords) if ids != text_keywords[i])
        raise DatasetFileError(
            f"{folder}: row {row} of {IMAGE_FILE} has the keyword ids {keywords[row]}, of "
            f"{TEXT_FILE} {text_keywords[row]}; they must be the same. {EXPECTED}"
        )
    n = len(keywords)
    if not 0 < queries < n:
        raise ValueError(f"iapr: expected 0 < queries < {n}; got {queries}")
    labels = np.zeros((n, 1 + max(max(ids) for ids in keywords)), dtype=np.bool_)  # [N, C]
    for row, ids in enumerate(keywords):
        labels[row, ids] = True
    order = np.random.RandomState(seed).permutation(n)
    train = order[: n - queries]
    return PairSource(
        name="iapr",
        image=image,
        text=text,
        labels=labels,
        split=Split(train=train, query=order[n - queries :], database=train),
        image_transform="sqrt",
        files=(folder / IMAGE_FILE, folder / TEXT_FILE),
        protocol=f"{queries:,} query rows drawn by seed {seed}; database: the training rows",
    )
