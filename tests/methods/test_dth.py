from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashcore.methods import DTH, Batch, BranchConfig, DTHConfig, dth, losses, relevance
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, K, batch, begin, small


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_triplet_likelihood(labels: Tensor, equal: bool, graded: bool, exclude_self: bool) -> None:
    alpha, rows = 1.5, len(labels)
    r = torch.from_numpy(oracles.shared(labels))
    t = relevance.triplets(r, graded=graded, exclude_self=exclude_self)

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        terms = []
        for a, p, n in oracles.valid_triplets(labels, graded=graded, exclude_self=exclude_self):
            delta = 0.5 * (f[a] @ g[p]) - 0.5 * (f[a] @ g[n]) - alpha
            terms.append(-(delta - torch.log1p(torch.exp(delta))))
        return oracles.mean(terms)

    drawn = outputs(1, rows), outputs(2, rows)
    if equal:
        drawn = oracles.equal_outputs(rows), oracles.equal_outputs(rows)
    oracles.assert_equal(lambda f, g: dth.triplet_likelihood(f @ g.T / 2, t, alpha), oracle, *drawn)


def test_triplet_likelihood_survives_large_margins() -> None:
    t = relevance.triplets(torch.eye(2, dtype=torch.float64), graded=True)
    theta = torch.tensor([[-900.0, 900.0], [900.0, -900.0]], dtype=torch.float64)
    assert float(dth.triplet_likelihood(theta, t, 10.0)) == pytest.approx(1810.0)


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
    method, data = small("dth", {"graded": graded, "margin": 0.3}, FEATURES).eval(), batch(FEATURES)
    begin(method, data)
    f, g = method.encode_image(data.image), method.encode_text(data.text)
    r = relevance.shared_labels(data.labels, data.labels)
    across = relevance.triplets(r, graded=graded)
    inside = relevance.triplets(r, graded=graded, exclude_self=True)

    def likelihood(a: Tensor, b: Tensor, t: relevance.Triplets) -> Tensor:
        return dth.triplet_likelihood(a @ b.T / 2, t, 0.3 * K)

    codes = torch.where(f + g > 0, 1.0, -1.0)
    expected = {
        "inter": likelihood(f, g, across) + likelihood(g, f, across),
        "intra": likelihood(f, f, inside) + likelihood(g, g, inside),
        "regular": losses.quantisation(f, codes) + losses.quantisation(g, codes),
        "balance": losses.bit_balance(f) + losses.bit_balance(g),
    }
    found = method.losses(data, "main").detached()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach())
