"""What outputs pay for not being signs, against plain PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

import hashcore
from hashcore.ops import (
    decorrelation,
    relaxed_sign_loss,
    relaxed_sign_loss_reference,
    relaxed_sign_terms,
    relaxed_sign_terms_reference,
)
from hashcore.ops.relaxed_sign import Relaxation

RULES = [
    {"relaxation": relaxation, "beta": beta, "margin": 0.8}
    for relaxation, beta in itertools.product(get_args(Relaxation), (None, 1.7))
]
SHAPES = [(1, 1), (7, 19), (33, 300), (200, 64), (3, 5000)]
WEIGHTS: dict[str, Any] = {
    "relaxation_weight": 0.7,
    "excess_weight": 0.3,
    "quantisation_weight": 0.5,
    "balance_weight": 0.2,
}


def draw(rows: int, bits: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Outputs, some of them exactly 0, 1 or -1, and targets."""
    generator = torch.Generator().manual_seed(rows + bits)
    u = 2 * torch.randn(rows, bits, dtype=dtype, generator=generator)
    u.view(-1)[::7] = torch.tensor([0.0, 1.0, -1.0], dtype=dtype).repeat(u.numel())[
        : len(u.view(-1)[::7])
    ]
    t = torch.where(torch.randn(rows, bits, generator=generator) > 0, 1.0, -1.0)
    return u, t.to(dtype)


