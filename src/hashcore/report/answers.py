"""What queries found, as rows of a data set, and how a page shows it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

import hashcore
from hashcore.data import CrossModalDataset

HitKind = Literal["pair", "distractor"]

_THUMBNAIL = 112  # pixels: larger pictures are averaged down, so that pages stay small


@dataclass(frozen=True)
class Hit:
    """One code that was found. Rows are of the data set; a distractor has row -1."""

    kind: HitKind
    row: int
    distance: int
    relevant: bool
    own: bool


@dataclass(frozen=True)
class Answer:
    """A query, as a row of the data set, and its hits."""

    row: int
    hits: tuple[Hit, ...]


def find(
    index: hashcore.Index,
    codes: NDArray[np.uint8],
    rows: NDArray[np.int64],
    dataset: CrossModalDataset,
    *,
    hits: int,
    first_distractor: int | None = None,
) -> tuple[Answer, ...]:
    """Search an index whose ids are rows of the data set.

    Args:
        index: of the modality that is searched.
        codes: of the queries, uint8 `[Q, B]`.
        rows: of the queries, `[Q]`.
        dataset: whose labels say what is relevant.
        hits: hits of a query.
        first_distractor: ids from here on are no rows.
    """
    distances, ids = index.search(codes, hits)
    answers = []
    for query, row_distances, row_ids in zip(
        rows.tolist(), distances.tolist(), ids.tolist(), strict=True
    ):
        found = []
        for distance, code_id in zip(row_distances, row_ids, strict=True):
            if code_id < 0:
                continue
            if first_distractor is not None and code_id >= first_distractor:
                found.append(Hit("distractor", -1, distance, relevant=False, own=False))
                continue
            relevant = bool((dataset.labels[query] & dataset.labels[code_id]).any())
            found.append(Hit("pair", code_id, distance, relevant, own=code_id == query))
        answers.append(Answer(query, tuple(found)))
    return tuple(answers)


def text_row(answer: Answer, dataset: CrossModalDataset) -> dict[str, Any]:
    """For a template: a caption and what it found."""
    hits = [_shown(hit, answer.row, dataset) for hit in answer.hits]
    return {
        "caption": words_of(dataset, answer.row),
        "hits": hits,
        "right": sum(hit["state"] in ("own", "relevant") for hit in hits),
    }


def image_row(answer: Answer, dataset: CrossModalDataset) -> dict[str, Any]:
    """For a template: a picture and what it found."""
    return {**text_row(answer, dataset), **picture(dataset, answer.row)}


def words_of(dataset: CrossModalDataset, row: int) -> str:
    """What a row is, in words: its caption, else its classes."""
    if dataset.captions:
        return dataset.captions[row]
    classes = np.flatnonzero(dataset.labels[row]).tolist()
    named = [dataset.class_names[c] if dataset.class_names else f"class {c}" for c in classes]
    return ", ".join(named) or "no class"


def marked(caption: str, shared: list[str]) -> list[tuple[str, bool]]:
    """The caption in pieces, true where a piece is one of the shared class names."""
    if not shared:
        return [(caption, False)]
    pattern = "|".join(re.escape(name) for name in shared)
    pieces = re.split(f"({pattern})", caption)
    return [(piece, piece in shared) for piece in pieces if piece]


def picture(dataset: CrossModalDataset, row: int) -> dict[str, Any]:
    """For a template: the picture of a row as a PNG in the page, and its size."""
    pixels = thumbnail(dataset.image[row])
    height, width = pixels.shape[1:]
    return {"image": png_data_uri(pixels), "width": width, "height": height}


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image uint8 [3, H, W], averaged over squares where a side is too long for a page."""
    step = -(-max(image.shape[1:]) // _THUMBNAIL)
    if step == 1:
        return image
    height, width = (max(side // step, 1) for side in image.shape[1:])
    cut = image[:, : height * step, : width * step].astype(np.float32)
    squares = cut.reshape(3, height, -1, width, cut.shape[2] // width)
    return np.asarray(np.rint(squares.mean(axis=(2, 4))), dtype=np.uint8)


def png_data_uri(image: NDArray[np.uint8]) -> str:
    """An image uint8 [3, H, W] as the `data:` address of a PNG."""
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(image.transpose(1, 2, 0)), format="png", metadata={})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _shown(hit: Hit, query: int, dataset: CrossModalDataset) -> dict[str, Any]:
    entry: dict[str, Any] = {"distance": hit.distance, "kind": hit.kind}
    if hit.kind == "distractor":
        return {**entry, "state": "distractor"}
    both = np.flatnonzero(dataset.labels[query] & dataset.labels[hit.row]).tolist()
    shared = [dataset.class_names[c] for c in both] if dataset.class_names else []
    caption = words_of(dataset, hit.row)
    shown = {**entry, "caption": caption, "pieces": marked(caption, shared)}
    if dataset.image_kind == "pixels":
        shown |= picture(dataset, hit.row)
    return {**shown, "state": "own" if hit.own else "relevant" if hit.relevant else "miss"}
