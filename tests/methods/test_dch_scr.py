from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hashcore.methods import InputSpec, ProblemSpec, dch_scr, relevance
from hashcore.methods.losses import cosine
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, SCENES, batch, begin, small

every_batch = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
every_score = pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])


def drawn_scores(labels: Tensor, equal: bool) -> Tensor:
    """Scores `[B, B]`; all equal, they rank in column order."""
    rows = len(labels)
    return torch.zeros(rows, rows).double() if equal else outputs(5, rows, rows)


def swap_weight(scores: Tensor, r: Tensor, a: int, p: int, n: int) -> float:
    """|Delta NDCG| of one triplet, ranks counted one by one."""

    def rank(j: int) -> int:
        row = scores[a]
        return 1 + sum(bool(row[k] > row[j] or (row[k] == row[j] and k < j)) for k in range(len(r)))

    gain = (2 ** float(r[a, p]) - 2 ** float(r[a, n])) / oracles.ideal_gain(r[a].tolist())
    return gain * abs(1 / math.log2(1 + rank(p)) - 1 / math.log2(1 + rank(n)))


@every_batch
@every_score
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("ndcg", [False, True])
def test_ranking(labels: Tensor, equal: bool, exclude_self: bool, ndcg: bool) -> None:
    r, sigma = torch.from_numpy(oracles.shared(labels)), 1.7
    t = relevance.triplets(r, graded=True, exclude_self=exclude_self)

    def term(s: Tensor) -> Tensor:
        weight = dch_scr.lambda_weights(s, r, t) if ndcg else t.negative.to(s)
        return dch_scr.triplet_logistic(s, t, weight, sigma)

    def oracle(s: Tensor) -> Tensor:
        total, weights = torch.zeros((), dtype=torch.float64), 0.0
        for a, p, n in oracles.valid_triplets(labels, exclude_self=exclude_self):
            weight = swap_weight(s.detach(), r, a, p, n) if ndcg else 1.0
            total = total + weight * torch.log1p(torch.exp(-sigma * (s[a, p] - s[a, n])))
            weights += weight
        return total / weights if weights else total

    oracles.assert_equal(term, oracle, drawn_scores(labels, equal))


def test_ranking_survives_large_scores() -> None:
    r = torch.eye(2, dtype=torch.float64)
    t = relevance.triplets(r, graded=True)
    scores = torch.tensor([[-900.0, 900.0], [900.0, -900.0]], dtype=torch.float64)
    assert float(dch_scr.triplet_logistic(scores, t, t.negative.to(scores), 1.0)) == 1800.0


def softmax(row: Tensor) -> Tensor:
    powers = [torch.exp(x) for x in row]
    return torch.stack([p / torch.stack(powers).sum() for p in powers])


@every_score
@pytest.mark.parametrize("rows", [1, 7])
def test_alignment(equal: bool, rows: int) -> None:
    scores = torch.zeros(rows, rows).double() if equal else outputs(5, rows, rows)

    def oracle(s: Tensor, target: Tensor) -> Tensor:
        divergences = []
        for i in range(rows):
            p, q = softmax(target[i] / 0.3), softmax(s[i] / 0.3)
            divergences.append(
                torch.stack([p[j] * (torch.log(p[j]) - torch.log(q[j])) for j in range(rows)]).sum()
            )
        return oracles.mean(divergences)

    def term(s: Tensor, target: Tensor) -> Tensor:
        return dch_scr.alignment_loss(s, target, 0.3)

    oracles.assert_equal(term, oracle, scores, outputs(6, rows, rows))


def test_frozen_features_of_every_kind_of_input() -> None:
    vectors, pixels = torch.randn(3, 4), torch.randn(3, 3, 2, 2)
    assert dch_scr.frozen_features(vectors, InputSpec("features", (4,))) is vectors
    flat = dch_scr.frozen_features(pixels, InputSpec("pixels", (3, 2, 2)))
    assert torch.equal(flat, pixels.reshape(3, 12))
    tokens = torch.tensor([[2, 4, 2, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    words = dch_scr.frozen_features(tokens, InputSpec("tokens", (4,), 5))
    assert words.tolist() == [[0, 0, 2, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("spec", [FEATURES, SCENES], ids=["features", "scenes"])
def test_terms_are_made_of_these_losses(spec: ProblemSpec) -> None:
    """Directions, targets and weights, put together by hand."""
    changes = {"intra": 0.5, "feature_share": 0.3, "temperature": 0.4, "sigma": 2.0, "ndcg": 0.25}
    method, data = small("dch_scr", changes, spec).eval(), batch(spec)
    begin(method, data)
    u, v = method.encode_image(data.image), method.encode_text(data.text)
    image, text = (
        cosine(phi, phi)
        for phi in (
            dch_scr.frozen_features(data.image, spec.image),
            dch_scr.frozen_features(data.text, spec.text),
        )
    )
    r = relevance.shared_labels(data.labels, data.labels)
    same = cosine(data.labels.float(), data.labels.float())
    align, rank = torch.zeros(()), torch.zeros(())
    for weight, a, b, phi in (
        (1.0, u, v, (image + text) / 2),
        (1.0, v, u, (image + text) / 2),
        (0.5, u, u, image),
        (0.5, v, v, text),
    ):
        s = cosine(a, b)
        t = relevance.triplets(r, graded=True, exclude_self=a is b)
        gain = dch_scr.lambda_weights(s, r, t)
        strength = 0.25 * gain / gain[t.negative].mean() + 0.75 * t.negative
        align = align + weight * dch_scr.alignment_loss(s, 0.7 * same + 0.3 * phi, 0.4)
        rank = rank + weight * dch_scr.triplet_logistic(s, t, strength, 2.0)
    s = cosine(u, v)
    align = (
        align + dch_scr.alignment_loss(s, s.T, 0.4) / 2 + dch_scr.alignment_loss(s.T, s, 0.4) / 2
    )
    found = method.losses(data, "main").detached()
    torch.testing.assert_close(found["alignment"], align.detach())
    torch.testing.assert_close(found["ranking"], rank.detach())


def test_label_term_is_the_cross_entropy_of_both_modalities() -> None:
    method, data = small("dch_scr", {}, FEATURES).eval(), batch(FEATURES)
    assert isinstance(method, dch_scr.DCHSCR)
    assert method.label_layer is not None
    total = 0.0
    for hidden in (method.image_branch(data.image), method.text_branch(data.text)):
        chance = torch.sigmoid(method.label_layer(hidden)).detach()
        own = torch.where(data.labels, chance, 1 - chance)
        total -= float(own.log().mean())
    assert float(method.losses(data, "main").detached()["label"]) == pytest.approx(total, rel=1e-5)


def test_without_label_prediction_there_is_no_label_layer() -> None:
    method = small("dch_scr", {"label": 0.0}, FEATURES)
    assert not any("label" in name for name, _ in method.named_parameters())
    assert "label" not in method.losses(batch(FEATURES), "main").terms
