"""What validation says of a hasher in training."""

from __future__ import annotations

import torch
from torch import Tensor

from hashcore import metrics
from hashcore._gpu import why_no_cuda
from hashcore.methods import Modality
from hashcore.ops import pack_sign
from hashcore.train.evaluate import encode_pair
from hashcore.train.hasher import Hasher
from hashcore.train.loop import TrainingRows
from hashcore.train.rows import Rows

ROWS = 8192
"""Rows that a GPU encodes, and queries that it evaluates, at a time."""


def validation_scores(
    hasher: Hasher, held: TrainingRows, database: TrainingRows
) -> dict[str, float]:
    """Tie-aware mAP of both directions, with `held` as queries against `database`.

    A GPU that has hashcore's kernels keeps codes and labels to itself, and gives the CPU's scores
    to a relative 1e-12.

    Raises:
        ValueError: an output is NaN.
    """
    if _stays_on_gpu(hasher):
        return _scores_on_gpu(hasher, held, database)
    q_image, q_text = encode_pair(hasher, held.image, held.text)
    db_image, db_text = encode_pair(hasher, database.image, database.text)
    labels = held.labels, database.labels
    return {
        "I->T": metrics.evaluate(q_image, db_text, *labels, bits=hasher.bits).map_tie_aware,
        "T->I": metrics.evaluate(q_text, db_image, *labels, bits=hasher.bits).map_tie_aware,
    }


def _stays_on_gpu(hasher: Hasher) -> bool:
    return hasher.device.type == "cuda" and why_no_cuda() is None


def _scores_on_gpu(hasher: Hasher, held: TrainingRows, database: TrainingRows) -> dict[str, float]:
    queries, codes = (
        {"image": _codes(hasher, "image", rows.image), "text": _codes(hasher, "text", rows.text)}
        for rows in (held, database)
    )
    labels = [torch.from_numpy(rows.labels).to(hasher.device) for rows in (held, database)]
    both = torch.stack(
        [
            _map(queries["image"], codes["text"], *labels, bits=hasher.bits),
            _map(queries["text"], codes["image"], *labels, bits=hasher.bits),
        ]
    )
    return dict(zip(("I->T", "T->I"), both.tolist(), strict=True))


def _codes(hasher: Hasher, modality: Modality, rows: Rows) -> Tensor:
    """Codes where the networks are, uint8 `[n, ceil(K / 8)]`."""
    parts, broken = [], []
    for start in range(0, len(rows), ROWS):
        outputs = hasher.outputs(modality, rows.at(slice(start, start + ROWS)))
        parts.append(pack_sign(outputs))
        broken.append(outputs.isnan().any())
    if torch.stack(broken).any():
        raise ValueError(f"{modality}: an output is NaN, which has no sign")
    return torch.cat(parts)


def _map(
    queries: Tensor, codes: Tensor, query_labels: Tensor, labels: Tensor, *, bits: int
) -> Tensor:
    """Tie-aware mAP, a float64 scalar where the codes are."""
    precisions = []
    for start in range(0, len(queries), ROWS):
        some = slice(start, start + ROWS)
        counts = metrics.relevance_counts(
            queries[some], codes, query_labels[some], labels, bits=bits, device="cuda"
        )
        precisions.append(metrics.tie_aware(counts, topn=(), map_at=()).ap)
    return torch.cat(precisions).mean()
