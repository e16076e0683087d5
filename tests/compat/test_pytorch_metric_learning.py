"""Codes inside of pytorch-metric-learning: its metrics, inference model, losses and miners."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import FaissKNN, InferenceModel, MatchFinder
from torch import Tensor

import hashcore
import reference
from hashcore._extras import MissingExtraError
from hashcore.compat.pytorch_metric_learning import HammingDistance, HammingKNN

BITS = 20
METRICS = (
    "precision_at_1",
    "mean_average_precision",
    "mean_average_precision_at_r",
    "mean_reciprocal_rank",
    "r_precision",
)


def embeddings(seed: int, rows: int, bits: int = BITS) -> Tensor:
    """Rows around five corners, some of them twice, with zeros among their values."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randn(5, bits, generator=torch.Generator().manual_seed(0))
    made = corners[torch.arange(rows) % 5] + 0.7 * torch.randn(rows, bits, generator=generator)
    made[3:7, ::3] = 0
    made[-2:] = made[:2]
    return made


def codes_of(x: Tensor) -> Any:
    return np.packbits((x > 0).numpy(), axis=1)


def true_knn(query: Tensor, k: int, references: Tensor, ref_includes_query: bool) -> Any:
    """By (distance, row), in plain loops of the truth."""
    distances = reference.pairwise(codes_of(query), codes_of(references)).astype(float)
    if ref_includes_query:
        distances[np.arange(len(query)), np.arange(len(query))] = np.inf
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return torch.from_numpy(np.take_along_axis(distances, rows, 1)).float(), torch.from_numpy(rows)


