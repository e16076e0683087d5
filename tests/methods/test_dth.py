from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hashcore.methods import DTH, Batch, BranchConfig, DTHConfig
from hashcore.ops import OPS, OpsName
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, K, batch, begin, small

ALPHA = 1.5


def likelihood(f: Tensor, g: Tensor, labels: Tensor, *, graded: bool, inside: bool) -> Tensor:
    """As a loop over the triplets."""
    terms = []
    for a, p, n in oracles.valid_triplets(labels, graded=graded, exclude_self=inside):
        delta = 0.5 * (f[a] @ g[p]) - 0.5 * (f[a] @ g[n]) - ALPHA
        terms.append(-(delta - torch.log1p(torch.exp(delta))))
    return oracles.mean(terms)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("ops", OPS)
def test_triplet_likelihood(
    labels: Tensor, equal: bool, graded: bool, inside: bool, ops: OpsName
) -> None:
    rows = len(labels)
    method: Any = small("dth", {"graded": graded, "margin": ALPHA / K}, FEATURES)
    method.compute_with(OPS[ops])

    def term(f: Tensor, g: Tensor) -> Tensor:
        value: Tensor = method._likelihood(f, g, labels, exclude_self=inside)
        return value

    drawn = outputs(1, rows), outputs(2, rows)
    if equal:
        drawn = oracles.equal_outputs(rows), oracles.equal_outputs(rows)
    oracles.assert_equal(
        term, lambda f, g: likelihood(f, g, labels, graded=graded, inside=inside), *drawn
    )


def test_regularity_reads_the_codes_of_the_rows_of_the_batch() -> None:
    torch.manual_seed(0)
    method = DTH(DTHConfig(branch=BranchConfig(hidden=(8,))), FEATURES)
    data = batch(FEATURES)
    begin(method, data)
    shuffled = Batch(data.image, data.text, data.labels, data.rows.flip(0))
    straight = method.losses(data, "main").detached()
    crossed = method.losses(shuffled, "main").detached()
    assert straight["regular"] < crossed["regular"]
    assert straight["inter"] == crossed["inter"]


@pytest.mark.parametrize("graded", [False, True])
def test_terms_are_made_of_these_losses(graded: bool) -> None:
    """Directions, margin and codes, put together by hand."""
    method, data = (
        small("dth", {"graded": graded, "margin": ALPHA / K}, FEATURES).eval(),
        batch(FEATURES),
    )
    begin(method, data)
    f, g = method.encode_image(data.image), method.encode_text(data.text)
    codes = torch.where(f + g > 0, 1.0, -1.0)

    def both(a: Tensor, b: Tensor, *, inside: bool) -> Tensor:
        return likelihood(a, b, data.labels, graded=graded, inside=inside)

    expected = {
        "inter": both(f, g, inside=False) + both(g, f, inside=False),
        "intra": both(f, f, inside=True) + both(g, g, inside=True),
        "regular": (codes - f).square().mean() + (codes - g).square().mean(),
        "balance": (f.sum(dim=0).square().sum() + g.sum(dim=0).square().sum()) / f.numel(),
    }
    found = method.losses(data, "main").detached()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach())
