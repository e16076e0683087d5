from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hashcore.methods import DHSL, DHSLConfig, ProblemSpec, dhsl
from methods import oracles
from methods.oracles import LABELS, K, outputs
from methods.problems import FEATURES, SCENES, SMALL, batch, small


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])
def test_relation_loss(labels: Tensor, equal: bool) -> None:
    rows, r = len(labels), oracles.shared(labels)

    def oracle(m: Tensor) -> Tensor:
        pairs = [(i, j) for i in range(rows) for j in range(rows)]
        return oracles.mean([(m[i, j] - float(r[i, j] > 0)) ** 2 for i, j in pairs])

    relation = oracles.equal_outputs(rows, rows) if equal else outputs(1, rows, rows)
    similar = torch.from_numpy(r > 0)
    oracles.assert_equal(lambda m: dhsl.relation_loss(m, similar), oracle, relation)


@pytest.mark.parametrize("rows", [2, 5])
def test_relation_net_is_a_network_over_every_concatenated_pair(rows: int) -> None:
    torch.manual_seed(0)
    net = dhsl.RelationNet(K, 8).double()
    p = dict(net.named_parameters())
    a, b, weight = outputs(1, rows), outputs(2, rows), outputs(3, rows, rows)

    def normalised(x: Tensor, layer: str) -> Tensor:
        mean, deviation = x.mean(dim=0), (x.var(dim=0, correction=0) + 1e-5).sqrt()
        return torch.relu(p[f"{layer}.weight"] * (x - mean) / deviation + p[f"{layer}.bias"])

    def oracle(a: Tensor, b: Tensor) -> Tensor:
        first = torch.cat([p["first.weight"], p["second.weight"]], dim=1)  # [width, 2 K]
        pairs = [torch.cat([a[i], b[j]]) for i in range(rows) for j in range(rows)]
        hidden = normalised(torch.stack(pairs) @ first.T, "rest.0")
        hidden = normalised(hidden @ p["rest.2.weight"].T, "rest.3")
        values = hidden @ p["value.weight"][0] + p["value.bias"]
        return (values * weight.ravel()).sum()

    oracles.assert_equal(lambda a, b: (net(a, b) * weight).sum(), oracle, a, b)


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.5, 1.0])
def test_top_mask_is_hard_and_hands_gradients_on(fraction: float) -> None:
    scores, weight = outputs(4, 5, 10).requires_grad_(), outputs(5, 5, 10)
    mask = dhsl.top_mask(scores, fraction)
    (mask * weight).sum().backward()  # type: ignore[no-untyped-call]
    count = math.ceil(fraction * 10)
    for row, chosen in zip(scores.tolist(), mask.tolist(), strict=True):
        threshold = sorted(row, reverse=True)[count - 1]
        assert chosen == [float(score >= threshold) for score in row]
    assert scores.grad is not None
    assert torch.equal(scores.grad, weight)


def test_top_mask_of_equal_scores_keeps_the_count() -> None:
    assert dhsl.top_mask(torch.full((3, 8), 0.5), 0.25).sum(dim=1).tolist() == [2.0, 2.0, 2.0]


def test_features_that_are_not_selected_do_not_pass_the_selector() -> None:
    torch.manual_seed(0)
    selector = dhsl.Selector(8, DHSLConfig(gate_hidden=4, selector_width=3))
    x = torch.randn(1, 8)
    chosen = selector.gate(x).topk(2).indices[0].tolist()
    with torch.no_grad():
        expected = selector.layer.bias + selector.layer.weight[:, chosen] @ x[0, chosen]
        torch.testing.assert_close(selector(x)[0], expected)


def test_terms_are_those_of_the_docstring() -> None:
    method, data = small("dhsl", {"margin": 0.3}, FEATURES).eval(), batch(FEATURES)
    assert isinstance(method, DHSL)
    with torch.no_grad():
        values = method.losses(data, "main").detached()
        h, g = method.encode_image(data.image), method.encode_text(data.text)
        nets = dict(method.relations.items())
        r = oracles.shared(data.labels)
        similar = torch.from_numpy(r > 0).float()
        own = F.mse_loss(nets["image"](h, h), similar) + F.mse_loss(nets["text"](g, g), similar)
        torch.testing.assert_close(values["inter"], F.mse_loss(nets["inter"](h, g), similar))
        torch.testing.assert_close(values["intra"], own)
        codes = torch.where(h + g > 0, 1.0, -1.0)
        gap = F.mse_loss(h, codes) + F.mse_loss(g, codes)
        torch.testing.assert_close(values["quantise"], gap)
        rank = weighted_triplets(h, g, data.labels) + weighted_triplets(g, h, data.labels)
        torch.testing.assert_close(values["ranking"], rank)


def weighted_triplets(a: Tensor, b: Tensor, labels: Tensor) -> Tensor:
    """One direction, margin .3."""
    r, valid = oracles.shared(labels), oracles.valid_triplets(labels)
    weights = [float(2 ** r[i, p] - 2 ** r[i, n]) / oracles.ideal_gain(r[i]) for i, p, n in valid]
    hinges = [
        0.3 + oracles.distance(a[i], b[p]) - oracles.distance(a[i], b[n]) for i, p, n in valid
    ]
    active = [w * hinge for w, hinge in zip(weights, hinges, strict=True) if hinge > 0]
    return oracles.mean(active) * len(weights) / sum(weights)


@pytest.mark.parametrize("spec", [FEATURES, SCENES], ids=["features", "scenes"])
def test_what_is_switched_off_is_not_built(spec: ProblemSpec) -> None:
    def parts(**changes: object) -> str:
        return " ".join(name for name, _ in small("dhsl", changes, spec).named_parameters())

    assert all(f"relations.{kind}." in parts() for kind in ("inter", "image", "text"))
    assert "relations.inter." in parts(intra=0.0)
    assert "relations.image." not in parts(intra=0.0)
    assert "relations" not in parts(relation=0.0)
    assert "selector" in parts()
    assert "selector" not in parts(selector=False)


@pytest.mark.parametrize("selected", [0.0, 1.5])
def test_a_fraction_that_is_none(selected: float) -> None:
    with pytest.raises(ValueError, match=r"selected: expected a fraction in \(0, 1\]"):
        DHSLConfig(branch=SMALL, selected=selected)
