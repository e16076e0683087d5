from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hashcore.methods import (
    DRHC,
    DTH,
    METHODS,
    Batch,
    BranchConfig,
    DRHCConfig,
    DTHConfig,
    InputSpec,
    LossTerms,
    Method,
    ProblemSpec,
    Term,
)
from hashcore.methods.branches import build_branch

B, C, K = 12, 5, 10
SMALL = BranchConfig(
    hidden=(24, 16), pixel_channels=(4, 8), token_embedding=6, token_filters=5, dropout=0.1
)
FEATURES = ProblemSpec(InputSpec("features", (9,)), InputSpec("features", (7,)), C, K)
SCENES = ProblemSpec(InputSpec("pixels", (3, 8, 8)), InputSpec("tokens", (6,), 11), C, K)
CONFIGS: list[tuple[str, Any]] = [
    ("dth", DTHConfig(branch=SMALL)),
    ("dth", DTHConfig(branch=SMALL, intra=0.0, graded=False, head="tanh", normalise=False)),
    *(
        ("drhc", DRHCConfig(branch=SMALL, common=20, relaxation=relaxation))
        for relaxation in ("dsh", "cubic", "polarisation", "tanh")
    ),
]


def batch(spec: ProblemSpec, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)

    def rows(spec: InputSpec) -> Tensor:
        if spec.kind == "tokens":
            return torch.randint(0, spec.vocabulary, (B, *spec.shape), generator=draw)
        return torch.randn((B, *spec.shape), generator=draw)

    labels = torch.rand((B, C), generator=draw) < 0.4
    return Batch(rows(spec.image), rows(spec.text), labels, torch.arange(B))


def begin(method: Method, data: Batch, epoch: int = 0) -> None:
    method.begin_fit(B)
    with torch.no_grad():
        both = method.encode_image(data.image), method.encode_text(data.text)
    method.begin_epoch(epoch, 4, lambda: both)


@pytest.mark.parametrize("spec", [FEATURES, SCENES], ids=["features", "scenes"])
@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_losses_are_finite_and_reach_every_parameter(
    name: str, config: Any, spec: ProblemSpec
) -> None:
    torch.manual_seed(0)
    method = METHODS[name].method(config, spec)
    data = batch(spec)
    begin(method, data)
    terms = method.losses(data, "main")
    assert all(term.value.ndim == 0 and term.value.isfinite() for term in terms.terms.values())
    terms.total.backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in method.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_losses_are_finite_without_any_triplet(name: str, config: Any) -> None:
    torch.manual_seed(0)
    method = METHODS[name].method(config, FEATURES)
    data = batch(FEATURES)
    for labels in (torch.zeros(B, C, dtype=torch.bool), torch.ones(B, C, dtype=torch.bool)):
        begin(method, data)
        total = method.losses(Batch(data.image, data.text, labels, data.rows), "main").total
        total.backward()  # type: ignore[no-untyped-call]
        assert total.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_phases_hold_every_parameter_once(name: str, config: Any) -> None:
    method = METHODS[name].method(config, FEATURES)
    held = [id(p) for phase in method.phases() for p in phase.parameters]
    assert sorted(held) == sorted(id(p) for p in method.parameters())


def test_dth_codes_are_the_sign_of_the_sum_with_zero_as_minus_one() -> None:
    method = METHODS["dth"].method(DTHConfig(branch=SMALL), FEATURES)
    image = torch.tensor([[1.0, -2.0, 0.5]])
    method.begin_epoch(0, 1, lambda: (image, torch.tensor([[0.5, 1.0, -0.5]])))
    assert isinstance(method, DTH)
    assert method.codes.tolist() == [[1.0, -1.0, -1.0]]


def test_dth_regularity_reads_the_codes_of_the_rows_of_the_batch() -> None:
    torch.manual_seed(0)
    method = METHODS["dth"].method(DTHConfig(branch=BranchConfig(hidden=(8,))), FEATURES)
    data = batch(FEATURES)
    begin(method, data)
    shuffled = Batch(data.image, data.text, data.labels, data.rows.flip(0))
    straight = method.losses(data, "main").detached()
    crossed = method.losses(shuffled, "main").detached()
    assert straight["regular"] < crossed["regular"]
    assert straight["inter"] == crossed["inter"]


def test_drhc_tanh_sharpens_from_epoch_to_epoch() -> None:
    config = DRHCConfig(branch=SMALL, relaxation="tanh", tanh_growth=8.0)
    method = DRHC(config, FEATURES).eval()
    data = batch(FEATURES)
    sizes = []
    for epoch in range(4):
        begin(method, data, epoch)
        sizes.append(float(method.encode_image(data.image).abs().mean().detach()))
        assert method.beta == pytest.approx(8.0 ** (epoch / 3))
    assert sizes == sorted(sizes)
    assert "range" not in method.losses(data, "main").terms


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
