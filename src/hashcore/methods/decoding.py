"""Codes from uncertain classes: what each side of a search gains from knowing how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_SHARE_OF_UNSURE = 0.7  # a, below 1: probabilities of unsure items count for a little more


def expected_precision_codes(
    probabilities: Tensor, class_codes: Tensor, class_sizes: Sequence[float] | Tensor
) -> Tensor:
    """The codes that find an item's class soonest, in expectation over its probabilities.

    Among items with the codes of their classes, a code's expected average precision is a sum over
    the classes, ties counted at their expected value.

    Args:
        probabilities: p, `[n, C]`.
        class_codes: w, -1 or +1, `[C, K]`.
        class_sizes: items of each class in the database, `[C]`.

    Returns:
        -1 or +1, `[n, K]`.
    """
    sizes = torch.as_tensor(class_sizes).to(class_codes)
    bits = class_codes.shape[1]

    def precision(products: Tensor, p: Tensor) -> Tensor:
        return (_class_precision((bits - products) / 2, sizes) * p).sum(dim=-1)

    return _climb(probabilities, class_codes, probabilities, precision)


def confident_codes(probabilities: Tensor, class_codes: Tensor) -> Tensor:
    """The codes whose inner products with the class codes are nearest to those of sum_c p_c^a w_c.

    That sum is short where the classes are unsure, so the code is far from all of theirs. Its signs
    alone have the same distances however sure it is.

    Args:
        probabilities: p, `[n, C]`.
        class_codes: w, -1 or +1, `[C, K]`.

    Returns:
        -1 or +1, `[n, K]`.
    """
    wanted = probabilities**_SHARE_OF_UNSURE @ (class_codes @ class_codes.T)  # [n, C]

    def nearness(products: Tensor, wanted: Tensor) -> Tensor:
        return -(products - wanted).square().sum(dim=-1)

    return _climb(probabilities, class_codes, wanted, nearness)


_Value = Callable[[Tensor, Tensor], Tensor]
"""Of inner products with the class codes, `[..., C]`, for an aim that broadcasts: `[...]`."""


def _climb(probabilities: Tensor, class_codes: Tensor, aim: Tensor, value: _Value) -> Tensor:
    """From the sign of the mean code, bits are flipped while that raises the value, best first.

    Args:
        probabilities: p, `[n, C]`.
        class_codes: w, -1 or +1, `[C, K]`.
        aim: of each row, `[n, C]`.
        value: of a code for its aim.
    """
    classes, bits = class_codes.shape
    rows = max(1, 20_000_000 // (bits * classes * max(classes, 16)))
    pieces = zip(torch.split(probabilities, rows), torch.split(aim, rows), strict=True)
    parts = [_climb_rows(p, class_codes, part, value) for p, part in pieces]
    return torch.cat(parts) if parts else probabilities.new_zeros(0, bits)


def _climb_rows(p: Tensor, class_codes: Tensor, aim: Tensor, value: _Value) -> Tensor:
    mean = class_codes.mean(dim=0)
    middle = torch.where(mean.abs() < 1, mean, torch.zeros_like(mean))  # shared bits stay
    codes = torch.where(p @ class_codes > middle, 1.0, -1.0)  # [n, K]
    products = codes @ class_codes.T  # [n, C]
    reached = value(products, aim)  # [n]
    climbing = torch.arange(len(p), device=p.device)
    for _ in range(class_codes.shape[1]):
        turned = 2 * codes[climbing, :, None] * class_codes.T
        flipped = products[climbing, None] - turned  # [n, K, C]
        best, bit = value(flipped, aim[climbing, None]).max(dim=1)
        better = best > reached[climbing] + 1e-7
        climbing, bit = climbing[better], bit[better]
        if not len(climbing):
            break
        products[climbing] = flipped[better, bit]
        codes[climbing, bit] *= -1
        reached[climbing] = best[better]
    return codes


def _class_precision(distance: Tensor, sizes: Tensor) -> Tensor:
    """Average precision if a class is the wanted one: distances to the class codes -> `[..., C]`.

    Its items lie evenly among those of classes as far away; the mean over them is taken at 16
    quantiles.
    """
    own, other = distance[..., :, None], distance[..., None, :]  # [..., C, C]
    before = ((other < own) * sizes).sum(dim=-1)[..., None]
    level = ((other == own) * sizes).sum(dim=-1)[..., None]
    quantiles = (torch.arange(16, device=sizes.device) + 0.5) / 16
    reached = sizes[:, None] * quantiles  # [C, 16]
    return (reached / (before + level * quantiles).clamp(min=1e-9)).mean(dim=-1)
