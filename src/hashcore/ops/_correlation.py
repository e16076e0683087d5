"""How bits depend on each other, as a part of the relaxed sign on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def correlation(h: Tensor, mean_square: Tensor) -> Tensor:
    """H^T H / B - I of relaxed outputs H `[B, K]`: `[K, K]`; its mean square goes to a scalar."""
    apart = torch.mm(h.T, h).div_(max(len(h), 1))
    apart.diagonal().sub_(1)
    flat = apart.view(-1)
    mean_square.copy_(torch.dot(flat, flat) / len(flat))
    return apart


def correlation_slopes(h: Tensor, apart: Tensor, of_mean_square: Tensor, out: Tensor) -> None:
    """Derivatives by H `[B, K]` of what has the derivative `of_mean_square` by that mean square.

    Args:
        h: as of `correlation`.
        apart: its result.
        of_mean_square: a scalar.
        out: written, `[B, K]`.
    """
    by_product = apart * (of_mean_square * (4 / (max(len(h), 1) * apart.numel())))  # symmetric
    torch.mm(h, by_product, out=out)
