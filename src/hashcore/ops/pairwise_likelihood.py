"""The likelihood of pairs of two batches, without the matrix of all pairs in memory."""

from __future__ import annotations

import torch
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


def pairwise_likelihood_loss(
    u: Tensor, v: Tensor, u_labels: Tensor, v_labels: Tensor, *, scale: float = 0.5
) -> Tensor:
    """Negative mean log-likelihood of which pairs are similar: mean[ ln(1 + e^theta) - s theta ].

    theta_ij = scale u_i . v_j; s_ij = 1 where the rows share a label, else 0. Runs in C++ on the
    CPU and in CUDA on a GPU; elsewhere, and for float64 on a GPU, as
    `pairwise_likelihood_loss_reference`. Memory is O(BK).

    Args:
        u: floats `[B, K]`. Halves are computed in float32.
        v: like u, `[N, K]`.
        u_labels: bool `[B, C]`.
        v_labels: bool `[N, C]`.
        scale: of the inner products.

    Returns:
        Scalar; 0 of empty batches.

    Raises:
        TypeError: outputs that are no floats, or labels that are not bool.
        ValueError: shapes that do not fit.

    Source: DCMH, Jiang and Li, 2017 (arXiv 1602.02255), equation 1.
    """
    check_rows("u", u)
    check_rows("v", v, like=u)
    check_labels("u_labels", u_labels, of=u)
    check_labels("v_labels", v_labels, of=v, like=u_labels)
    if not has_kernel(u, v):
        return pairwise_likelihood_loss_reference(u, v, u_labels, v_labels, scale=scale)
    a, b = wide(u), wide(v)
    loss: Tensor = _pairwise_likelihood(a, b, u_labels, v_labels, scale, differentiates(a, b))[0]
    return loss


def pairwise_likelihood_loss_reference(
    u: Tensor, v: Tensor, u_labels: Tensor, v_labels: Tensor, *, scale: float = 0.5
) -> Tensor:
    """`pairwise_likelihood_loss` in plain PyTorch."""
    theta = scale * wide(u) @ wide(v).T  # [B, N]
    similar = u_labels.to(theta) @ v_labels.to(theta).T > 0
    each = theta.clamp(min=0) - similar * theta + torch.log1p(torch.exp(-theta.abs()))
    return each.sum() / max(each.numel(), 1)


def _on_cpu(  # noqa: PLR0917 (the dispatcher hands over by position)
    u: Tensor, v: Tensor, u_labels: Tensor, v_labels: Tensor, scale: float, differentiate: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients by u and v (empty without `differentiate`)."""
    a, b = u.detach().contiguous(), v.detach().contiguous()
    a_bits, b_bits = label_bits(u_labels), label_bits(v_labels)
    of_a, of_b = (torch.zeros_like(x) if differentiate else x.new_empty(0) for x in (a, b))
    loss = 0.0
    for rows, products in product_blocks(a, b):
        loss += _core.pairwise_likelihood(products.numpy(), a_bits[rows], b_bits, scale)
        if differentiate:  # the products are the derivatives by theta now
            add_pair_gradients(products, a[rows], b, of_a[rows], of_b)
    pairs = max(len(a) * len(b), 1)
    return a.new_tensor(loss / pairs), of_a.mul_(scale / pairs), of_b.mul_(scale / pairs)


_pairwise_likelihood = register_loss(
    "pairwise_likelihood(Tensor u, Tensor v, Tensor u_labels, Tensor v_labels, float scale, "
    "bool differentiate) -> (Tensor, Tensor, Tensor)",
    batches=2,
    cpu=_on_cpu,
    cuda=_on_cuda.pairwise_likelihood,
)
