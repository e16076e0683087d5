"""Loss terms that several methods share; each takes outputs of a whole batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hashcore.ops import Ops


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """cos(a, b) of all rows of a `[B, K]` and b `[N, K]`, `[B, N]`; 0 where a row is zero."""
    return F.normalize(a) @ F.normalize(b).T


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) = 1 - cos(a, b) of all rows of a `[B, K]` and b `[N, K]`, `[B, N]`."""
    return 1 - cosine(a, b)


def bidirectional_ranking(
    ops: Ops,
    image: Tensor,
    text: Tensor,
    labels: Tensor,
    margin: float,
    *,
    graded: bool = True,
    hardest: bool = False,
) -> Tensor:
    """Triplet ranking loss by cosine distance, with images as anchors plus with texts as anchors.

    Args:
        ops: what computes it.
        image: `[B, K]`.
        text: `[B, K]`.
        labels: bool `[B, C]`, of both.
        margin: m.
        graded: every difference in shared labels makes a triplet, weighted by w_apn over its mean;
            otherwise negatives share no label and all triplets weigh 1.
        hardest: keep the hardest triplet of each anchor instead of all.
    """

    def ranking(anchors: Tensor, candidates: Tensor) -> Tensor:
        return ops.triplet_mining_loss(
            anchors,
            candidates,
            labels,
            labels,
            margin=margin,
            mining="hard" if hardest else "all",
            weighting="ndcg" if graded else None,
        )

    return ranking(image, text) + ranking(text, image)


def pair_loss(distance: Tensor, similar: Tensor, margin: float) -> Tensor:
    """mean_{S=1} d + mean_{S=0} [m' - d]_+ for distances and S, both `[B, B]`."""
    near = (distance * similar).sum() / similar.sum().clamp(min=1)
    far = (F.relu(margin - distance) * ~similar).sum() / (~similar).sum().clamp(min=1)
    return near + far


def joint_codes(image: Tensor, text: Tensor) -> Tensor:
    """sign(F + G) of the outputs of both modalities, -1 at zero; `[B, K]`, without gradient."""
    return torch.where(image.detach() + text.detach() > 0, 1.0, -1.0).to(image)
