from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from hashcore.methods import METHODS, Batch, BranchConfig, InputSpec, LossTerms, ProblemSpec, Term
from hashcore.methods.branches import build_branch
from methods.problems import FEATURES, SCENES, SMALL, B, C, batch, begin, small

VARIANTS: list[tuple[str, Mapping[str, Any]]] = [
    *((name, {}) for name in METHODS),
    *((name, off) for name, entry in METHODS.items() for off in entry.method.components.values()),
    ("dth", {"graded": True, "head": "tanh", "normalise": False}),
    *(("drhc", {"relaxation": relaxation}) for relaxation in ("cubic", "polarisation", "tanh")),
]
every_variant = pytest.mark.parametrize(
    ("name", "changes"), VARIANTS, ids=[f"{name}-{'-'.join(off)}" for name, off in VARIANTS]
)


@pytest.mark.parametrize("spec", [FEATURES, SCENES], ids=["features", "scenes"])
@every_variant
def test_losses_are_finite_and_reach_every_parameter(
    name: str, changes: Mapping[str, Any], spec: ProblemSpec
) -> None:
    method, data = small(name, changes, spec), batch(spec)
    begin(method, data)
    for phase in method.phases():
        terms = method.losses(data, phase.name)
        assert all(t.value.ndim == 0 and t.value.isfinite() for t in terms.terms.values())
        method.zero_grad(set_to_none=True)
        terms.total.backward()  # type: ignore[no-untyped-call]
        names = {id(p): parameter_name for parameter_name, p in method.named_parameters()}
        for parameter in phase.parameters:
            assert parameter.grad is not None, names[id(parameter)]
            assert parameter.grad.isfinite().all(), names[id(parameter)]


@every_variant
def test_losses_are_finite_whatever_the_labels(name: str, changes: Mapping[str, Any]) -> None:
    method, data = small(name, changes, FEATURES), batch(FEATURES)
    for labels in (torch.zeros(B, C, dtype=torch.bool), torch.ones(B, C, dtype=torch.bool)):
        begin(method, data)
        for phase in method.phases():
            method.zero_grad(set_to_none=True)
            changed = Batch(data.image, data.text, labels, data.rows)
            total = method.losses(changed, phase.name).total
            total.backward()  # type: ignore[no-untyped-call]
            assert total.isfinite()
            assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@every_variant
def test_phases_hold_every_parameter_once(name: str, changes: Mapping[str, Any]) -> None:
    method = small(name, changes, FEATURES)
    held = [id(p) for phase in method.phases() for p in phase.parameters]
    assert sorted(held) == sorted(id(p) for p in method.parameters())


@every_variant
def test_codes_have_the_width_that_is_promised(name: str, changes: Mapping[str, Any]) -> None:
    method, data = small(name, changes, FEATURES).eval(), batch(FEATURES)
    begin(method, data)
    for encoded in (method.encode_image(data.image), method.encode_text(data.text)):
        assert encoded.shape == (B, method.code_bits)
        assert encoded.dtype == torch.float32


def test_total_is_the_weighted_sum_and_shows_unweighted_values() -> None:
    terms = LossTerms({"a": Term(2.0, torch.tensor(3.0)), "b": Term(0.5, torch.tensor(4.0))})
    assert float(terms.total) == 8.0
    assert {name: float(value) for name, value in terms.detached().items()} == {"a": 3.0, "b": 4.0}


@pytest.mark.parametrize("model", ["textcnn", "bow"])
def test_token_branch_ignores_trailing_padding(model: Any) -> None:
    torch.manual_seed(0)
    config = BranchConfig(hidden=(8,), token_model=model)
    branch = build_branch(InputSpec("tokens", (5,), 9), config).eval()
    tokens = torch.tensor([[3, 4, 8, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    longer = nn.functional.pad(tokens, (0, 4))
    torch.testing.assert_close(branch(longer), branch(tokens))


@pytest.mark.parametrize("side", [7, 8, 33])
def test_pixel_branch_takes_any_side(side: int) -> None:
    branch = build_branch(InputSpec("pixels", (3, side, side)), SMALL)
    assert branch(torch.randn(4, 3, side, side)).shape == (4, branch.width)


def test_a_branch_needs_a_width() -> None:
    with pytest.raises(ValueError, match="hidden: expected at least one width"):
        build_branch(InputSpec("features", (3,)), BranchConfig(hidden=()))
