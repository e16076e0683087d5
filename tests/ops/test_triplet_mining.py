"""Mined triplets against every triplet in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import hashcore
from hashcore.ops import triplet_mining_loss, triplet_mining_loss_reference
from triplet_batches import MININGS, RULES, SIMILARITIES, Batch, draw, loss_and_gradients


def compare(batch: Batch, tolerance: float, **rule: Any) -> None:
    fused = loss_and_gradients(triplet_mining_loss, batch, **rule)
    plain = loss_and_gradients(triplet_mining_loss_reference, batch, **rule)
    for a, b in zip(fused, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_rule_against_the_reference(rule: dict[str, Any], dtype: torch.dtype) -> None:
    tolerance = 1e-10 if dtype == torch.float64 else 2e-5
    shapes = [(7, 9, 3), (20, 13, 2), (1, 5, 2), (5, 1, 2), (16, 16, 70), (9, 12, 300)]
    for seed, (a, c, classes) in enumerate(shapes):
        for single in (True, False):
            batch = draw(seed, a, c, classes, single=single, dtype=dtype)
            compare(batch, tolerance, margin=0.3, **rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
def test_inside_one_modality(rule: dict[str, Any]) -> None:
    anchors, _, labels, _ = draw(0, 14, 14, 4, single=False, dtype=torch.float64)
    compare((anchors, anchors, labels, labels), 1e-10, margin=0.3, exclude_self=True, **rule)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_many_positives(mining: str, dtype: torch.dtype) -> None:
    """More than negatives are compared with, and more than a part of the candidates."""
    batch = draw(1, 3, 700, 2, single=True, dtype=dtype)
    positives = (batch[2][:, None] & batch[3]).any(dim=2).sum(dim=1)
    assert positives.min() > 256
    compare(batch, 1e-9 if dtype == torch.float64 else 3e-5, margin=0.3, mining=mining)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("penalty", ["hinge", "logistic"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_distances_far_apart(mining: str, penalty: str, dtype: torch.dtype) -> None:
    anchors, candidates, *labels = draw(13, 9, 8, 3, single=True, dtype=dtype)
    batch = 12 * anchors, 12 * candidates, labels[0], labels[1]
    rule = {"mining": mining, "penalty": penalty, "similarity": "inner"}
    loss, of_a, _ = loss_and_gradients(triplet_mining_loss_reference, batch, margin=0.3, **rule)
    assert loss.isfinite()
    assert loss > 100 or mining == "semi_hard"  # whose negatives are near by
    assert of_a.isfinite().all()
    compare(batch, 1e-10 if dtype == torch.float64 else 2e-5, margin=0.3, **rule)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("weighting", [None, "ndcg"])
@pytest.mark.parametrize("labels", ["none", "all", "one class", "all but one"])
def test_batches_with_few_triplets(mining: str, weighting: str | None, labels: str) -> None:
    anchors, candidates, _, _ = draw(3, 6, 6, 3, single=True, dtype=torch.float64)
    chosen = torch.full((6, 3), labels != "none")
    if labels == "one class":
        chosen[:, 1:] = False
    if labels == "all but one":
        chosen[2] = False
    batch = anchors, candidates, chosen, chosen
    compare(batch, 1e-10, margin=0.3, mining=mining, weighting=weighting)
    if labels != "all but one":
        loss, of_a, of_c = loss_and_gradients(
            triplet_mining_loss, batch, margin=0.3, mining=mining, weighting=weighting
        )
        assert loss == 0
        assert not of_a.any()
        assert not of_c.any()


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_equal_rows_and_zero_rows(mining: str, similarity: str) -> None:
    """All distances are equal: x is the margin everywhere, and the first row wins."""
    labels = torch.nn.functional.one_hot(torch.arange(6) % 2, 2).bool()
    for value in (0.0, 0.5):
        batch = (torch.full((6, 4), value, dtype=torch.float64),) * 2 + (labels,) * 2
        compare(batch, 1e-10, margin=0.3, mining=mining, similarity=similarity)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
def test_gradients_are_those_of_the_loss(rule: dict[str, Any]) -> None:
    anchors, candidates, *labels = draw(5, 4, 7, 3, single=False, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (anchors, candidates)]
    assert torch.autograd.gradcheck(
        lambda a, c: triplet_mining_loss(a, c, *labels, margin=0.3, **rule), inputs
    )


@pytest.mark.parametrize("levels", [None, "threads"])
def test_the_same_bits_everywhere(levels: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = draw(7, 300, 200, 5, single=False, dtype=torch.float32)
    rules = [{"weighting": "ndcg"}, {"mining": "semi_hard"}, {"penalty": "logistic"}]

    def run() -> list[bytes]:
        return [
            part.numpy().tobytes()
            for rule in rules
            for part in loss_and_gradients(triplet_mining_loss, batch, margin=0.3, **rule)
        ]

    first = run()
    assert run() == first
    if levels is None:
        for level in hashcore.isa_levels():
            hashcore._core.force_isa(level)
            try:
                assert run() == first
            finally:
                hashcore._core.force_isa("")
        return
    threads = hashcore.num_threads()
    for count in (1, 2, 5):
        hashcore.set_num_threads(count)
        try:
            assert run() == first
        finally:
            hashcore.set_num_threads(threads)


def test_blocks_of_rows_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = draw(8, 40, 30, 4, single=False, dtype=torch.float64)
    whole = loss_and_gradients(triplet_mining_loss, batch, margin=0.3, similarity="sqeuclidean")
    monkeypatch.setattr("hashcore.ops._library._BLOCK_BYTES", 7 * 30 * 8)
    parts = loss_and_gradients(triplet_mining_loss, batch, margin=0.3, similarity="sqeuclidean")
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype: torch.dtype) -> None:
    batch = draw(9, 12, 10, 3, single=True, dtype=torch.float32)
    halves = batch[0].to(dtype), batch[1].to(dtype), *batch[2:]
    loss, of_a, _ = loss_and_gradients(triplet_mining_loss, halves, margin=0.3)
    wide = halves[0].float(), halves[1].float(), *batch[2:]
    expected, wide_of_a, _ = loss_and_gradients(triplet_mining_loss, wide, margin=0.3)
    assert loss == expected
    assert of_a.dtype == dtype
    torch.testing.assert_close(of_a, wide_of_a.to(dtype))


@pytest.mark.parametrize("classes", [3, 64])  # a whole word is not padded
def test_memory_that_is_not_contiguous(classes: int) -> None:
    batch = draw(10, 12, 10, classes, single=True, dtype=torch.float32)
    turned = tuple(x.T.contiguous().T for x in batch)
    assert not turned[0].is_contiguous()
    assert not turned[2].is_contiguous()
    for a, b in zip(
        loss_and_gradients(triplet_mining_loss, turned, margin=0.3),  # type: ignore[arg-type]
        loss_and_gradients(triplet_mining_loss, batch, margin=0.3),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("mining", MININGS)
def test_values_that_are_not_finite_show(value: float, mining: str) -> None:
    batch = draw(11, 8, 8, 2, single=True, dtype=torch.float32)
    batch[1][3, 2] = value
    loss, of_a, _ = loss_and_gradients(triplet_mining_loss, batch, margin=0.3, mining=mining)
    assert loss.isnan()
    assert of_a.isnan().any()


def test_no_gradient_is_made_where_none_is_asked_for() -> None:
    batch = draw(12, 8, 8, 2, single=True, dtype=torch.float32)
    loss = triplet_mining_loss(*batch, margin=0.3)
    assert not loss.requires_grad
    anchors = batch[0].clone().requires_grad_()
    triplet_mining_loss(anchors, *batch[1:], margin=0.3).backward()  # type: ignore[no-untyped-call]
    assert anchors.grad is not None
    with torch.no_grad():
        assert triplet_mining_loss(anchors, *batch[1:], margin=0.3) == loss


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mining": "hardest"}, "mining: expected one of"),
        ({"similarity": "dot"}, "similarity: expected one of"),
        ({"weighting": "dcg"}, "weighting: expected one of"),
        ({"penalty": "square"}, "penalty: expected one of"),
        ({"exclude_self": True}, "as many candidates as anchors; got 6 and 5"),
        ({"candidates": torch.zeros(6, 3)}, r"candidates: expected torch.float32 \[B, 4\]"),
        ({"candidates": torch.zeros(6)}, r"candidates: expected floats \[B, K\]"),
        ({"anchor_labels": torch.zeros(4, 2) > 0}, r"anchor_labels: expected bool \[5, C\]"),
        ({"candidate_labels": torch.zeros(6, 3) > 0}, r"expected bool \[6, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {
        "anchors": torch.zeros(5, 4),
        "candidates": torch.zeros(6, 4),
        "anchor_labels": torch.zeros(5, 2) > 0,
        "candidate_labels": torch.zeros(6, 2) > 0,
        "margin": 0.1,
    }
    with pytest.raises(ValueError, match=said):
        triplet_mining_loss(**{**arguments, **change})


@pytest.mark.parametrize("name", ["anchors", "candidate_labels"])
def test_integers_are_refused(name: str) -> None:
    x, labels = torch.zeros(5, 4), torch.zeros(5, 2) > 0
    arguments: dict[str, Any] = {
        "anchors": x,
        "candidates": x,
        "anchor_labels": labels,
        "candidate_labels": labels,
    }
    arguments[name] = arguments[name].int()
    with pytest.raises(TypeError, match=f"{name}: expected"):
        triplet_mining_loss(**arguments, margin=0.1)
