"""How bits depend on each other, as a part of the relaxed sign on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def correlation(h: Tensor) -> tuple[Tensor, Tensor]:
    """H^T H / B - I of relaxed outputs H `[B, K]`, `[K, K]`, and its mean square, a scalar."""
    apart = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
    apart.addmm_(h.T, h, beta=-1, alpha=1 / max(len(h), 1))
    flat = apart.view(-1)
    return apart, torch.dot(flat, flat) / len(flat)


def correlation_slopes(h: Tensor, apart: Tensor, weight: float, out: Tensor) -> None:
    """Derivatives by H `[B, K]` of `weight` times that mean square, to `out` `[B, K]`."""
    out.addmm_(h, apart, beta=0, alpha=4 * weight / (max(len(h), 1) * apart.numel()))  # symmetric
