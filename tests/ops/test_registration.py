"""What PyTorch asks of an op: its schema, its shapes, its gradient, and that graphs hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hashcore import ops
from hashcore.ops._library import constant

LABELS = torch.nn.functional.one_hot(torch.arange(6) % 3, 3).bool()
U = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
V = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
WEIGHTS = torch.tensor([0.7, 0.3, 0.5, 0.2])
TRIPLETS = (LABELS, LABELS, 0.2, "all", False, True, True, "hinge", False)
CALLS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "pack_sign": ((U,),),
    "triplet_mining": (
        (U, V, *TRIPLETS, False),
        (U.clone().requires_grad_(), V.clone().requires_grad_(), *TRIPLETS, True),
    ),
    "pairwise_likelihood": (
        (U, V, LABELS, LABELS, 0.5, False),
        (U.clone().requires_grad_(), V.clone().requires_grad_(), LABELS, LABELS, 0.5, True),
    ),
    "relaxed_sign": (
        (U, None, WEIGHTS, "power_1", 1.0, 0.0, 0.0, False),
        (U.clone().requires_grad_(), None, WEIGHTS, "power_1", 1.0, 0.0, 0.3, True),
        (U.clone().requires_grad_(), V.sign(), WEIGHTS, "polarisation", 1.0, 2.0, 0.3, True),
    ),
    "relaxed_sign_terms": (
        (U.clone().requires_grad_(), None, "power_1", 1.0, 0.0),
        (U.clone().requires_grad_(), V.sign(), "polarisation", 1.0, 2.0),
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", CALLS)
def test_pytorch_finds_nothing_amiss(name: str) -> None:
    for arguments in CALLS[name]:
        torch.library.opcheck(getattr(torch.ops.hashcore, name).default, arguments)


def losses(u: Tensor, v: Tensor) -> Tensor:
    return (
        ops.triplet_mining_loss(u, v, LABELS, LABELS, margin=0.2, weighting="ndcg")
        + ops.pairwise_likelihood_loss(u, v, LABELS, LABELS)
        + ops.relaxed_sign_loss(u, quantisation_weight=1.0, decorrelation_weight=1.0)
        + ops.relaxed_sign_terms(v, beta=2.0).balance
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_constants_are_kept_for_graphs_and_fit_for_gradients() -> None:
    x = torch.randn(3, requires_grad=True)
    with torch.inference_mode():
        first = constant((1.0, 2.5, 3.0), like=x)
    assert constant((1.0, 2.5, 3.0), like=x) is first
    assert constant((1.0, 2.5, 3.0), like=x.double()).dtype == torch.float64
    (of_x,) = torch.autograd.grad(torch.dot(x, first), x)
    assert torch.equal(of_x, torch.tensor([1.0, 2.5, 3.0]))


@pytest.mark.parametrize(
    "loss",
    [
        lambda u: ops.relaxed_sign_loss(u, quantisation_weight=1.0),
        lambda u: ops.relaxed_sign_terms(u).quantisation,
        lambda u: ops.pairwise_likelihood_loss(u, V, LABELS, LABELS),
    ],
)
def test_second_derivatives_are_refused(loss: Callable[[Tensor], Tensor]) -> None:
    u, scale = U.clone().requires_grad_(), torch.ones((), requires_grad=True)
    assert not torch.autograd.grad(loss(u), u, create_graph=True)[0].requires_grad
    (of_u,) = torch.autograd.grad(scale * loss(u), u, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        of_u.sum().backward()  # type: ignore[no-untyped-call]


def test_one_graph_holds_them_all() -> None:
    compiled = torch.compile(losses, fullgraph=True, backend="aot_eager")
    found = []
    for f in (losses, compiled):
        u, v = (x.clone().requires_grad_() for x in (U, V))
        f(u, v).backward()  # type: ignore[no-untyped-call]
        found.append((u.grad, v.grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
    packed = torch.compile(ops.pack_sign, fullgraph=True, backend="aot_eager")
    assert torch.equal(packed(U), ops.pack_sign(U))
