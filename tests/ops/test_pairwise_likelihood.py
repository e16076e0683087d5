"""The likelihood of pairs against the matrix of all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import hashcore
from hashcore.ops import pairwise_likelihood_loss, pairwise_likelihood_loss_reference


def draw(a: int, b: int, classes: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(a + b)
    u, v = (3 * torch.randn(n, 19, dtype=dtype, generator=generator) for n in (a, b))
    labels = [torch.rand(n, classes, generator=generator) < 0.3 for n in (a, b)]
    return u, v, labels[0], labels[1]


def loss_and_gradients(f: Callable[..., Tensor], batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    u, v = (x.clone().requires_grad_() for x in batch[:2])
    loss = f(u, v, *batch[2:], scale=0.7)
    loss.backward()  # type: ignore[no-untyped-call]
    assert u.grad is not None
    assert v.grad is not None
    return loss.detach(), u.grad, v.grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(7, 9, 3), (33, 20, 70), (1, 1, 1), (0, 3, 2), (40, 17, 300)])
def test_against_the_reference(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    batch = draw(*shape, dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for a, b in zip(
        loss_and_gradients(pairwise_likelihood_loss, batch),
        loss_and_gradients(pairwise_likelihood_loss_reference, batch),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_gradients_are_those_of_the_loss() -> None:
    u, v, *labels = draw(4, 5, 3, torch.float64)
    assert torch.autograd.gradcheck(
        lambda u, v: pairwise_likelihood_loss(u, v, *labels),
        [u.requires_grad_(), v.requires_grad_()],
    )


@pytest.mark.parametrize("theta", [-1e30, -200.0, -1e-6, 0.0, 1e-6, 80.0, 1e30])
@pytest.mark.parametrize("similar", [False, True])
def test_any_theta(theta: float, similar: bool) -> None:
    u, v = torch.tensor([[theta]], requires_grad=True), torch.ones(1, 1)
    label, other = torch.tensor([[True]]), torch.tensor([[similar]])
    loss = pairwise_likelihood_loss(u, v, label, other, scale=1.0)
    loss.backward()  # type: ignore[no-untyped-call]
    exact = torch.tensor(theta, dtype=torch.float64)
    expected = torch.nn.functional.softplus(exact, threshold=1e9) if theta < 700 else exact
    torch.testing.assert_close(loss.double(), expected - similar * exact, rtol=3e-7, atol=1e-37)
    assert u.grad is not None
    torch.testing.assert_close(
        u.grad[0, 0].double(), exact.sigmoid() - float(similar), rtol=3e-7, atol=1e-7
    )


def test_the_same_bits_everywhere() -> None:
    batch = draw(150, 130, 5, torch.float32)
    first = [x.numpy().tobytes() for x in loss_and_gradients(pairwise_likelihood_loss, batch)]
    threads = hashcore.num_threads()
    try:
        for level in hashcore.isa_levels():
            for count in (1, 2, 5):
                hashcore._core.force_isa(level)
                hashcore.set_num_threads(count)
                again = loss_and_gradients(pairwise_likelihood_loss, batch)
                assert [x.numpy().tobytes() for x in again] == first
    finally:
        hashcore._core.force_isa("")
        hashcore.set_num_threads(threads)


def test_what_is_not_finite_shows() -> None:
    batch = draw(5, 4, 2, torch.float32)
    batch[0][1, 1] = float("nan")
    loss, of_u, _ = loss_and_gradients(pairwise_likelihood_loss, batch)
    assert loss.isnan()
    assert of_u[1].isnan().all()


def test_what_does_not_fit_is_refused() -> None:
    u, v, a, b = draw(5, 4, 2, torch.float32)
    with pytest.raises(ValueError, match=r"v: expected torch.float32 \[B, 19\]"):
        pairwise_likelihood_loss(u, v[:, 1:], a, b)
    with pytest.raises(ValueError, match=r"v_labels: expected bool \[4, 2\]"):
        pairwise_likelihood_loss(u, v, a, b[:, :1])
    with pytest.raises(TypeError, match="u_labels: expected bool"):
        pairwise_likelihood_loss(u, v, a.float(), b)
