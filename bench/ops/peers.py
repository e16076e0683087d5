"""The losses in plain PyTorch, each as well as it can be written, and by pytorch-metric-learning.

All are the mean over the triplets that cost anything, of cosine distances. Which triplets are
mined is found without gradient wherever the gradient does not need it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 0.2
# Triplets compared at once: what stays in a core's cache, or what keeps a GPU busy.
_CHUNKS = {"cpu": 1 << 19, "cuda": 1 << 26}


class Batch(NamedTuple):
    """Rows of two modalities with their labels in common.

    Attributes:
        anchors: float32 `[B, K]`.
        candidates: like the anchors.
        labels: bool `[B, C]`.
        classes: int64 `[B]`, the one label of each row; None where there may be any number.
    """

    anchors: Tensor
    candidates: Tensor
    labels: Tensor
    classes: Tensor | None


def similar(batch: Batch) -> Tensor:
    """Which rows share a label, bool `[B, B]`."""
    if batch.classes is not None:
        return batch.classes[:, None] == batch.classes
    labels = batch.labels.to(batch.anchors)
    return labels @ labels.T > 0


def distances(batch: Batch) -> Tensor:
    """Of each anchor to each candidate, 1 - cos, `[B, B]`."""
    return 1 - F.normalize(batch.anchors) @ F.normalize(batch.candidates).T


def _chunks(d: Tensor) -> Iterator[slice]:
    """Ranges of anchors whose triplets are compared at once."""
    step = max(1, _CHUNKS[d.device.type] // d.shape[1] ** 2)
    for start in range(0, len(d), step):
        yield slice(start, start + step)


def _mean_cost(x: Tensor) -> Tensor:
    return x.relu().sum() / (x > 0).sum().clamp(min=1)


def cubic_all(batch: Batch) -> Tensor:
    """Every triplet compared, some anchors at a time; the loss is linear in the distances."""
    d, positive = distances(batch), similar(batch)
    with torch.no_grad():
        reach = (d + MARGIN).masked_fill(~positive, -torch.inf)
        negatives = d.masked_fill(positive, torch.inf)
        times = torch.zeros_like(d)  # that a distance is added, less those it is taken away
        triplets = torch.zeros((), dtype=torch.float64, device=d.device)
        for rows in _chunks(d):
            x = reach[rows, :, None] - negatives[rows, None, :]  # [rows, B, B]: a, p, n
            of_positives = x.gt_(0).sum(dim=2)
            times[rows] = of_positives - x.sum(dim=1)
            triplets += of_positives.double().sum()
    return ((times * d).sum() + MARGIN * triplets.to(d)) / triplets.to(d).clamp(min=1)


def sorted_all(batch: Batch) -> Tensor:
    """How many negatives each positive reaches, and the reverse, by sorted rows: O(B^2 log B)."""
    d, positive = distances(batch), similar(batch)
    with torch.no_grad():
        negatives, order = d.masked_fill(positive, torch.inf).sort(dim=1)
        reached = torch.searchsorted(negatives, d + MARGIN).masked_fill_(~positive, 0)  # [B, B]
        ends = d.new_zeros(len(d), d.shape[1] + 1).scatter_add_(1, reached, positive.to(d))
        reaching = ends.flip(1).cumsum(1).flip(1)[:, 1:]  # of the negative of each rank
        triplets = reached.sum().to(d)
        times = reached.to(d).scatter_add_(1, order, -reaching)
    return ((times * d).sum() + MARGIN * triplets) / triplets.clamp(min=1)


def eager_hard(batch: Batch) -> Tensor:
    """The greatest and the least of masked rows."""
    d, positive = distances(batch), similar(batch)
    farthest = d.masked_fill(~positive, -torch.inf).max(dim=1).values
    nearest = d.masked_fill(positive, torch.inf).min(dim=1).values
    return _mean_cost(MARGIN + farthest - nearest)


def mined_first_hard(batch: Batch) -> Tensor:
    """Mined without gradient; the distances of what was mined are computed anew, with it."""
    anchors, candidates = F.normalize(batch.anchors), F.normalize(batch.candidates)
    with torch.no_grad():
        cosines, positive = anchors @ candidates.T, similar(batch)
        farthest = cosines.masked_fill(~positive, torch.inf).min(dim=1)
        nearest = cosines.masked_fill(positive, -torch.inf).max(dim=1)
        found = farthest.values.isfinite() & nearest.values.isfinite()
    apart = candidates[nearest.indices] - candidates[farthest.indices]  # [B, K]
    return _mean_cost((MARGIN + (anchors * apart).sum(dim=1)).masked_fill(~found, -1))


def cubic_semi_hard(batch: Batch) -> Tensor:
    """The nearest negative beyond each positive among all, some anchors at a time."""
    d, positive = distances(batch), similar(batch)
    with torch.no_grad():
        negatives = d.masked_fill(positive, torch.inf)
        chunks = []
        for rows in _chunks(d):
            beyond = negatives[rows, None, :] > d[rows, :, None]  # [rows, B, B]: a, p, n
            each = torch.where(beyond, negatives[rows, None, :], torch.inf)
            chunks.append(each.min(dim=2))
        found = positive & torch.cat([chunk.values for chunk in chunks]).isfinite()
        nearest = torch.cat([chunk.indices for chunk in chunks])  # [B, B]
    return _mean_cost((MARGIN + d - d.gather(1, nearest)).masked_fill(~found, -1))


def sorted_semi_hard(batch: Batch) -> Tensor:
    """The nearest negative beyond each positive, by sorted rows: O(B^2 log B)."""
    d, positive = distances(batch), similar(batch)
    negatives = d.masked_fill(positive, torch.inf).sort(dim=1).values
    beyond = torch.searchsorted(negatives.detach(), d.detach(), right=True)  # [B, B]
    nearest = F.pad(negatives, (0, 1), value=torch.inf).gather(1, beyond)
    return _mean_cost((MARGIN + d - nearest).masked_fill(~positive, -torch.inf))


class MetricLearning:
    """A miner of pytorch-metric-learning with its triplet loss, of rows with one class each.

    It has the losses over all and over the hardest triplets. Its semi-hard triplets are all within
    the margin, or one of an anchor, and not the nearest negative of each positive.

    Args:
        mining: `all` or `hard`.
    """

    def __init__(self, mining: str) -> None:
        distances, losses, miners = (
            importlib.import_module(f"pytorch_metric_learning.{part}")
            for part in ("distances", "losses", "miners")
        )
        cosine = distances.CosineSimilarity()
        self._miner: Any = (
            miners.TripletMarginMiner(margin=MARGIN, type_of_triplets="all", distance=cosine)
            if mining == "all"
            else miners.BatchHardMiner(distance=cosine)
        )
        self._loss: Any = losses.TripletMarginLoss(margin=MARGIN, distance=cosine)

    def __call__(self, batch: Batch) -> Tensor:
        if batch.classes is None:
            raise ValueError("pytorch-metric-learning: expected one class a row; got label sets")
        # Two tensors: of one, it takes the candidates for the anchors and leaves out each itself.
        of = {
            "labels": batch.classes,
            "ref_emb": batch.candidates,
            "ref_labels": batch.classes.clone(),
        }
        mined = self._miner(batch.anchors, **of)
        loss: Tensor = self._loss(batch.anchors, indices_tuple=mined, **of)
        return loss


def numpy_packed(batch: Batch) -> Tensor:
    """`numpy.packbits`, of the same memory."""
    return torch.from_numpy(np.packbits(batch.anchors.detach().numpy() > 0, axis=1))
