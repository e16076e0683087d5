"""What real-valued outputs pay for not being codes: the regularised relaxation of the sign."""

from __future__ import annotations

from operator import mul
from typing import Any, Literal, NamedTuple, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor

from hashcore import _core
from hashcore.ops import _on_cuda
from hashcore.ops._library import (
    check_rows,
    constant,
    correlation_slopes,
    differentiates,
    has_kernel,
    register,
    register_loss,
    wide,
)

Relaxation = Literal["power_1", "power_2", "power_3", "polarisation"]


class RelaxedSignTerms(NamedTuple):
    """Terms of `relaxed_sign_terms`; scalars.

    Attributes:
        relaxation: mean | |h| - 1 |^p, or mean max(0, margin - h t).
        excess: mean max(0, |h| - 1).
        quantisation: mean (t - h)^2.
        balance: |sum over rows of h|^2 / BK.
    """

    relaxation: Tensor
    excess: Tensor
    quantisation: Tensor
    balance: Tensor


def relaxed_sign_terms(
    u: Tensor,
    targets: Tensor | None = None,
    *,
    relaxation: Relaxation = "power_1",
    margin: float = 1.0,
    beta: float | None = None,
) -> RelaxedSignTerms:
    """How far outputs are from codes, each way of measuring it by itself.

    All terms take one read of u, their gradient a second one and one write, in C++ on the CPU and
    in CUDA on a GPU; elsewhere `relaxed_sign_terms_reference` runs. Nothing but u is kept for the
    gradient.

    Args:
        u: floats `[B, K]`. Halves are computed in float32.
        targets: t, like u: the codes, -1 or +1, that h is drawn to, without gradient. None: the
            signs of h itself, -1 at zero.
        relaxation: "power_1" (DSH, Liu et al., CVPR 2016), "power_2", "power_3" (GreedyHash, Su et
            al., NeurIPS 2018) or "polarisation" (DPN, Fan et al., IJCAI 2020).
        margin: of the polarisation.
        beta: h = tanh(beta u) (HashNet, Cao et al., ICCV 2017, arXiv 1702.00758); None: h = u.

    Returns:
        The terms; 0 of an empty batch.

    Raises:
        TypeError: u is no floats.
        ValueError: shapes that do not fit, an unknown relaxation, or beta <= 0.
    """
    _check(u, targets, relaxation, beta)
    if not has_kernel(u, float64_on_cuda=True):
        return relaxed_sign_terms_reference(
            u, targets, relaxation=relaxation, margin=margin, beta=beta
        )
    rule = relaxation, margin, beta or 0.0
    return RelaxedSignTerms(*_relaxed_sign_terms(wide(u), _wanted(targets), *rule)[0].unbind())


def relaxed_sign_loss(
    u: Tensor,
    targets: Tensor | None = None,
    *,
    relaxation: Relaxation = "power_1",
    margin: float = 1.0,
    beta: float | None = None,
    relaxation_weight: float = 1.0,
    excess_weight: float = 0.0,
    quantisation_weight: float = 0.0,
    balance_weight: float = 0.0,
    decorrelation_weight: float = 0.0,
) -> Tensor:
    """Weighted sum of `relaxed_sign_terms` and of the `decorrelation` of the bits.

    Its gradient is computed with it, where one will be asked for, and kept instead of u.

    Args:
        u: as there.
        targets: as there.
        relaxation: as there.
        margin: as there.
        beta: as there.
        relaxation_weight: of that term.
        excess_weight: of that term.
        quantisation_weight: of that term.
        balance_weight: of that term.
        decorrelation_weight: of `decorrelation(h)`; 0 leaves out its K x K product.

    Returns:
        Scalar.

    Raises:
        TypeError: as there.
        ValueError: as there.
    """
    weights = relaxation_weight, excess_weight, quantisation_weight, balance_weight
    _check(u, targets, relaxation, beta)
    if not has_kernel(u, float64_on_cuda=True):
        terms = relaxed_sign_terms_reference(
            u, targets, relaxation=relaxation, margin=margin, beta=beta
        )
        return _weighted(u, terms, weights, decorrelation_weight, beta)
    values = wide(u)
    loss: Tensor = _relaxed_sign(
        values,
        _wanted(targets),
        constant(weights, like=values),
        relaxation,
        margin,
        beta or 0.0,
        decorrelation_weight,
        differentiates(values),
    )[0]
    return loss


def relaxed_sign_loss_reference(
    u: Tensor,
    targets: Tensor | None = None,
    *,
    relaxation: Relaxation = "power_1",
    margin: float = 1.0,
    beta: float | None = None,
    relaxation_weight: float = 1.0,
    excess_weight: float = 0.0,
    quantisation_weight: float = 0.0,
    balance_weight: float = 0.0,
    decorrelation_weight: float = 0.0,
) -> Tensor:
    """`relaxed_sign_loss` in plain PyTorch."""
    terms = relaxed_sign_terms_reference(
        u, targets, relaxation=relaxation, margin=margin, beta=beta
    )
    weights = relaxation_weight, excess_weight, quantisation_weight, balance_weight
    return _weighted(u, terms, weights, decorrelation_weight, beta)


def relaxed_sign_terms_reference(
    u: Tensor,
    targets: Tensor | None = None,
    *,
    relaxation: Relaxation = "power_1",
    margin: float = 1.0,
    beta: float | None = None,
) -> RelaxedSignTerms:
    """`relaxed_sign_terms` in plain PyTorch."""
    h = _relaxed(wide(u), beta)
    t = torch.where(h.detach() > 0, 1.0, -1.0).to(h) if targets is None else targets.detach().to(h)
    if relaxation == "polarisation":
        relaxed = (margin - h * t).relu()
    else:
        relaxed = (h.abs() - 1).abs().pow(int(relaxation[-1]))
    sums = (
        relaxed.sum(),
        (h.abs() - 1).relu().sum(),
        (t - h).square().sum(),
        h.sum(dim=0).square().sum(),
    )
    return RelaxedSignTerms(*(term / max(h.numel(), 1) for term in sums))


