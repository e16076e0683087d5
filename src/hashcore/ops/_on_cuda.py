"""The ops on tensors of a GPU.

Everything is queued on PyTorch's current stream and nothing is waited for, so that CUDA graphs can
hold it. Products of batches are taken a block of rows at a time, as on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hashcore._gpu import cuda_kernels
from hashcore.ops._library import (
    WORD_BITS,
    add_pair_gradients,
    correlation_slopes,
    product_blocks,
)

_BYTE = 8


class _Queue(NamedTuple):
    kernels: ModuleType
    stream: Any  # _cuda.Stream


def queue_for(x: Tensor) -> _Queue:
    """The kernels, and the stream that PyTorch works on where `x` is."""
    kernels = cuda_kernels()
    handle = torch.cuda.current_stream(x.device).cuda_stream
    return _Queue(kernels, kernels.Stream(x.device.index, handle))


def pack_sign(x: Tensor) -> Tensor:
    """As `hashcore.ops.pack_sign`."""
    return _pack(x, -(-x.shape[1] // _BYTE))


def relaxed_sign(  # noqa: PLR0917 (the dispatcher hands over by position)
    u: Tensor,
    targets: Tensor | None,
    weights: Tensor,
    relaxation: str,
    margin: float,
    beta: float,
    decorrelation_weight: float,
    differentiate: bool,
) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient by u (empty without `differentiate`)."""
    values, rule = u.detach().contiguous(), (relaxation, margin, beta)
    h = torch.empty_like(values) if beta and decorrelation_weight else None
    terms, columns = _sign_sums(values, targets, rule, h)
    loss = torch.dot(terms, weights)
    gradient = torch.empty_like(values) if differentiate else u.new_empty(0)
    relaxed = values if h is None else h
    if decorrelation_weight:
        with _full_precision():
            apart, mean_square = _correlation(relaxed)
            loss.add_(mean_square, alpha=decorrelation_weight)
            if differentiate:
                correlation_slopes(relaxed, apart, decorrelation_weight, gradient)
    if differentiate:
        _set_sign_slopes(
            gradient,
            relaxed,
            targets,
            rule,
            of_terms=weights,
            columns=columns,
            continued=bool(decorrelation_weight),
        )
    return loss, gradient


def relaxed_sign_terms(
    u: Tensor, targets: Tensor | None, relaxation: str, margin: float, beta: float
) -> tuple[Tensor, Tensor]:
    """The terms, and the sums of the columns of h."""
    return _sign_sums(u.detach().contiguous(), targets, (relaxation, margin, beta))


def relaxed_sign_terms_backward(  # noqa: PLR0917 (the dispatcher hands over by position)
    of_terms: Tensor,
    columns: Tensor,
    u: Tensor,
    targets: Tensor | None,
    relaxation: str,
    margin: float,
    beta: float,
) -> Tensor:
    """The derivatives by u `[B, K]`."""
    values, rule = u.detach().contiguous(), (relaxation, margin, beta)
    slopes = torch.empty_like(values)
    _set_sign_slopes(slopes, values, targets, rule, of_terms=of_terms.contiguous(), columns=columns)
    return slopes