def terms_and_gradient(
    f: Callable[..., Any], u: Tensor, t: Tensor | None, rule: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    x = u.clone().requires_grad_()
    terms = torch.stack(list(f(x, t, **rule)))
    (terms * torch.tensor([0.7, 0.3, 0.5, 0.2], dtype=terms.dtype)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return terms.detach(), x.grad


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
@pytest.mark.parametrize("has_targets", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_against_the_reference(rule: dict[str, Any], has_targets: bool, dtype: torch.dtype) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 3e-6
    for rows, bits in SHAPES:
        u, t = draw(rows, bits, dtype)
        wanted = t if has_targets else None
        for a, b in zip(
            terms_and_gradient(relaxed_sign_terms, u, wanted, rule),
            terms_and_gradient(relaxed_sign_terms_reference, u, wanted, rule),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def loss_and_gradient(
    f: Callable[..., Tensor], u: Tensor, t: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor]:
    """The gradient of three times the loss."""
    x = u.clone().requires_grad_()
    loss = f(x, t, **options)
    (3 * loss).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return loss.detach(), x.grad


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
@pytest.mark.parametrize("has_targets", [False, True])
@pytest.mark.parametrize("decorrelation_weight", [0.0, 0.6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_losses_against_the_reference(
    rule: dict[str, Any], has_targets: bool, decorrelation_weight: float, dtype: torch.dtype
) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    options = rule | WEIGHTS | {"decorrelation_weight": decorrelation_weight}
    for rows, bits in [(0, 4), *SHAPES[:4]]:
        u, t = draw(rows, bits, dtype)
        wanted = t if has_targets else None
        for a, b in zip(
            loss_and_gradient(relaxed_sign_loss, u, wanted, **options),
            loss_and_gradient(relaxed_sign_loss_reference, u, wanted, **options),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("decorrelation_weight", [0.0, 0.6])
def test_a_loss_is_the_same_with_its_gradient_and_without(decorrelation_weight: float) -> None:
    u, t = draw(20, 16, torch.float32)
    options = WEIGHTS | {"beta": 1.7, "decorrelation_weight": decorrelation_weight}
    loss, gradient = loss_and_gradient(relaxed_sign_loss, u, t, **options)
    x = u.clone().requires_grad_()
    for plain in (u, x):
        with torch.no_grad():
            assert torch.equal(relaxed_sign_loss(plain, t, **options), loss)
    kept = 3 * relaxed_sign_loss(x, t, **options)
    for _ in range(2):
        (of_x,) = torch.autograd.grad(kept, x, retain_graph=True)
        assert torch.equal(of_x, gradient)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
@pytest.mark.parametrize("has_targets", [False, True])
def test_gradients_are_those_of_the_loss(rule: dict[str, Any], has_targets: bool) -> None:
    """Away from the edges that the terms have at h = 0 and |h| = 1."""
    h = torch.tensor([[-1.6, 0.4, 0.7], [1.3, -0.3, 2.2]], dtype=torch.float64)
    u = h if rule["beta"] is None else torch.atanh(h.clamp(-0.9, 0.9)) / rule["beta"]
    wanted = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]], dtype=torch.float64)

    def loss(u: Tensor) -> Tensor:
        targets = wanted if has_targets else None
        return relaxed_sign_loss(u, targets, **rule, **WEIGHTS, decorrelation_weight=0.4)

    assert torch.autograd.gradcheck(loss, [u.requires_grad_()])


def test_the_loss_weighs_the_terms() -> None:
    u, t = draw(20, 16, torch.float64)
    weights: dict[str, Any] = {
        "relaxation_weight": 0.3,
        "excess_weight": 0.5,
        "quantisation_weight": 0.7,
        "balance_weight": 1.1,
        "decorrelation_weight": 1.3,
    }
    rule: dict[str, Any] = {"relaxation": "power_2", "beta": 0.5}
    terms = relaxed_sign_terms_reference(u, t, **rule)
    expected = sum(w * x for w, x in zip(weights.values(), terms, strict=False))
    h = torch.tanh(0.5 * u)
    gram = h.T @ h / 20
    expected = expected + 1.3 * (gram - torch.eye(16)).pow(2).mean()
    torch.testing.assert_close(relaxed_sign_loss(u, t, **rule, **weights), expected)
    torch.testing.assert_close(relaxed_sign_loss_reference(u, t, **rule, **weights), expected)
    assert decorrelation(torch.eye(4) * 2) == 0


@pytest.mark.parametrize("f", [relaxed_sign_terms, relaxed_sign_terms_reference])
def test_an_empty_batch_costs_nothing(f: Callable[..., Any]) -> None:
    u = torch.zeros(0, 8, requires_grad=True)
    terms = f(u)
    assert [x.item() for x in terms] == [0, 0, 0, 0]
    sum(terms).backward()
    assert u.grad is not None
    assert u.grad.shape == (0, 8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype: torch.dtype) -> None:
    u, t = draw(20, 16, torch.float32)
    rule: dict[str, Any] = {"relaxation": "power_1"}
    terms, gradient = terms_and_gradient(relaxed_sign_terms, u.to(dtype), t.to(dtype), rule)
    expected, wide = terms_and_gradient(relaxed_sign_terms, u.to(dtype).float(), t, rule)
    assert torch.equal(terms, expected)
    assert gradient.dtype == dtype
    assert torch.equal(gradient, wide.to(dtype))
    options = WEIGHTS | {"decorrelation_weight": 0.4}
    loss, gradient = loss_and_gradient(relaxed_sign_loss, u.to(dtype), t.to(dtype), **options)
    expected, wide = loss_and_gradient(relaxed_sign_loss, u.to(dtype).float(), t, **options)
    assert torch.equal(loss, expected)
    assert torch.equal(gradient, wide.to(dtype))


@pytest.mark.parametrize("beta", [None, 3.0])
def test_the_same_bits_everywhere(beta: float | None) -> None:
    u, t = draw(900, 300, torch.float32)
    rule: dict[str, Any] = {"relaxation": "power_3", "beta": beta}

    def run() -> list[bytes]:
        terms = terms_and_gradient(relaxed_sign_terms, u, t, rule)
        loss = loss_and_gradient(
            relaxed_sign_loss, u, t, **rule, **WEIGHTS, decorrelation_weight=0.4
        )
        return [x.numpy().tobytes() for x in (*terms, *loss)]

    first, threads = run(), hashcore.num_threads()
    try:
        for level in hashcore.isa_levels():
            for count in (1, 2, 5):
                hashcore._core.force_isa(level)
                hashcore.set_num_threads(count)
                assert run() == first
    finally:
        hashcore._core.force_isa("")
        hashcore.set_num_threads(threads)


@pytest.mark.parametrize("value", [-1e30, -30.0, -1e-4, 1e-4, 5.0, 1e30])
def test_tanh_of_any_value(value: float) -> None:
    u = torch.tensor([[value]])
    found = relaxed_sign_terms(u, torch.zeros(1, 1), beta=1.0).quantisation.double()
    expected = torch.tanh(torch.tensor(value, dtype=torch.float64)) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-3 if abs(value) < 1 else 1e-6, atol=1e-12)


def test_memory_that_is_not_contiguous() -> None:
    u, t = draw(20, 16, torch.float32)
    rule: dict[str, Any] = {"relaxation": "power_2"}
    turned = u.T.contiguous().T, t.T.contiguous().T
    found = terms_and_gradient(relaxed_sign_terms, *turned, rule)
    for a, b in zip(found, terms_and_gradient(relaxed_sign_terms, u, t, rule), strict=True):
        assert torch.equal(a, b)
    options = rule | {"decorrelation_weight": 0.4}
    found = loss_and_gradient(relaxed_sign_loss, *turned, **options)
    for a, b in zip(found, loss_and_gradient(relaxed_sign_loss, u, t, **options), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("u", "options", "said"),
    [
        (torch.zeros(3), {}, r"u: expected floats \[B, K\]"),
        (torch.zeros(3, 0), {}, r"u: expected floats \[B, K\]"),
        (torch.zeros(3, 4), {"relaxation": "cube"}, "relaxation: expected one of"),
        (torch.zeros(3, 4), {"beta": 0.0}, "beta: expected > 0"),
        (torch.zeros(3, 4), {"targets": torch.zeros(2, 4)}, "targets: expected 3 rows; got 2"),
        (torch.zeros(3, 4), {"targets": torch.zeros(3, 5)}, r"targets: expected torch.float32"),
    ],
)
def test_what_does_not_fit_is_refused(u: Tensor, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        relaxed_sign_loss(u, **options)


def test_slopes_have_memory_of_their_own() -> None:
    u = np.zeros((3, 4), np.float32)
    with pytest.raises(ValueError, match="slopes: expected memory of their own"):
        hashcore._core.relaxed_sign_slopes(
            u, None, "power_1", 1.0, 0.0, [1.0, 1.0, 1.0, 1.0], np.zeros(4), False, u
        )


def test_products_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"products: expected float32 \[4, 4\]"):
        hashcore._core.correlate(np.zeros((3, 4), np.float32), 2)
