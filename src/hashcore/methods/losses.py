"""Loss terms that several methods share; each takes outputs of a whole batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hashcore.methods.relevance import Triplets


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) = 1 - cos(a, b) of all rows of a `[B, K]` and b `[N, K]`, `[B, N]`."""
    return 1 - F.normalize(a) @ F.normalize(b).T


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
