"""Triplet losses over batches: mined, weighed and differentiated without the triplets in memory."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from hashcore import _core
from hashcore.ops import _on_cuda
from hashcore.ops._library import (
    add_pair_gradients,
    check_labels,
    check_rows,
    differentiates,
    has_kernel,
    label_bits,
    product_blocks,
    register_loss,
    wide,
)

Mining = Literal["all", "hard", "semi_hard"]
Similarity = Literal["cosine", "inner", "sqeuclidean"]
Weighting = Literal["ndcg"]
Penalty = Literal["hinge", "logistic"]


def triplet_mining_loss(
    anchors: Tensor,
    candidates: Tensor,
    anchor_labels: Tensor,
    candidate_labels: Tensor,
    *,
    margin: float,
    mining: Mining = "all",
    similarity: Similarity = "cosine",
    graded: bool = False,
    weighting: Weighting | None = None,
    penalty: Penalty = "hinge",
    exclude_self: bool = False,
) -> Tensor:
    """Mean penalty of the triplets of a batch, anchors against candidates.

    A positive shares a label with its anchor; a negative shares none, or when `graded` fewer than
    the positive. What a triplet (a, p, n) costs rises with x = margin + d_ap - d_an.

    Runs in C++ on the CPU and in CUDA on a GPU; elsewhere, and for float64 on a GPU, as
    `triplet_mining_loss_reference`.
    Time is O(B N (K + log N)) and memory O(BK), but for `penalty="logistic"` with all triplets,
    whose time is that of the triplets. The same input gives the same bits.

    Args:
        anchors: floats `[B, K]`. Halves are computed in float32.
        candidates: like the anchors, `[N, K]`; of the other modality, or the same.
        anchor_labels: bool `[B, C]`.
        candidate_labels: bool `[N, C]`.
        margin: in units of the distance.
        mining: "all" triplets; "hard": of an anchor, the farthest positive and the nearest
            negative (when graded: those of each number of shared labels, and of these the
            pair with the greatest d_ap - d_an); "semi_hard": of an anchor and a positive, the
            nearest negative that is farther than the positive, where there is one. The first row
            wins among equals.
        similarity: of which the distance is made: "cosine" (d = 1 - cos), "inner" (d = -a.c) or
            "sqeuclidean" (d = |a - c|^2, at least 0).
        graded: how many labels rows share counts, and not whether they share any.
        weighting: "ndcg", which is graded too: w_apn = (2^r_ap - 2^r_an) / Z_a, with r the labels
            in common and Z_a the discounted gain of the ideal order, over the mean w of all
            triplets.
        penalty: "hinge", max(0, x), whose mean is over the mined triplets with x > 0; or
            "logistic", ln(1 + e^x), whose mean is over all that are mined.
        exclude_self: row i of the candidates is row i of the anchors, and is left out.

    Returns:
        Scalar; 0 where there is no triplet, NaN where an input is not finite.

    Raises:
        TypeError: anchors that are no floats, or labels that are not bool.
        ValueError: shapes that do not fit, or an unknown name.

    Source: batch-hard and batch-all, Hermans, Beyer and Leibe, 2017 (arXiv 1703.07737), which
    averages over the triplets that cost anything; semi-hard, Schroff, Kalenichenko and Philbin,
    2015 (arXiv 1503.03832).
    """
    options = _Options(margin, mining, similarity, graded, weighting, penalty, exclude_self)
    options.check(anchors, candidates, anchor_labels, candidate_labels)
    labels = anchor_labels, candidate_labels
    if not has_kernel(anchors, candidates):
        return triplet_mining_loss_reference(anchors, candidates, *labels, **options._asdict())
    a, c = wide(anchors), wide(candidates)
    if similarity == "cosine":
        a, c = F.normalize(a), F.normalize(c)
    loss: Tensor = _triplet_mining(
        a,
        c,
        *labels,
        margin,
        mining,
        similarity == "sqeuclidean",
        graded or weighting is not None,
        weighting is not None,
        penalty,
        exclude_self,
        differentiates(a, c),
    )[0]
    return loss


def triplet_mining_loss_reference(
    anchors: Tensor,
    candidates: Tensor,
    anchor_labels: Tensor,
    candidate_labels: Tensor,
    *,
    margin: float,
    mining: Mining = "all",
    similarity: Similarity = "cosine",
    graded: bool = False,
    weighting: Weighting | None = None,
    penalty: Penalty = "hinge",
    exclude_self: bool = False,
) -> Tensor:
    """`triplet_mining_loss` in plain PyTorch, every triplet in memory."""
    distance = _distances(wide(anchors), wide(candidates), similarity)  # [B, N]
    shared = anchor_labels.to(distance) @ candidate_labels.to(distance).T  # [B, N]
    level = shared if graded or weighting else (shared > 0).to(distance)
    kept = torch.ones_like(shared, dtype=torch.bool)
    if exclude_self:
        kept.fill_diagonal_(False)
    positive = kept & (shared > 0)
    ordered = level[:, None, :] < level[:, :, None]
    valid = positive[:, :, None] & kept[:, None, :] & ordered  # [B, N, N]: a, p, n
    weight = _ndcg_weights(shared, kept, valid) if weighting else torch.ones_like(distance[:1, :1])
    mined = {"all": _all, "hard": _hard, "semi_hard": _semi_hard}[mining](distance, level, valid)
    x = margin + distance[:, :, None] - distance[:, None, :]
    cost = F.relu(x) if penalty == "hinge" else torch.logaddexp(x, torch.zeros_like(x))
    counted = mined & (x > 0) if penalty == "hinge" else mined
    total = (cost * weight).masked_fill(~mined, 0).sum()
    return total / counted.sum().clamp(min=1)


def _distances(a: Tensor, c: Tensor, similarity: Similarity) -> Tensor:
    if similarity == "cosine":
        return 1 - F.normalize(a) @ F.normalize(c).T
    if similarity == "inner":
        return -a @ c.T
    return (a.square().sum(1)[:, None] + c.square().sum(1) - 2 * a @ c.T).relu()


def _ndcg_weights(shared: Tensor, kept: Tensor, valid: Tensor) -> Tensor:
    """Weights w over their mean over the valid triplets, `[B, N, N]`."""
    most = shared.masked_fill(~kept, 0).amax(dim=1, keepdim=True)
    gain = torch.exp2(shared - most)  # [B, N], over the largest, so that none overflows
    over_zero = (gain - torch.exp2(-most)).masked_fill(~kept, 0)
    ranks = torch.arange(1, shared.shape[1] + 1).to(shared)
    ideal = (over_zero.sort(dim=1, descending=True).values / torch.log2(ranks + 1)).sum(dim=1)
    scaled = torch.where(ideal[:, None] > 0, gain / ideal[:, None], 0)
    weight = scaled[:, :, None] - scaled[:, None, :]
    mean = weight.masked_fill(~valid, 0).sum() / valid.sum().clamp(min=1)
    return weight / torch.where(mean > 0, mean, 1)


def _all(distance: Tensor, level: Tensor, valid: Tensor) -> Tensor:
    return valid


def _hard(distance: Tensor, level: Tensor, valid: Tensor) -> Tensor:
    d, rows = distance.detach(), torch.arange(len(distance))
    mined = torch.zeros_like(valid)
    best = d.new_full((len(d),), -torch.inf)
    for value in torch.unique(level):  # ascending
        here = valid & (level == value)[:, :, None]
        farthest = d.masked_fill(~here.any(dim=2), -torch.inf).argmax(dim=1)
        nearest = d.masked_fill(~here.any(dim=1), torch.inf).argmin(dim=1)
        excess = d[rows, farthest] - d[rows, nearest]
        better = here.any(dim=2).any(dim=1) & (excess >= best)
        best = torch.where(better, excess, best)
        mined[better] = False
        mined[rows[better], farthest[better], nearest[better]] = True
    return mined


def _semi_hard(distance: Tensor, level: Tensor, valid: Tensor) -> Tensor:
    d = distance.detach()
    beyond = valid & (d[:, None, :] > d[:, :, None])
    nearest = d[:, None, :].masked_fill(~beyond, torch.inf).argmin(dim=2, keepdim=True)
    return beyond & torch.zeros_like(valid).scatter_(2, nearest, True)


class _Options(NamedTuple):
    margin: float
    mining: Mining
    similarity: Similarity
    graded: bool
    weighting: Weighting | None
    penalty: Penalty
    exclude_self: bool

    def check(self, a: Tensor, c: Tensor, a_labels: Tensor, c_labels: Tensor) -> None:
        check_rows("anchors", a)
        check_rows("candidates", c, like=a)
        check_labels("anchor_labels", a_labels, of=a)
        check_labels("candidate_labels", c_labels, of=c, like=a_labels)
        for name, known in (
            ("mining", get_args(Mining)),
            ("similarity", get_args(Similarity)),
            ("weighting", (None, *get_args(Weighting))),
            ("penalty", get_args(Penalty)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {known}; got {getattr(self, name)!r}")
        if self.exclude_self and len(a) != len(c):
            raise ValueError(
                f"exclude_self: expected as many candidates as anchors; got {len(c)} and {len(a)}"
            )


def _on_cpu(  # noqa: PLR0917 (the dispatcher hands over by position)
    anchors: Tensor,
    candidates: Tensor,
    anchor_labels: Tensor,
    candidate_labels: Tensor,
    margin: float,
    mining: str,
    squared: bool,
    graded: bool,
    weighted: bool,
    penalty: str,
    exclude_self: bool,
    differentiate: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients by anchors and candidates (empty without `differentiate`)."""
    a, c = anchors.detach().contiguous(), candidates.detach().contiguous()
    a_bits, c_bits = label_bits(anchor_labels), label_bits(candidate_labels)
    squares = (a.square().sum(dim=1), c.square().sum(dim=1)) if squared else None
    of_a, of_c = (torch.zeros_like(x) if differentiate else x.new_empty(0) for x in (a, c))
    hard = mining == "hard"
    taken = torch.empty(len(a), 2, dtype=torch.int64), a.new_empty(len(a), 2)
    loss, weight, triplets, counted = 0.0, 0.0, 0, 0
    for rows, products in product_blocks(a, c):
        found = _core.mine_triplets(
            products.numpy(),
            a_bits[rows],
            c_bits,
            None if squares is None else squares[0][rows].numpy(),
            None if squares is None else squares[1].numpy(),
            rows.start if exclude_self else None,
            margin,
            mining,
            penalty,
            graded,
            weighted,
            differentiate,
            taken[0][rows].numpy() if hard else None,
            taken[1][rows].numpy() if hard else None,
        )
        loss, weight = loss + found[0], weight + found[1]
        triplets, counted = triplets + found[2], counted + found[3]
        if differentiate and not hard:  # the products are the derivatives by the distances now
            add_pair_gradients(products, a[rows], c, of_a[rows], of_c, squared=squared)
    scale = (triplets / weight if weighted and weight > 0 else 1.0) / max(counted, 1)
    value = a.new_tensor(loss * scale)
    if not hard:
        of_product = (-2.0 if squared else -1.0) * scale
        return value, of_a.mul_(of_product), of_c.mul_(of_product)
    if differentiate and len(c):
        _core.hard_gradients(
            a.numpy(),
            c.numpy(),
            taken[0].numpy(),
            taken[1].numpy(),
            squared,
            scale,
            of_a.numpy(),
            of_c.numpy(),
        )
    return value, of_a, of_c


_triplet_mining = register_loss(
    "triplet_mining(Tensor anchors, Tensor candidates, Tensor anchor_labels, "
    "Tensor candidate_labels, float margin, str mining, bool squared, bool graded, "
    "bool weighted, str penalty, bool exclude_self, bool differentiate) "
    "-> (Tensor, Tensor, Tensor)",
    batches=2,
    cpu=_on_cpu,
    cuda=_on_cuda.triplet_mining,
)