@pytest.mark.parametrize("ref_includes_query", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_neighbours(dtype: torch.dtype, ref_includes_query: bool) -> None:
    references = embeddings(1, 90)
    query = references[:30] if ref_includes_query else embeddings(2, 30)
    query.requires_grad_()
    for k in (1, 7, 89):
        found = HammingKNN()(query.to(dtype), k, references.to(dtype), ref_includes_query)
        truth = true_knn(query, k, references, ref_includes_query)
        assert [x.dtype for x in found] == [torch.float32, torch.int64]
        for ours, expected in zip(found, truth, strict=True):
            assert torch.equal(ours, expected)


@pytest.mark.parametrize("ref_includes_query", [False, True])
def test_distances_are_those_of_faiss_over_signs(ref_includes_query: bool) -> None:
    references = embeddings(1, 90)
    query = references[:30]
    signs = torch.where(references > 0, 1.0, -1.0)
    expected, _ = FaissKNN()(signs[:30], 50, signs, ref_includes_query)
    found, _ = HammingKNN()(query, 50, references, ref_includes_query)
    assert torch.equal(found, expected / 4)  # |s - s'|^2


@pytest.mark.parametrize("k", [None, "max_bin_count", 5])
@pytest.mark.parametrize("apart", [False, True])
def test_in_the_accuracy_calculator(k: Any, apart: bool) -> None:
    x, labels = embeddings(3, 100), torch.arange(100) % 5
    given = (embeddings(4, 60), torch.arange(60) % 5, x, labels) if apart else (x, labels)

    def accuracy(knn_func: Any) -> Any:
        calculator = AccuracyCalculator(
            include=METRICS,
            k=k,
            knn_func=knn_func,
            kmeans_func=object(),
            device=torch.device("cpu"),
        )
        return calculator.get_accuracy(*given)

    ours = accuracy(HammingKNN())
    assert set(ours) == set(METRICS)
    assert ours == accuracy(true_knn)
    assert 0.2 < ours["mean_average_precision"] < 1


def test_in_the_inference_model(tmp_path: Path) -> None:
    x = embeddings(5, 70)
    query = embeddings(6, 9)
    trunk = torch.nn.Identity()
    model = InferenceModel(
        trunk,
        knn_func=HammingKNN(kind="flat", threads=1),
        match_finder=MatchFinder(HammingDistance(exact=True), threshold=4),
        data_device=torch.device("cpu"),
    )
    model.train_knn(x[:40])
    model.add_to_knn(x[40:])
    expected = true_knn(query, 6, x, False)
    for ours, truth in zip(model.get_nearest_neighbors(query, 6), expected, strict=True):
        assert torch.equal(ours, truth)
    model.save_knn_func(str(tmp_path / "codes.hci"))
    loaded = InferenceModel(trunk, knn_func=HammingKNN(), data_device=torch.device("cpu"))
    loaded.load_knn_func(str(tmp_path / "codes.hci"))
    assert torch.equal(loaded.get_nearest_neighbors(query, 6)[1], expected[1])
    assert hashcore.Index.load(tmp_path / "codes.hci").bits == BITS

    near = reference.pairwise(codes_of(query), codes_of(x)) <= 4
    np.testing.assert_array_equal(model.get_matches(query, x), near)
    assert model.is_match(query[:1], x[:1]) == near[0, 0]
    model.train_knn(x[:10])
    assert len(model.knn_func.index) == 10
    model.knn_func.reset()
    with pytest.raises(ValueError, match=r"^reference: expected floats \[N, K\], or train\(\)"):
        model.get_nearest_neighbors(query, 1)


def test_numpy_embeddings_are_kept() -> None:
    ours = HammingKNN()
    ours.add(embeddings(7, 20).numpy())
    assert torch.equal(ours(embeddings(7, 20), 1)[0], torch.zeros(20, 1))


@pytest.mark.parametrize("bits", [1, 8, 65, 500])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_exact_distances_are_those_of_codes(bits: int, dtype: torch.dtype) -> None:
    a, b = embeddings(8, 23, bits).to(dtype), embeddings(9, 31, bits).to(dtype)
    truth = reference.pairwise(codes_of(a), codes_of(b))
    for exact in (HammingDistance(exact=True), HammingDistance(exact=True, beta=0.1)):
        with torch.autocast("cpu", torch.bfloat16):
            found = exact(a.requires_grad_(), b)
            paired = exact.pairwise_distance(a, b[:23])
        np.testing.assert_array_equal(found.detach().numpy(), truth)
        np.testing.assert_array_equal(paired.detach().numpy(), np.diagonal(truth))
        np.testing.assert_array_equal(exact(a).detach().diagonal().numpy(), 0)


def test_relaxed_distances() -> None:
    a, b = embeddings(8, 6).double(), embeddings(9, 7).double()
    relaxed = HammingDistance(beta=1.7)
    found = relaxed(a, b)
    for i in range(6):
        for j in range(7):
            products = (torch.tanh(1.7 * a[i]) * torch.tanh(1.7 * b[j])).sum()
            assert found[i, j] == pytest.approx(float(BITS - products) / 2)
    torch.testing.assert_close(relaxed.pairwise_distance(a, b[:6]), found[:, :6].diagonal())
    relaxed.beta = 1e9
    a[a == 0] = b[b == 0] = -1e-3  # which codes take zero for
    np.testing.assert_array_equal(relaxed(a, b[:6]), HammingDistance(exact=True)(a, b[:6]))


def test_gradients() -> None:
    a = embeddings(8, 4).double().requires_grad_()
    b = embeddings(9, 5).double().requires_grad_()
    weights = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(HammingDistance(beta=0.8), (a, b))
    exact = HammingDistance(exact=True, beta=0.8)
    (exact(a, b) * weights).sum().backward()
    assert a.grad is not None
    signs = torch.where(b.detach() > 0, 1.0, -1.0).double()
    slope = 0.8 * (1 - torch.tanh(0.8 * a.detach()) ** 2)
    torch.testing.assert_close(a.grad, -(weights @ signs) / 2 * slope)


@pytest.mark.parametrize(
    "miner",
    [
        lambda distance, bit: miners.BatchHardMiner(distance=distance),
        lambda distance, bit: miners.TripletMarginMiner(3 * bit, distance=distance),
        lambda distance, bit: miners.PairMarginMiner(2 * bit, 9 * bit, distance=distance),
        lambda distance, bit: miners.MultiSimilarityMiner(2 * bit, distance=distance),
    ],
    ids=["hard", "triplet", "pair", "similarity"],
)
def test_miners_mine_what_they_do_in_signs(miner: Any) -> None:
    x, labels = embeddings(10, 60), torch.arange(60) % 5
    signs = torch.where(x > 0, 1.0, -1.0)
    ours = miner(HammingDistance(exact=True), 1)(x, labels)
    plain = LpDistance(p=1, normalize_embeddings=False)  # two a bit
    theirs = miner(plain, 2)(signs, labels)
    assert len(ours) == len(theirs)
    assert len(ours[0])
    for our, their in zip(ours, theirs, strict=True):
        assert torch.equal(our, their)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "loss",
    [
        lambda distance: losses.TripletMarginLoss(margin=4, distance=distance),
        lambda distance: losses.ContrastiveLoss(1, 8, distance=distance),
        lambda distance: losses.NTXentLoss(temperature=2.0, distance=distance),
    ],
    ids=["triplet", "contrastive", "ntxent"],
)
def test_losses_learn_codes(loss: Any, exact: bool) -> None:
    generator = torch.Generator().manual_seed(11)
    centres = torch.randn(4, 12, generator=generator)
    labels = torch.arange(32) % 4
    x = centres[labels] + 1.2 * torch.randn(32, 12, generator=generator)
    layer = torch.nn.Linear(12, 16)
    torch.nn.init.normal_(layer.weight, std=0.3, generator=generator)
    torch.nn.init.zeros_(layer.bias)
    calculator = AccuracyCalculator(
        include=("mean_average_precision",),
        knn_func=HammingKNN(),
        kmeans_func=object(),
        device=torch.device("cpu"),
    )

    def measure() -> float:
        found = calculator.get_accuracy(layer(x).detach(), labels)["mean_average_precision"]
        return float(found)

    before = measure()
    step = torch.optim.Adam(layer.parameters(), lr=0.05)
    of = loss(HammingDistance(exact=exact))
    for _ in range(40):
        step.zero_grad()
        of(layer(x), labels).backward()
        step.step()
    assert before < 0.8
    assert measure() > before + 0.15


