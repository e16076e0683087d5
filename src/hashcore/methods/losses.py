"""Loss terms that several methods share; each takes outputs of a whole batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hashcore.methods.relevance import Triplets, ndcg_weights, scale_to_mean_one, triplets


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """cos(a, b) of all rows of a `[B, K]` and b `[N, K]`, `[B, N]`; 0 where a row is zero."""
    return F.normalize(a) @ F.normalize(b).T


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) = 1 - cos(a, b) of all rows of a `[B, K]` and b `[N, K]`, `[B, N]`."""
    return 1 - cosine(a, b)


def ranking_loss(distance: Tensor, t: Triplets, weight: Tensor, margin: float) -> Tensor:
    """Weighted triplet hinge, averaged over the active triplets.

    Args:
        distance: `[B, B]`, anchors in rows.
        t: valid triplets.
        weight: w_apn, `[P, B]`, 0 where there is no triplet.
        margin: m.
    """
    own = distance.index_select(0, t.anchor)  # [P, B]
    hinge = F.relu(margin + own.gather(1, t.positive[:, None]) - own)  # [P, B]
    active = ((hinge > 0) & t.negative).sum().clamp(min=1)
    return (hinge * weight).sum() / active


def hardest_triplets(distance: Tensor, t: Triplets) -> Triplets:
    """Of each anchor, only the triplet with the greatest d_ap - d_an; equal ones all stay.

    Args:
        distance: `[B, B]`, anchors in rows.
        t: valid triplets.
    """
    own = distance.detach().index_select(0, t.anchor)  # [P, B]
    excess = own.gather(1, t.positive[:, None]) - own
    excess = excess.masked_fill(~t.negative, -torch.inf)
    greatest = excess.new_full((len(distance),), -torch.inf)  # [B]
    greatest = greatest.scatter_reduce(0, t.anchor, excess.amax(dim=1), "amax")
    return t._replace(negative=t.negative & (excess == greatest[t.anchor, None]))


def bidirectional_ranking(
    distance: Tensor, relevance: Tensor, margin: float, *, graded: bool, hardest: bool = False
) -> Tensor:
    """Triplet ranking loss with anchors in the rows plus that with anchors in the columns.

    Args:
        distance: from images to texts, `[B, B]`.
        relevance: r, float `[B, B]`.
        margin: m.
        graded: every difference in r makes a triplet, weighted by w_apn over its mean; otherwise
            negatives share no label and all triplets weigh 1.
        hardest: keep the hardest triplet of each anchor instead of all.
    """
    t = triplets(relevance, graded=graded)
    weight = t.negative.to(distance)  # [P, B]
    if graded:
        # w falls with the number of relevant rows and would set the size of the term.
        weight = scale_to_mean_one(ndcg_weights(relevance, t), t)
    total = distance.new_zeros(())
    for own in (distance, distance.T):
        kept = hardest_triplets(own, t) if hardest else t
        total = total + ranking_loss(own, kept, weight * kept.negative, margin)
    return total


def pair_loss(distance: Tensor, similar: Tensor, margin: float) -> Tensor:
    """mean_{S=1} d + mean_{S=0} [m' - d]_+ for distances and S, both `[B, B]`."""
    near = (distance * similar).sum() / similar.sum().clamp(min=1)
    far = (F.relu(margin - distance) * ~similar).sum() / (~similar).sum().clamp(min=1)
    return near + far


def pairwise_likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """mean[ ln(1 + e^theta) - S theta ] for theta and S, both `[B, B]`."""
    return (F.softplus(theta) - similar * theta).mean()


def joint_codes(image: Tensor, text: Tensor) -> Tensor:
    """sign(F + G) of the outputs of both modalities, -1 at zero; `[B, K]`, without gradient."""
    return torch.where(image.detach() + text.detach() > 0, 1.0, -1.0).to(image)


def quantisation(output: Tensor, codes: Tensor) -> Tensor:
    """|C - F|^2 / BK for outputs F and codes C, both `[B, K]`."""
    return (codes - output).square().mean()


def bit_balance(output: Tensor) -> Tensor:
    """|F^T 1|^2 / BK for outputs F, `[B, K]`."""
    return output.sum(dim=0).square().sum() / output.numel()