def decorrelation(h: Tensor) -> Tensor:
    """| H^T H / B - I |^2 / K^2 of outputs H `[B, K]`: 0 where bits are independent and full."""
    gram = h.T @ h / max(len(h), 1)  # [K, K]
    return (gram - torch.eye(h.shape[1], dtype=h.dtype, device=h.device)).square().mean()


def _relaxed(u: Tensor, beta: float | None) -> Tensor:
    return u if beta is None else torch.tanh(beta * u)


def _weighted(
    u: Tensor,
    terms: RelaxedSignTerms,
    weights: tuple[float, ...],
    of_decorrelation: float,
    beta: float | None,
) -> Tensor:
    total = terms.relaxation.new_zeros(())
    for weight, term in zip(weights, terms, strict=True):
        total = total + weight * term
    if of_decorrelation:
        total = total + of_decorrelation * decorrelation(_relaxed(wide(u), beta))
    return total


def _check(u: Tensor, targets: Tensor | None, relaxation: str, beta: float | None) -> None:
    check_rows("u", u)
    if targets is not None:
        check_rows("targets", targets, like=u)
        if len(targets) != len(u):
            raise ValueError(f"targets: expected {len(u)} rows; got {len(targets)}")
    if relaxation not in get_args(Relaxation):
        known = get_args(Relaxation)
        raise ValueError(f"relaxation: expected one of {known}; got {relaxation!r}")
    if beta is not None and beta <= 0:
        raise ValueError(f"beta: expected > 0, or None; got {beta}")


def _wanted(targets: Tensor | None) -> Tensor | None:
    return None if targets is None else wide(targets.detach())


def _on_cpu(  # noqa: PLR0917 (the dispatcher hands over by position)
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
    rule = _array(targets), relaxation, margin, beta
    h, of_terms = u.detach().contiguous(), weights.tolist()
    values, kept = h.numpy(), None
    if beta and decorrelation_weight:
        h = torch.empty_like(h)
        kept = h.numpy()
    terms, columns = _core.relaxed_sign_terms(values, *rule, kept)
    loss = sum(map(mul, of_terms, terms))
    gradient = torch.empty_like(h) if differentiate else h.new_empty(0)
    if decorrelation_weight:
        apart = torch.mm(h.T, h)
        loss += decorrelation_weight * _core.correlate(apart.numpy(), len(h))
        if differentiate:
            correlation_slopes(h, apart, decorrelation_weight, gradient)
    if differentiate:
        continued, out = bool(decorrelation_weight), gradient.numpy()
        _core.relaxed_sign_slopes(h.numpy(), *rule, of_terms, columns, continued, out)
    return u.new_full((), loss), gradient


def _terms_on_cpu(
    u: Tensor, targets: Tensor | None, relaxation: str, margin: float, beta: float
) -> tuple[Tensor, Tensor]:
    """The terms, and the sums of the columns of h."""
    values = u.detach().contiguous().numpy()
    terms, columns = _core.relaxed_sign_terms(
        values, _array(targets), relaxation, margin, beta, None
    )
    return u.new_tensor(terms), torch.from_numpy(columns)


def _terms_backward_on_cpu(  # noqa: PLR0917 (the dispatcher hands over by position)
    of_terms: Tensor,
    columns: Tensor,
    u: Tensor,
    targets: Tensor | None,
    relaxation: str,
    margin: float,
    beta: float,
) -> Tensor:
    values = u.detach().contiguous()
    slopes = torch.empty_like(values)
    _core.relaxed_sign_slopes(
        values.numpy(),
        _array(targets),
        relaxation,
        margin,
        beta,
        of_terms.tolist(),
        columns.numpy(),
        False,
        slopes.numpy(),
    )
    return slopes


def _array(targets: Tensor | None) -> NDArray[Any] | None:
    return None if targets is None else targets.contiguous().numpy()


def _terms_shapes(u: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return u.new_empty(4), u.new_empty(u.shape[1], dtype=torch.float64)


def _terms_backward_shapes(of_terms: Tensor, columns: Tensor, u: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(u, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    u, targets, *ctx.rule = inputs
    ctx.save_for_backward(output[1], u, targets)
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, of_terms: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if of_terms is None:
        return (None,) * 5
    of_u = _relaxed_sign_terms_backward(of_terms, *ctx.saved_tensors, *ctx.rule)
    return (of_u, None, None, None, None)


_relaxed_sign = register_loss(
    "relaxed_sign(Tensor u, Tensor? targets, Tensor weights, str relaxation, float margin, "
    "float beta, float decorrelation_weight, bool differentiate) -> (Tensor, Tensor)",
    batches=1,
    cpu=_on_cpu,
    cuda=_on_cuda.relaxed_sign,
)
_relaxed_sign_terms = register(
    "relaxed_sign_terms(Tensor u, Tensor? targets, str relaxation, float margin, float beta) "
    "-> (Tensor, Tensor)",
    cpu=_terms_on_cpu,
    cuda=_on_cuda.relaxed_sign_terms,
    shapes=_terms_shapes,
    gradients=_gradients,
    save=_save,
)
_relaxed_sign_terms_backward = register(
    "relaxed_sign_terms_backward(Tensor of_terms, Tensor columns, Tensor u, Tensor? targets, "
    "str relaxation, float margin, float beta) -> Tensor",
    cpu=_terms_backward_on_cpu,
    cuda=_on_cuda.relaxed_sign_terms_backward,
    shapes=_terms_backward_shapes,
)