def test_stats_are_collected_when_asked_for() -> None:
    distance = HammingDistance(collect_stats=True)
    x = embeddings(1, 12)
    distance(x)
    assert distance.initial_avg_query_norm == pytest.approx(float(x.norm(dim=1).mean()))


X = embeddings(12, 10)
BAD_CALLS: dict[str, tuple[type[Exception], str, Any]] = {
    "whole numbers": (TypeError, r"^query: expected floats \[n, K\]; got torch.int64 \[10, 20\]",
                      lambda: HammingKNN()(X.long(), 1, X)),
    "a row": (TypeError, "^reference: expected floats", lambda: HammingKNN()(X, 1, X[0])),
    "nan": (ValueError, "^query: row 3, column 0 is NaN", lambda: HammingKNN()(X / 0, 1, X)),
    "width": (ValueError, r"^query: expected floats \[Q, 20\], as the references; got \[Q, 18\]",
              lambda: HammingKNN()(X[:, :18], 1, X)),
    "zero": (ValueError, "^k: expected a number >= 1; got 0", lambda: HammingKNN()(X, 0, X)),
    "too many": (ValueError, "^k: expected at most 10, for there are 10 references; got 11",
                 lambda: HammingKNN()(X, 11, X)),
    "too many others": (ValueError, "^k: expected at most 9, for there are 10 references; got 10",
                        lambda: HammingKNN()(X, 10, X, True)),
    "save": (ValueError, r"^save: expected train\(\) before", lambda: HammingKNN().save("x")),
    "beta": (ValueError, "^beta: expected a number > 0; got 0", lambda: HammingDistance(beta=0)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_errors(name: str) -> None:
    error, message, call = BAD_CALLS[name]
    with pytest.raises(error, match=message):
        call()


def test_added_embeddings_have_the_width_of_those_before() -> None:
    ours = HammingKNN()
    ours.train(X)
    with pytest.raises(ValueError, match=r"^embeddings: expected floats \[N, 20\]"):
        ours.add(X[:, :18])
    with pytest.raises(ValueError, match=r"^k: expected at most 10"):
        ours(X, 11)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    monkeypatch.delitem(sys.modules, "pytorch_metric_learning.distances")
    monkeypatch.delitem(sys.modules, HammingKNN.__module__)
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module(HammingKNN.__module__)
    assert str(caught.value) == (
        "the package pytorch_metric_learning is missing; "
        'pip install "hashcore-search[metric-learning]"'
    )
