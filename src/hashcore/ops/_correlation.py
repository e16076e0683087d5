"""How bits depend on each other, as a part of the relaxed sign on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def correlation(u: Tensor, beta: float, wanted: bool, mean_square: Tensor) -> tuple[Tensor, Tensor]:
    """H^T H / B - I of h = u, or tanh(beta u) where beta > 0.

    Args:
        u: outputs `[B, K]`.
        beta: of h.
        wanted: else nothing is computed.
        mean_square: set to the mean square of the result, a scalar.

    Returns:
        `[K, K]`, and h where it is not u; both empty unless they are wanted.
    """
    if not wanted:
        return u.new_empty(0), u.new_empty(0)
    h = torch.mul(u, beta).tanh_() if beta else u
    apart = torch.mm(h.T, h).div_(max(len(u), 1))
    apart.diagonal().sub_(1)
    flat = apart.view(-1)
    mean_square.copy_(torch.dot(flat, flat) / len(flat))
    return apart, h if beta else u.new_empty(0)


def add_decorrelation_slopes(  # noqa: PLR0917 (what the other returned, in its order)
    slopes: Tensor, u: Tensor, beta: float, apart: Tensor, h: Tensor, of_mean_square: Tensor
) -> Tensor:
    """Adds to slopes `[B, K]` by u those of `correlation`'s mean square; returns them.

    Args:
        slopes: written.
        u: as there.
        beta: as there.
        apart: its result.
        h: its result.
        of_mean_square: the derivative by that, a scalar.
    """
    if not len(apart) or not len(u):
        return slopes
    by_h = apart * (of_mean_square * (4 / (len(u) * apart.numel())))  # [K, K], symmetric
    if not beta:
        return slopes.addmm_(u, by_h)
    by_argument = torch.ops.aten.tanh_backward(torch.mm(h, by_h), h)
    return slopes.add_(by_argument, alpha=beta)
