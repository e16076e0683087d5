"""How good a hasher is, under the named database protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore import metrics
from hashcore.metrics import Protocol
from hashcore.train.hasher import Hasher

if TYPE_CHECKING:
    from hashcore.data import CrossModalDataset

ProtocolName = Literal["unseen", "encoded"]
Direction = Literal["image_to_text", "text_to_image"]


def evaluate_hasher(
    hasher: Hasher,
    dataset: CrossModalDataset,
    protocols: Sequence[ProtocolName] = ("unseen", "encoded"),
    **options: Any,
) -> dict[ProtocolName, dict[Direction, metrics.Report]]:
    """Rank the database of each protocol for the query rows of `dataset`, both directions.

    Args:
        hasher: the trained hasher.
        dataset: its queries are `split.query`.
        protocols: "unseen": the database is the query rows' other modality; "encoded": it is
            `split.database`, encoded by the hasher.
        options: handed to `metrics.evaluate`, such as `topn` and `ndcg_at`.

    Returns:
        A report by protocol and direction.

    Raises:
        ValueError: unknown protocol.
    """
    rows = {"unseen": dataset.split.query, "encoded": dataset.split.database}
    if unknown := [name for name in protocols if name not in rows]:
        raise ValueError(f"protocols: expected any of {list(rows)}; got {unknown}")
    query = dataset.split.query
    q_image, q_text = encode_pair(hasher, dataset.image[query], dataset.text[query])
    shared = {"bits": hasher.bits, **options}
    reports: dict[ProtocolName, dict[Direction, metrics.Report]] = {}
    for name in protocols:
        db = rows[name]
        db_image, db_text = q_image, q_text
        if name == "encoded":
            db_image, db_text = encode_pair(hasher, dataset.image[db], dataset.text[db])
        labels = dataset.labels[query], dataset.labels[db]
        reports[name] = {
            "image_to_text": metrics.evaluate(
                q_image, db_text, *labels, protocol=Protocol(name, "I->T"), **shared
            ),
            "text_to_image": metrics.evaluate(
                q_text, db_image, *labels, protocol=Protocol(name, "T->I"), **shared
            ),
        }
    return reports


def encode_pair(
    hasher: Hasher, image: NDArray[Any], text: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Codes of both modalities, uint8 `[n, ceil(K / 8)]` each."""
    return hasher.encode_image(image), hasher.encode_text(text)
