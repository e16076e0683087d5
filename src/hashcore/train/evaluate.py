"""How good a hasher is, under the named database protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hashcore import metrics
from hashcore.metrics import Protocol
from hashcore.train.hasher import Hasher
from hashcore.train.rows import Rows

if TYPE_CHECKING:
    from hashcore.data import CrossModalDataset

ProtocolName = Literal["unseen", "encoded", "labelled"]
Direction = Literal["image_to_text", "text_to_image"]
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
ProtocolCodes = tuple[Pair, Pair, NDArray[np.int64]]


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
            `split.database`, encoded by the hasher; "labelled": the same rows, encoded from their
            labels.
        options: handed to `metrics.evaluate`, such as `topn` and `ndcg_at`.

    Returns:
        A report by protocol and direction.

    Raises:
        ValueError: unknown protocol.
    """
    known = get_args(ProtocolName)
    if unknown := [name for name in protocols if name not in known]:
        raise ValueError(f"protocols: expected any of {list(known)}; got {unknown}")
    reports: dict[ProtocolName, dict[Direction, metrics.Report]] = {}
    for name in protocols:
        codes = codes_under(name, hasher, dataset)
        reports[name] = evaluate_codes(name, codes, dataset, bits=hasher.bits, **options)
    return reports


def evaluate_codes(
    protocol: ProtocolName, codes: ProtocolCodes, dataset: CrossModalDataset, **options: Any
) -> dict[Direction, metrics.Report]:
    """The reports of both directions, of what `codes_under` gave; `options` as there."""
    (q_image, q_text), (db_image, db_text), rows = codes
    labels = dataset.labels[dataset.split.query], dataset.labels[rows]
    return {
        "image_to_text": metrics.evaluate(
            q_image, db_text, *labels, protocol=Protocol(protocol, "I->T"), **options
        ),
        "text_to_image": metrics.evaluate(
            q_text, db_image, *labels, protocol=Protocol(protocol, "T->I"), **options
        ),
    }


def codes_under(
    protocol: ProtocolName, hasher: Hasher, dataset: CrossModalDataset
) -> ProtocolCodes:
    """Image and text codes of the queries and of a protocol's database, and the database's rows."""
    query, rows = dataset.split.query, dataset.split.database
    image, text = Rows(dataset.image, query), Rows(dataset.text, query)
    if protocol == "unseen":
        unseen = (
            hasher.encode_database("image", image, trained=False),
            hasher.encode_database("text", text, trained=False),
        )
        return encode_pair(hasher, image, text), unseen, query
    labelled = protocol == "labelled"
    queries = (
        hasher.encode_query("image", image, labelled=labelled),
        hasher.encode_query("text", text, labelled=labelled),
    )
    if labelled:
        of_labels = hasher.encode_labels(dataset.labels[rows])
        return queries, (of_labels, of_labels), rows
    database = (
        hasher.encode_database("image", Rows(dataset.image, rows)),
        hasher.encode_database("text", Rows(dataset.text, rows)),
    )
    return queries, database, rows


def encode_pair(hasher: Hasher, image: NDArray[Any] | Rows, text: NDArray[Any] | Rows) -> Pair:
    """Codes of both modalities, uint8 `[n, ceil(K / 8)]` each."""
    return hasher.encode_image(image), hasher.encode_text(text)
