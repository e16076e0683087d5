"""Batches that make trouble, and loss terms as loops over their rows, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

B, C, K = 7, 4, 6


def _drawn_labels() -> dict[str, NDArray[np.bool_]]:
    some = np.random.default_rng(0).random((B, C)) < 0.4  # rows share several classes, or none
    return {
        "multi-label": some,
        "more than 64 classes": np.random.default_rng(1).random((B, 70)) < 0.04,
        "single label": np.eye(C, dtype=bool)[np.random.default_rng(2).integers(0, C, B)],
        "no positive": np.zeros((B, C), dtype=bool),
        "no negative": np.ones((B, 1), dtype=bool),
        "one row": some[:1],
    }


LABELS = {name: torch.from_numpy(drawn) for name, drawn in _drawn_labels().items()}
"""Labels `[B, C]` of a batch each, by what is special about them."""


def outputs(seed: int, rows: int = B, width: int = K) -> Tensor:
    """Random outputs `[rows, width]`, float64."""
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1.2, (rows, width)))


def equal_outputs(rows: int = B, width: int = K) -> Tensor:
    """The same output in every row, `[rows, width]`, float64."""
    return outputs(0, 1, width).repeat(rows, 1)


def shared(labels: Tensor) -> NDArray[np.float64]:
    """Labels in common, `[B, B]`."""
    rows = labels.numpy()
    return np.array([[sum(a & b) for b in rows] for a in rows], dtype=np.float64)


def valid_triplets(
    labels: Tensor, *, graded: bool = True, exclude_self: bool = False
) -> list[tuple[int, int, int]]:
    """All (anchor, positive, negative) that the labels order."""
    r, rows = shared(labels), range(len(labels))
    return [
        (a, p, n)
        for a in rows
        for p in rows
        for n in rows
        if r[a, p] > 0
        and not (exclude_self and a == p)
        and (r[a, n] < r[a, p] if graded else r[a, n] == 0)
    ]


def ideal_gain(r_row: Iterable[float]) -> float:
    """Discounted gain of the ideal order of one anchor's row."""
    ordered = sorted(r_row, reverse=True)
    return float(sum((2**r - 1) / math.log2(rank + 2) for rank, r in enumerate(ordered)))


def distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos of two rows, scalar."""
    return 1 - (a @ b) / (a.square().sum().sqrt() * b.square().sum().sqrt())


def mean(values: list[Tensor]) -> Tensor:
    """Mean of scalars; 0 of none."""
    return torch.stack(values).mean() if values else torch.zeros((), dtype=torch.float64)


def assert_equal(
    term: Callable[..., Tensor], oracle: Callable[..., Tensor], *inputs: Tensor
) -> None:
    """Check that two functions of the same tensors have the same value and gradients."""
    values, gradients = [], []
    for function in (term, oracle):
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = function(*leaves)
        assert value.ndim == 0
        # + 0 of every input: a term without any triplet has gradient 0, not none
        (value + 0 * sum(x.sum() for x in leaves)).backward()  # type: ignore[no-untyped-call]
        values.append(value.detach())
        gradients.append([x.grad for x in leaves])
    torch.testing.assert_close(values[0], values[1].to(values[0]), rtol=1e-11, atol=1e-12)
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
