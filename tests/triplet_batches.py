"""Batches for the tests of losses over triplets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

MININGS = ("all", "hard", "semi_hard")
SIMILARITIES = ("cosine", "inner", "sqeuclidean")
GRADES: tuple[dict[str, Any], ...] = ({}, {"graded": True}, {"weighting": "ndcg"})
RULES: list[dict[str, Any]] = [
    {"mining": mining, "similarity": similarity, **grade, "penalty": penalty}
    for mining, similarity, grade, penalty in itertools.product(
        MININGS, SIMILARITIES, GRADES, ("hinge", "logistic")
    )
]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def draw(seed: int, a: int, c: int, classes: int, *, single: bool, dtype: torch.dtype) -> Batch:
    """Rows in general position, but for some that are equal."""
    generator = torch.Generator().manual_seed(seed)
    anchors, candidates = (torch.randn(n, 6, dtype=dtype, generator=generator) for n in (a, c))
    if min(a, c) > 4:
        candidates[3] = candidates[2]
        candidates[1] = anchors[0]
    if single:
        ids = [torch.randint(classes, (n,), generator=generator) for n in (a, c)]
        labels = [torch.nn.functional.one_hot(i, classes).bool() for i in ids]
    else:
        labels = [torch.rand(n, classes, generator=generator) < 0.3 for n in (a, c)]
    return anchors, candidates, labels[0], labels[1]


def loss_and_gradients(
    f: Callable[..., Tensor], batch: Batch, **rule: Any
) -> tuple[Tensor, Tensor, Tensor]:
    anchors, candidates = (x.clone().requires_grad_() for x in batch[:2])
    loss = f(anchors, candidates, *batch[2:], **rule)
    zero = torch.zeros_like
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
    of_a, of_c = (zero(x) if x.grad is None else x.grad for x in (anchors, candidates))
    return loss.detach(), of_a, of_c
