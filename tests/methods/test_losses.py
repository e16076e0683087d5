"""What methods share, against loops over rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashcore.methods import losses, relevance
from hashcore.ops import OPS, OpsName
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


def test_joint_codes_are_the_sign_of_the_sum_with_zero_as_minus_one() -> None:
    image = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    codes = losses.joint_codes(image, torch.tensor([[0.5, 1.0, -0.5]]))
    assert codes.tolist() == [[1.0, -1.0, -1.0]]
    assert not codes.requires_grad


@every_batch
def test_ranks(labels: Tensor) -> None:
    rows = len(labels)
    scores = outputs(5, rows, rows).round()  # with equal ones
    for row, found in zip(scores, relevance.ranks(scores), strict=True):
        order = sorted(range(rows), key=lambda j, row=row: (-float(row[j]), j))  # type: ignore[misc]
        assert found.tolist() == [1 + order.index(j) for j in range(rows)]


@every_batch
@every_output
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("hardest", [False, True])
@pytest.mark.parametrize("margin", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("ops", OPS)
def test_bidirectional_ranking(
    labels: Tensor, equal: bool, graded: bool, hardest: bool, margin: float, ops: OpsName
) -> None:
    r = oracles.shared(labels)
    valid = oracles.valid_triplets(labels, graded=graded)
    gains = dict.fromkeys(valid, 1.0)
    if graded:
        raw = {
            (a, p, n): (2 ** r[a, p] - 2 ** r[a, n]) / oracles.ideal_gain(r[a]) for a, p, n in valid
        }
        gains = {t: gain * len(raw) / sum(raw.values()) for t, gain in raw.items()}

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for one, other in ((f, g), (g, f)):
            hinges = {
                (a, p, n): margin
                + oracles.distance(one[a], other[p])
                - oracles.distance(one[a], other[n])
                for a, p, n in valid
            }
            if hardest:
                first: dict[int, tuple[int, int, int]] = {}
                for t in sorted(valid, key=lambda t: (-r[t[0], t[1]], t[1], t[2])):
                    best = first.setdefault(t[0], t)
                    if hinges[t] > hinges[best] + 1e-12:
                        first[t[0]] = t
                hinges = {t: hinges[t] for t in first.values()}
            active = {t: h for t, h in hinges.items() if h > 0}
            for t, hinge in active.items():
                total = total + gains[t] * hinge / len(active)
        return total

    def term(f: Tensor, g: Tensor) -> Tensor:
        return losses.bidirectional_ranking(
            OPS[ops], f, g, labels, margin, graded=graded, hardest=hardest
        )

    oracles.assert_equal(term, oracle, *drawn(labels, equal))
