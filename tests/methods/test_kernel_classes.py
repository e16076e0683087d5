"""Kernel logistic regression: its one minimum, and the probabilities there, against loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hashcore.methods.base import Modality
from hashcore.methods.class_codes import ClassCoded, Kernels
from hashcore.methods.kernel_classes import KernelClassifier
from hashcore.methods.label_codes import LabelEncoder
from methods.problems import FEATURES, batch, small

N, D, C = 30, 4, 3
STEEPNESS, RIDGE = 2.0, 0.3
DRAW = torch.Generator().manual_seed(3)
X = torch.randn(N, D, generator=DRAW)
ONE = torch.eye(C, dtype=torch.bool)[torch.arange(N) % C]
SEVERAL = torch.rand(N, C, generator=DRAW) < 0.4
KINDS = pytest.mark.parametrize(
    ("labels", "exclusive"), [(ONE, True), (SEVERAL, False)], ids=["exclusive", "several"]
)


def fitted(labels: Tensor, *, exclusive: bool, x: Tensor = X) -> KernelClassifier:
    return KernelClassifier.fit(x, labels, steepness=STEEPNESS, ridge=RIDGE, exclusive=exclusive)


def distance(a: Tensor, b: Tensor) -> float:
    return sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True))


@KINDS
def test_the_objective_is_at_its_minimum(labels: Tensor, exclusive: bool) -> None:
    """There its derivatives are zero: of v_mc, p - y + ridge v for each row; of b_c, their sum."""
    made = fitted(labels, exclusive=exclusive)
    off = made(X) - labels.float()
    torch.testing.assert_close(made.weights, -off / RIDGE, atol=5e-3, rtol=0)
    torch.testing.assert_close(off.sum(dim=0), torch.zeros(C), atol=2e-3, rtol=0)


@KINDS
def test_probabilities_are_those_of_the_equations(labels: Tensor, exclusive: bool) -> None:
    made = fitted(labels, exclusive=exclusive)
    mean = sum(distance(a, b) for a in X for b in X) / N**2
    new = torch.randn(5, D, generator=DRAW)
    for x, row in zip(new, made(new), strict=True):
        kernel = [math.exp(-STEEPNESS * distance(x, a) / mean) for a in X]
        logits = [
            float(made.bias[c]) + sum(k * float(made.weights[m, c]) for m, k in enumerate(kernel))
            for c in range(C)
        ]
        whole = sum(math.exp(f) for f in logits)
        expected = [math.exp(f) / whole if exclusive else 1 / (1 + math.exp(-f)) for f in logits]
        assert row.tolist() == pytest.approx(expected, abs=1e-5)


@KINDS
def test_equal_rows_have_the_shares_of_the_classes(labels: Tensor, exclusive: bool) -> None:
    made = fitted(labels, exclusive=exclusive, x=torch.ones(N, D))
    shares = labels.float().mean(dim=0)
    torch.testing.assert_close(made(torch.ones(2, D)), shares.expand(2, C), atol=1e-3, rtol=0)


def test_a_steep_kernel_knows_its_rows_and_nothing_else() -> None:
    made = KernelClassifier.fit(X, ONE, steepness=1e3, ridge=1e-3, exclusive=True)
    assert made(X)[ONE].min() > 0.95
    assert (made(torch.full((1, D), 50.0)) - 1 / C).abs().max() < 1e-3


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_networks_and_kernels_share_the_probabilities(share: float) -> None:
    data = batch(FEATURES)
    labels = torch.eye(FEATURES.classes, dtype=torch.bool)[torch.arange(len(data)) % 5]
    encoder = LabelEncoder.fit(labels, 16, 0)
    image, text = (fitted(labels, exclusive=True, x=x) for x in (data.image, data.text))
    kernels = Kernels(image, text, share)
    coded = ClassCoded([small("dth", {}, FEATURES)], encoder, 1.0, kernels).eval()
    inputs: tuple[tuple[Modality, Tensor], ...] = (("image", data.image), ("text", data.text))
    both = [coded.probabilities(modality, x) for modality, x in inputs]
    moved = sum(len(phase.parameters) for phase in coded.phases())
    coded.kernels = None
    for (modality, x), found, kernel in zip(inputs, both, (image, text), strict=True):
        expected = (1 - share) * coded.probabilities(modality, x) + share * kernel(x)
        torch.testing.assert_close(found, expected)
    assert moved == sum(len(phase.parameters) for phase in coded.phases())
