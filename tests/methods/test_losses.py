"""What methods share, against loops over rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashcore.methods import losses, relevance
from methods import oracles
from methods.oracles import LABELS, outputs

every_batch = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
every_output = pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])


def drawn(labels: Tensor, equal: bool) -> tuple[Tensor, Tensor]:
    rows = len(labels)
    if equal:
        return oracles.equal_outputs(rows), oracles.equal_outputs(rows)
    return outputs(1, rows), outputs(2, rows)


@every_batch
def test_shared_labels(labels: Tensor) -> None:
    found = relevance.shared_labels(labels, labels)
    assert found.numpy().tolist() == oracles.shared(labels).tolist()


@every_batch
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_triplets(labels: Tensor, graded: bool, exclude_self: bool) -> None:
    r = relevance.shared_labels(labels, labels)
    t = relevance.triplets(r, graded=graded, exclude_self=exclude_self)
    found = {
        (int(a), int(p), int(n))
        for a, p, row in zip(t.anchor, t.positive, t.negative, strict=True)
        for n in row.nonzero().ravel()
    }
    expected = oracles.valid_triplets(labels, graded=graded, exclude_self=exclude_self)
    assert found == set(expected)


@every_batch
def test_ndcg_weights(labels: Tensor) -> None:
    r = oracles.shared(labels)
    t = relevance.triplets(torch.from_numpy(r), graded=True)
    weight = relevance.ndcg_weights(torch.from_numpy(r), t)
    for row, (a, p) in enumerate(zip(t.anchor.tolist(), t.positive.tolist(), strict=True)):
        for n in range(len(labels)):
            gain = 2 ** r[a, p] - 2 ** r[a, n] if r[a, n] < r[a, p] else 0.0
            expected = gain / oracles.ideal_gain(r[a])
            assert float(weight[row, n]) == pytest.approx(expected, abs=1e-12)


@every_batch
def test_weights_scaled_to_mean_one(labels: Tensor) -> None:
    r = torch.from_numpy(oracles.shared(labels))
    t = relevance.triplets(r, graded=True)
    weight = relevance.ndcg_weights(r, t)
    scaled = relevance.scale_to_mean_one(weight, t)
    valid = oracles.valid_triplets(labels)
    assert float(scaled.sum()) == pytest.approx(len(valid), rel=1e-12)
    torch.testing.assert_close(scaled * weight.sum(), weight * len(valid))


@every_batch
@every_output
@pytest.mark.parametrize("margin", [0.05, 0.2, 3.0])
def test_ranking_loss(labels: Tensor, equal: bool, margin: float) -> None:
    r = oracles.shared(labels)
    t = relevance.triplets(torch.from_numpy(r), graded=True)
    weight = relevance.ndcg_weights(torch.from_numpy(r), t)

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        total, active = torch.zeros((), dtype=torch.float64), 0
        for a, p, n in oracles.valid_triplets(labels):
            hinge = margin + oracles.distance(f[a], g[p]) - oracles.distance(f[a], g[n])
            if hinge > 0:
                total = total + (2 ** r[a, p] - 2 ** r[a, n]) / oracles.ideal_gain(r[a]) * hinge
                active += 1
        return total / max(active, 1)

    def term(f: Tensor, g: Tensor) -> Tensor:
        return losses.ranking_loss(losses.cosine_distance(f, g), t, weight, margin)

    oracles.assert_equal(term, oracle, *drawn(labels, equal))


@every_batch
@every_output
def test_pair_loss(labels: Tensor, equal: bool) -> None:
    r, margin = oracles.shared(labels), 0.9

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        near, far = [], []
        for i in range(len(f)):
            for j in range(len(g)):
                d = oracles.distance(f[i], g[j])
                if r[i, j] > 0:
                    near.append(d)
                else:
                    far.append(torch.clamp(margin - d, min=0))
        return oracles.mean(near) + oracles.mean(far)

    def term(f: Tensor, g: Tensor) -> Tensor:
        return losses.pair_loss(losses.cosine_distance(f, g), torch.from_numpy(r > 0), margin)

    oracles.assert_equal(term, oracle, *drawn(labels, equal))


@every_batch
@every_output
def test_pairwise_likelihood(labels: Tensor, equal: bool) -> None:
    r = oracles.shared(labels)

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        pairs = []
        for i in range(len(f)):
            for j in range(len(g)):
                theta = f[i] @ g[j] / 2
                pairs.append(torch.log1p(torch.exp(theta)) - float(r[i, j] > 0) * theta)
        return oracles.mean(pairs)

    def term(f: Tensor, g: Tensor) -> Tensor:
        return losses.pairwise_likelihood(f @ g.T / 2, torch.from_numpy(r > 0))

    oracles.assert_equal(term, oracle, *drawn(labels, equal))


def test_pairwise_likelihood_survives_large_products() -> None:
    theta = torch.tensor([[900.0, -900.0]])
    assert float(losses.pairwise_likelihood(theta, torch.tensor([[True, False]]))) == 0.0
    assert float(losses.pairwise_likelihood(theta, torch.tensor([[False, True]]))) == 900.0


def test_joint_codes_are_the_sign_of_the_sum_with_zero_as_minus_one() -> None:
    image = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    codes = losses.joint_codes(image, torch.tensor([[0.5, 1.0, -0.5]]))
    assert codes.tolist() == [[1.0, -1.0, -1.0]]
    assert not codes.requires_grad


@every_output
def test_quantisation_and_balance(equal: bool) -> None:
    f = oracles.equal_outputs() if equal else outputs(3)
    codes = torch.where(outputs(4) > 0, 1.0, -1.0).double()
    rows, bits = f.shape

    def distances(f: Tensor) -> Tensor:
        return oracles.mean(
            [(f[i, k] - codes[i, k]) ** 2 for i in range(rows) for k in range(bits)]
        )

    def columns(f: Tensor) -> Tensor:
        return torch.stack([f[:, k].sum() ** 2 for k in range(bits)]).sum() / (rows * bits)

    oracles.assert_equal(lambda f: losses.quantisation(f, codes), distances, f)
    oracles.assert_equal(losses.bit_balance, columns, f)


@every_batch
def test_ranks(labels: Tensor) -> None:
    rows = len(labels)
    scores = outputs(5, rows, rows).round()  # with equal ones
    for row, found in zip(scores, relevance.ranks(scores), strict=True):
        order = sorted(range(rows), key=lambda j, row=row: (-float(row[j]), j))  # type: ignore[misc]
        assert found.tolist() == [1 + order.index(j) for j in range(rows)]


@every_batch
@every_output
def test_hardest_triplets(labels: Tensor, equal: bool) -> None:
    rows = len(labels)
    distance = torch.ones(rows, rows) if equal else outputs(5, rows, rows)
    t = relevance.triplets(torch.from_numpy(oracles.shared(labels)), graded=True)
    kept = losses.hardest_triplets(distance, t)
    found = {
        (int(a), int(p), int(n))
        for a, p, row in zip(kept.anchor, kept.positive, kept.negative, strict=True)
        for n in row.nonzero().ravel()
    }

    def excess(triplet: tuple[int, int, int]) -> float:
        a, p, n = triplet
        return float(distance[a, p] - distance[a, n])

    valid = oracles.valid_triplets(labels)
    greatest = {a: max(excess(t) for t in valid if t[0] == a) for a, _, _ in valid}
    assert found == {t for t in valid if excess(t) == greatest[t[0]]}


@every_batch
@every_output
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("hardest", [False, True])
def test_bidirectional_ranking(labels: Tensor, equal: bool, graded: bool, hardest: bool) -> None:
    r, margin = oracles.shared(labels), 0.4
    valid = oracles.valid_triplets(labels, graded=graded)
    gains = dict.fromkeys(valid, 1.0)
    if graded:
        raw = {
            (a, p, n): (2 ** r[a, p] - 2 ** r[a, n]) / oracles.ideal_gain(r[a]) for a, p, n in valid
        }
        gains = {t: gain * len(raw) / sum(raw.values()) for t, gain in raw.items()}

    def oracle(d: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for own in (d, d.T):
            hinges = {(a, p, n): margin + own[a, p] - own[a, n] for a, p, n in valid}
            if hardest:
                size = {t: float(hinge.detach()) for t, hinge in hinges.items()}
                most = {a: max(h for t, h in size.items() if t[0] == a) for a, _, _ in valid}
                hinges = {t: h for t, h in hinges.items() if size[t] == most[t[0]]}
            active = {t: h for t, h in hinges.items() if h > 0}
            for (a, p, n), hinge in active.items():
                total = total + gains[a, p, n] * hinge / len(active)
        return total

    def term(d: Tensor) -> Tensor:
        return losses.bidirectional_ranking(
            d, torch.from_numpy(r), margin, graded=graded, hardest=hardest
        )

    rows = len(labels)
    distance = torch.ones(rows, rows).double() if equal else outputs(5, rows, rows)
    oracles.assert_equal(term, oracle, distance)
