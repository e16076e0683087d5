"""Every loss term against loops over rows, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashcore.methods import drhc, dth, relevance

Matrix = NDArray[np.float64]
B, C, K = 7, 4, 6


@pytest.fixture(params=[0, 1, 2])
def labels(request: pytest.FixtureRequest) -> Tensor:
    rng = np.random.default_rng(request.param)
    drawn = rng.random((B, C)) < 0.4  # some rows share several labels, some none
    if request.param == 2:
        drawn = np.eye(C, dtype=bool)[rng.integers(0, C, B)]
    return torch.from_numpy(drawn)


def outputs(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1.2, (B, K)))


def shared(labels: Tensor) -> Matrix:
    rows = labels.numpy()
    return np.array([[sum(a & b) for b in rows] for a in rows], dtype=np.float64)


def oracle_triplets(
    r: Matrix, *, graded: bool, exclude_self: bool = False
) -> list[tuple[int, int, int]]:
    return [
        (a, p, n)
        for a in range(B)
        for p in range(B)
        for n in range(B)
        if r[a, p] > 0
        and not (exclude_self and a == p)
        and (r[a, n] < r[a, p] if graded else r[a, n] == 0)
    ]


def ideal(r_row: NDArray[np.float64]) -> float:
    ordered = sorted(r_row, reverse=True)
    return float(sum((2**r - 1) / math.log2(rank + 2) for rank, r in enumerate(ordered)))


def test_shared_labels(labels: Tensor) -> None:
    assert np.array_equal(relevance.shared_labels(labels, labels).numpy(), shared(labels))


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_triplets(labels: Tensor, graded: bool, exclude_self: bool) -> None:
    r = shared(labels)
    t = relevance.triplets(torch.from_numpy(r), graded=graded, exclude_self=exclude_self)
    found = {
        (int(a), int(p), int(n))
        for a, p, row in zip(t.anchor, t.positive, t.negative, strict=True)
        for n in row.nonzero().ravel()
    }
    assert found == set(oracle_triplets(r, graded=graded, exclude_self=exclude_self))


def test_ndcg_weights(labels: Tensor) -> None:
    r = shared(labels)
    t = relevance.triplets(torch.from_numpy(r), graded=True)
    weight = relevance.ndcg_weights(torch.from_numpy(r), t)
    for row, (a, p) in enumerate(zip(t.anchor.tolist(), t.positive.tolist(), strict=True)):
        for n in range(B):
            expected = (2 ** r[a, p] - 2 ** r[a, n]) / ideal(r[a]) if r[a, n] < r[a, p] else 0
            assert float(weight[row, n]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_dth_triplet_likelihood(labels: Tensor, graded: bool, exclude_self: bool) -> None:
    f, g, alpha = outputs(1), outputs(2), 1.5
    r = shared(labels)
    terms = []
    for a, p, n in oracle_triplets(r, graded=graded, exclude_self=exclude_self):
        delta = 0.5 * float(f[a] @ g[p]) - 0.5 * float(f[a] @ g[n]) - alpha
        terms.append(-(delta - math.log1p(math.exp(delta))))
    t = relevance.triplets(torch.from_numpy(r), graded=graded, exclude_self=exclude_self)
    found = dth.triplet_likelihood(f @ g.T / 2, t, alpha)
    assert float(found) == pytest.approx(np.mean(terms) if terms else 0.0, rel=1e-12)


def test_dth_triplet_likelihood_survives_large_margins() -> None:
    r = torch.eye(2, dtype=torch.float64)
    t = relevance.triplets(r, graded=True)
    theta = torch.tensor([[-900.0, 900.0], [900.0, -900.0]], dtype=torch.float64)
    assert float(dth.triplet_likelihood(theta, t, 10.0)) == pytest.approx(1810.0)


def test_dth_regularity_and_balance() -> None:
    f, codes = outputs(3), torch.where(outputs(4) > 0, 1.0, -1.0).double()
    square = sum((codes[i, k] - f[i, k]).item() ** 2 for i in range(B) for k in range(K))
    assert float(dth.regularity(f, codes)) == pytest.approx(square / (B * K), rel=1e-12)
    column = sum(sum(f[i, k].item() for i in range(B)) ** 2 for k in range(K))
    assert float(dth.bit_balance(f)) == pytest.approx(column / (B * K), rel=1e-12)


def cosine_distance(f: Tensor, g: Tensor) -> Matrix:
    out = np.empty((B, B))
    for i in range(B):
        for j in range(B):
            out[i, j] = 1 - float(f[i] @ g[j]) / (float(f[i].norm()) * float(g[j].norm()))
    return out


@pytest.mark.parametrize("margin", [0.05, 0.2, 3.0])
def test_drhc_ranking_loss(labels: Tensor, margin: float) -> None:
    r, d = shared(labels), cosine_distance(outputs(5), outputs(6))
    total, active = 0.0, 0
    for a, p, n in oracle_triplets(r, graded=True):
        hinge = max(margin + d[a, p] - d[a, n], 0.0)
        total += (2 ** r[a, p] - 2 ** r[a, n]) / ideal(r[a]) * hinge
        active += hinge > 0
    t = relevance.triplets(torch.from_numpy(r), graded=True)
    weight = relevance.ndcg_weights(torch.from_numpy(r), t)
    found = drhc.ranking_loss(torch.from_numpy(d), t, weight, margin)
    assert float(found) == pytest.approx(total / max(active, 1), rel=1e-12)


def test_drhc_pair_loss(labels: Tensor) -> None:
    r, d, margin = shared(labels), cosine_distance(outputs(7), outputs(8)), 0.9
    near = [d[i, j] for i in range(B) for j in range(B) if r[i, j] > 0]
    far = [max(margin - d[i, j], 0) for i in range(B) for j in range(B) if r[i, j] == 0]
    expected = (np.mean(near) if near else 0.0) + (np.mean(far) if far else 0.0)
    found = drhc.pair_loss(torch.from_numpy(d), torch.from_numpy(r > 0), margin)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_drhc_range_terms() -> None:
    u, target = outputs(9), torch.where(outputs(10) > 0, 1.0, -1.0).double()
    values = [(float(u[i, k]), float(target[i, k])) for i in range(B) for k in range(K)]
    dsh = np.mean([abs(abs(x) - 1) + 0.7 * max(abs(x) - 1, 0) for x, _ in values])
    cubic = np.mean([abs(abs(x) - 1) ** 3 for x, _ in values])
    polar = np.mean([max(0.8 - x * t, 0) for x, t in values])
    assert float(drhc.range_dsh(u, 0.7)) == pytest.approx(dsh, rel=1e-12)
    assert float(drhc.range_cubic(u)) == pytest.approx(cubic, rel=1e-12)
    assert float(drhc.range_polarisation(u, target, 0.8)) == pytest.approx(polar, rel=1e-12)
