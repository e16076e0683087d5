"""What the labels say: shared labels, graded weights, valid triplets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def shared_labels(a: Tensor, b: Tensor) -> Tensor:
    """Number of labels in common, r = a . b.

    Args:
        a: bool `[B, C]`.
        b: bool `[N, C]`.

    Returns:
        float32 `[B, N]`.
    """
    return a.float() @ b.float().T


class Triplets(NamedTuple):
    """All valid (anchor, positive, negative) of a batch, one row per (anchor, positive).

    Attributes:
        anchor: int64 `[P]`.
        positive: int64 `[P]`, r(anchor, positive) > 0.
        negative: bool `[P, B]`, which rows are negatives of that pair.
    """

    anchor: Tensor
    positive: Tensor
    negative: Tensor


def triplets(relevance: Tensor, *, graded: bool, exclude_self: bool = False) -> Triplets:
    """Every triplet that the labels order.

    A row per (anchor, positive) pair keeps the work at P x B, about a tenth of B^3 with ten
    classes.

    Args:
        relevance: r, float `[B, B]`.
        graded: a negative shares fewer labels than the positive; otherwise it shares none.
        exclude_self: drop pairs of a row with itself (both sides in one modality).
    """
    positives = relevance > 0  # [B, B]
    if exclude_self:
        positives = positives & ~torch.eye(
            len(relevance), dtype=torch.bool, device=positives.device
        )
    anchor, positive = positives.nonzero(as_tuple=True)
    own = relevance[anchor]  # [P, B]
    negative = own < relevance[anchor, positive, None] if graded else own == 0
    return Triplets(anchor, positive, negative)


def ideal_gain(relevance: Tensor) -> Tensor:
    """Z_a, the discounted gain of the ideal order of each anchor's row.

    Args:
        relevance: r, float `[B, N]`.

    Returns:
        sum over the ideal order of (2^r - 1) / log2(rank + 1), `[B]`.
    """
    ranks = torch.arange(1, relevance.shape[1] + 1).to(relevance)
    gains = torch.exp2(relevance.sort(dim=1, descending=True).values) - 1  # [B, N]
    return (gains / torch.log2(ranks + 1)).sum(dim=1)


def ndcg_weights(relevance: Tensor, t: Triplets) -> Tensor:
    """w_apn = [(2^r_ap - 1) - (2^r_an - 1)] / Z_a of every triplet; 0 where there is none.

    Returns:
        `[P, B]`.
    """
    gain = torch.exp2(relevance)  # [B, B]
    norm = ideal_gain(relevance)[t.anchor, None]  # [P, 1]
    weight = (gain[t.anchor, t.positive, None] - gain[t.anchor]) / norm  # [P, B]
    return weight * t.negative


def scale_to_mean_one(weight: Tensor, t: Triplets) -> Tensor:
    """Weights `[P, B]` over their mean over the triplets, so that their units do not matter."""
    total = weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)
    return weight * (t.negative.sum() / total)


def ranks(scores: Tensor) -> Tensor:
    """Position of every column when each row is sorted by falling score, without gradient.

    Args:
        scores: `[B, N]`.

    Returns:
        Like `scores`, from 1; equal scores rank in column order.
    """
    order = scores.detach().argsort(dim=1, descending=True, stable=True)  # [B, N]
    places = torch.arange(1, scores.shape[1] + 1).to(scores).expand_as(scores)
    return torch.empty_like(places).scatter_(1, order, places)