def pairwise_likelihood(  # noqa: PLR0917 (the dispatcher hands over by position)
    u: Tensor, v: Tensor, u_labels: Tensor, v_labels: Tensor, scale: float, differentiate: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients by u and v (empty without `differentiate`)."""
    kernels, stream = queue_for(u)
    a, b = u.detach().contiguous(), v.detach().contiguous()
    a_bits, b_bits = _label_bits(u_labels), _label_bits(v_labels)
    of_a, of_b = (torch.zeros_like(x) if differentiate else x.new_empty(0) for x in (a, b))
    losses = a.new_zeros(len(a), dtype=torch.float64)
    with _full_precision():
        for rows, products in product_blocks(a, b):
            kernels.pairwise_likelihood(
                products.data_ptr(),
                *products.shape,
                _pair_labels(kernels, a_bits[rows], b_bits),
                scale,
                losses[rows].data_ptr(),
                stream,
            )
            if differentiate:  # the products are the derivatives by theta now
                add_pair_gradients(products, a[rows], b, of_a[rows], of_b)
    pairs = max(len(a) * len(b), 1)
    loss = (losses.sum() / pairs).to(a.dtype)
    return loss, of_a.mul_(scale / pairs), of_b.mul_(scale / pairs)


def triplet_mining(  # noqa: PLR0917 (the dispatcher hands over by position)
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
    kernels, stream = queue_for(anchors)
    rule = kernels.TripletRule(mining, penalty, graded, weighted, margin)
    a, c = anchors.detach().contiguous(), candidates.detach().contiguous()
    a_bits, c_bits = _label_bits(anchor_labels), _label_bits(candidate_labels)
    squares = (a.square().sum(dim=1), c.square().sum(dim=1)) if squared else None
    discounts = _summed_discounts(c) if weighted else None
    sums = a.new_zeros((len(a), 4), dtype=torch.float64)
    hard = mining == "hard"
    of_row = sums.new_zeros((len(a), 2) if hard else 0, dtype=torch.int64)
    slopes = a.new_zeros((len(a), 2) if hard else 0)
    of_a, of_c = (torch.zeros_like(x) if differentiate else x.new_empty(0) for x in (a, c))
    with _full_precision():
        for rows, products in product_blocks(a, c):
            size = kernels.mining_room(*products.shape, a_bits.shape[1], rule, _index(a))
            room = a.new_empty(size, dtype=torch.uint8)
            kernels.mine_triplets(
                products.data_ptr(),
                *products.shape,
                0 if squares is None else squares[0][rows].data_ptr(),
                0 if squares is None else squares[1].data_ptr(),
                rows.start if exclude_self else None,
                _pair_labels(kernels, a_bits[rows], c_bits),
                rule,
                _address(discounts),
                room.data_ptr(),
                sums[rows].data_ptr(),
                of_row[rows].data_ptr() if hard else 0,
                slopes[rows].data_ptr() if hard else 0,
                stream,
            )
            if differentiate and not hard:  # the products are the derivatives by the distances
                add_pair_gradients(products, a[rows], c, of_a[rows], of_c, squared=squared)
    loss, scale = a.new_empty(()), a.new_empty(())
    kernels.finish_triplets(
        sums.data_ptr(), len(a), weighted, loss.data_ptr(), scale.data_ptr(), stream
    )
    if not differentiate:
        return loss, of_a, of_c
    if not hard:
        of_product = scale * (-2.0 if squared else -1.0)
        return loss, of_a.mul_(of_product), of_c.mul_(of_product)
    ordered = of_row.flatten().sort(stable=True)
    kernels.hard_gradients(
        a.data_ptr(),
        c.data_ptr(),
        len(a),
        *c.shape,
        of_row.data_ptr(),
        slopes.data_ptr(),
        scale.data_ptr(),
        squared,
        ordered.indices.data_ptr(),
        ordered.values.data_ptr(),
        of_a.data_ptr(),
        of_c.data_ptr(),
        stream,
    )
    return loss, of_a, of_c


def _pack(x: Tensor, row_bytes: int) -> Tensor:
    """`x > 0` as bits of rows of `row_bytes`."""
    kernels, stream = queue_for(x)
    values = x.detach().contiguous()
    codes = values.new_empty((len(x), row_bytes), dtype=torch.uint8)
    kernels.pack_sign(values.data_ptr(), _name(x), *x.shape, row_bytes, codes.data_ptr(), stream)
    return codes


def _label_bits(labels: Tensor) -> Tensor:
    """Sets of labels, bool `[B, C]`, as bits in whole words, `[B, ceil(C / 64)]`."""
    words = -(-labels.shape[1] // WORD_BITS)
    return _pack(labels, words * _BYTE).view(torch.int64)


def _pair_labels(kernels: ModuleType, rows: Tensor, columns: Tensor) -> Any:
    return kernels.PairLabels(rows.data_ptr(), columns.data_ptr(), columns.shape[1])


def _summed_discounts(candidates: Tensor) -> Tensor:
    """Sums of the first 0..N of 1 / log2(rank + 1), `[N + 1]`."""
    ranks = torch.arange(1, len(candidates) + 1, device=candidates.device, dtype=torch.float64)
    return F.pad((1 / torch.log2(ranks + 1)).cumsum(dim=0), (1, 0))


def _sign_sums(
    values: Tensor, targets: Tensor | None, rule: tuple[str, float, float], h: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The terms and the sums of the columns of h, which is kept where it is given."""
    kernels, stream = queue_for(values)
    rows, bits = values.shape
    wanted = None if targets is None else targets.contiguous()
    terms = values.new_empty(4)
    columns, room = (
        values.new_empty(size, dtype=torch.float64)
        for size in (bits, kernels.relaxed_sign_room(rows, bits))
    )
    kernels.relaxed_sign_sums(
        values.data_ptr(),
        _address(wanted),
        _name(values),
        rows,
        bits,
        kernels.RelaxedSignRule(*rule),
        room.data_ptr(),
        _address(h),
        terms.data_ptr(),
        columns.data_ptr(),
        stream,
    )
    return terms, columns


def _correlation(h: Tensor) -> tuple[Tensor, Tensor]:
    """H^T H / B - I of relaxed outputs H `[B, K]`, `[K, K]`, and its mean square, a scalar."""
    apart = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
    apart.addmm_(h.T, h, beta=-1, alpha=1 / max(len(h), 1))
    flat = apart.view(-1)
    return apart, torch.dot(flat, flat) / len(flat)


def _set_sign_slopes(
    slopes: Tensor,
    values: Tensor,
    targets: Tensor | None,
    rule: tuple[str, float, float],
    *,
    of_terms: Tensor,
    columns: Tensor,
    continued: bool = False,
) -> None:
    """As on the CPU, `of_terms` where the values are."""
    kernels, stream = queue_for(values)
    wanted = None if targets is None else targets.contiguous()
    kernels.relaxed_sign_slopes(
        values.data_ptr(),
        _address(wanted),
        _name(values),
        *values.shape,
        kernels.RelaxedSignRule(*rule),
        of_terms.data_ptr(),
        columns.data_ptr(),
        continued,
        slopes.data_ptr(),
        stream,
    )


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _index(x: Tensor) -> int:
    return x.device.index or 0


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products in float32, also where TF32 is allowed."""
    matmul: Any = torch.backends.cuda.matmul
    name, full = _precision_setting()
    before = getattr(matmul, name)
    if before in (False, full):
        yield
        return
    setattr(matmul, name, full)
    try:
        yield
    finally:
        setattr(matmul, name, before)


def _precision_setting() -> tuple[str, bool | str]:
    """Which of PyTorch's two switches for TF32 is in use, and how it says float32."""
    try:
        _ = torch.backends.cuda.matmul.allow_tf32
    except RuntimeError:  # it was set by the other one
        return "fp32_precision", "ieee"
    return "allow_tf32", False
