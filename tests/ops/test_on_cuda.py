"""The CUDA kernels against plain PyTorch: on a GPU, and everywhere by threads of the host."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from cuda_device import kernels_on_host
from hashcore import ops
from hashcore._gpu import why_no_cuda
from hashcore.ops import _library, _on_cuda
from hashcore.ops.relaxed_sign import Relaxation
from triplet_batches import MININGS, RULES, SIMILARITIES, Batch, draw, loss_and_gradients

GPUS = [pytest.param("gpu", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []


@pytest.fixture(params=["host", *GPUS])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where tensors are that the CUDA kernels compute with."""
    if request.param == "gpu":
        if (missing := why_no_cuda()) is not None:
            pytest.skip(missing)
        yield "cuda"
        return
    kernels = kernels_on_host()
    queue = _on_cuda._Queue(kernels, kernels.Stream(0, 0))
    monkeypatch.setattr(_on_cuda, "queue_for", lambda x: queue)
    for name, kernel in _library.KERNELS.items():
        monkeypatch.setitem(kernel, "cpu", getattr(_on_cuda, name))
    yield "cpu"


def agree(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def compare_triplets(batch: Batch, device: str, tolerance: float = 3e-5, **rule: Any) -> None:
    there = tuple(x.to(device) for x in batch)
    found = loss_and_gradients(ops.triplet_mining_loss, there, margin=0.3, **rule)  # type: ignore[arg-type]
    plain = ops.triplet_mining_loss_reference
    agree(found, loss_and_gradients(plain, there, margin=0.3, **rule), tolerance)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
def test_every_rule_of_triplets(rule: dict[str, Any], device: str) -> None:
    shapes = [(7, 9, 3), (20, 13, 2), (1, 5, 2), (5, 1, 2), (9, 12, 300), (3, 140, 4)]
    for seed, (a, c, classes) in enumerate(shapes):
        for single in (True, False):
            batch = draw(seed, a, c, classes, single=single, dtype=torch.float32)
            compare_triplets(batch, device, **rule)
    anchors, _, labels, _ = draw(0, 14, 14, 4, single=False, dtype=torch.float32)
    compare_triplets((anchors, anchors, labels, labels), device, exclude_self=True, **rule)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("graded", [False, True])
def test_more_candidates_than_threads(mining: str, graded: bool, device: str) -> None:
    batch = draw(1, 3, 1100, 6, single=not graded, dtype=torch.float32)
    compare_triplets(batch, device, mining=mining, graded=graded, similarity="sqeuclidean")


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("weighting", [None, "ndcg"])
def test_room_outside_of_shared_memory(
    mining: str, weighting: str | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHCORE_TEST_SHARED_MEMORY", "2100")
    batch = draw(2, 9, 40, 5, single=False, dtype=torch.float32)
    compare_triplets(batch, device, mining=mining, weighting=weighting)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_equal_rows_and_rows_of_one_kind(mining: str, similarity: str, device: str) -> None:
    """The first row wins, and there may be no triplet."""
    labels = torch.nn.functional.one_hot(torch.arange(6) % 2, 2).bool()
    rows = torch.full((6, 4), 0.5)
    for of_rows in (labels, labels | True, labels & False):
        batch = (rows, rows, of_rows, of_rows)
        compare_triplets(batch, device, mining=mining, similarity=similarity)


@pytest.mark.parametrize("mining", MININGS)
def test_blocks_of_rows(mining: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = draw(8, 20, 15, 4, single=False, dtype=torch.float32)
    monkeypatch.setattr("hashcore.ops._library._BLOCK_BYTES", 7 * 15 * 4)
    compare_triplets(batch, device, mining=mining, similarity="sqeuclidean")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("graded", [False, True])
def test_values_that_are_not_finite_show(
    value: float, mining: str, graded: bool, device: str
) -> None:
    batch = draw(11, 8, 8, 2, single=True, dtype=torch.float32)
    batch[1][3, 2] = value
    there = tuple(x.to(device) for x in batch)
    rule = {"margin": 0.3, "mining": mining, "graded": graded}
    loss, of_a, _ = loss_and_gradients(ops.triplet_mining_loss, there, **rule)  # type: ignore[arg-type]
    assert loss.isnan()
    assert of_a.isnan().any()


def bits_of(f: Callable[..., Tensor], batch: Batch, **rule: Any) -> list[bytes]:
    return [x.cpu().numpy().tobytes() for x in loss_and_gradients(f, batch, **rule)]


@pytest.mark.parametrize("rule", [{}, {"mining": "hard"}, {"weighting": "ndcg"}], ids=str)
@pytest.mark.parametrize("mining", ["all", "semi_hard"])
def test_every_run_gives_the_same_bits(rule: dict[str, Any], mining: str, device: str) -> None:
    """Whatever the order that threads come in, which on the host is another one each time."""
    batch = draw(7, 20, 30, 5, single=False, dtype=torch.float32)
    there: Any = tuple(x.to(device) for x in batch)
    rule = {"margin": 0.3, "mining": mining, "penalty": "logistic", **rule}
    first = bits_of(ops.triplet_mining_loss, there, **rule)
    for _ in range(3):
        assert bits_of(ops.triplet_mining_loss, there, **rule) == first


@pytest.mark.parametrize("shape", [(7, 9, 3), (33, 300, 70), (1, 1, 1), (0, 3, 2), (4, 0, 2)])
def test_pairwise_likelihood(shape: tuple[int, int, int], device: str) -> None:
    batch = draw(4, *shape, single=False, dtype=torch.float32)
    there: Any = tuple((3 * x if x.is_floating_point() else x).to(device) for x in batch)
    plain = ops.pairwise_likelihood_loss_reference
    found = loss_and_gradients(ops.pairwise_likelihood_loss, there, scale=0.7)
    agree(found, loss_and_gradients(plain, there, scale=0.7), 1e-5)


@pytest.mark.parametrize("relaxation", get_args(Relaxation))
@pytest.mark.parametrize("beta", [None, 1.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1), (7, 19), (33, 300), (100, 64), (0, 8)], ids=str)
def test_relaxed_sign(
    relaxation: Relaxation,
    beta: float | None,
    dtype: torch.dtype,
    shape: tuple[int, int],
    device: str,
) -> None:
    generator = torch.Generator().manual_seed(3)
    u = (2 * torch.randn(shape, dtype=dtype, generator=generator)).to(device)
    u.view(-1)[::7] = 1
    t = torch.where(torch.randn(shape, generator=generator) > 0, 1.0, -1.0).to(u)
    weights = torch.tensor([0.7, 0.3, 0.5, 0.2], dtype=dtype, device=device)

    def run(f: Callable[..., Any], targets: Tensor | None) -> tuple[Tensor, Tensor]:
        x = u.clone().requires_grad_()
        terms = torch.stack(list(f(x, targets, relaxation=relaxation, margin=0.8, beta=beta)))
        (terms * weights).sum().backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        return terms.detach(), x.grad

    def run_loss(
        f: Callable[..., Tensor], targets: Tensor | None, decorrelation_weight: float
    ) -> tuple[Tensor, Tensor]:
        x = u.clone().requires_grad_()
        rule = {"relaxation": relaxation, "beta": beta, "margin": 0.8}
        others = {"excess_weight": 0.3, "balance_weight": 0.2}
        loss = f(x, targets, **rule, **others, decorrelation_weight=decorrelation_weight)
        (3 * loss).backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        return loss.detach(), x.grad

    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    for targets in (None, t):
        found = run(ops.relaxed_sign_terms, targets)
        agree(found, run(ops.relaxed_sign_terms_reference, targets), tolerance)
        for weight in (0.0, 0.6):
            found = run_loss(ops.relaxed_sign_loss, targets, weight)
            plain = run_loss(ops.relaxed_sign_loss_reference, targets, weight)
            agree(found, plain, tolerance)


DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_pack_sign(dtype: torch.dtype, device: str) -> None:
    for rows, bits in itertools.product((0, 1, 33), (1, 7, 8, 9, 64, 65, 300)):
        x = torch.randn(rows, bits, generator=torch.Generator().manual_seed(bits))
        x.view(-1)[::5] = 0
        x.view(-1)[::11] = float("nan")
        there = x.to(dtype).to(device)
        assert torch.equal(ops.pack_sign(there), ops.pack_sign_reference(there))
    columns = torch.randn(9, 40).to(device)[:, 3:19]
    assert torch.equal(ops.pack_sign(columns), ops.pack_sign_reference(columns))


@pytest.mark.gpu
@pytest.mark.skipif(not GPUS, reason="needs a GPU")
def test_a_cuda_graph_holds_every_op() -> None:
    batch = [x.cuda() for x in draw(3, 40, 40, 6, single=False, dtype=torch.float32)]
    a, c, labels, other_labels = batch
    a.requires_grad_()

    def losses() -> tuple[Tensor, ...]:
        triplets = [
            ops.triplet_mining_loss(a, c, labels, other_labels, margin=0.3, **rule)  # type: ignore[arg-type]
            for rule in ({}, {"mining": "hard"}, {"mining": "semi_hard", "weighting": "ndcg"})
        ]
        likelihood = ops.pairwise_likelihood_loss(a, c, labels, other_labels)
        of_signs = ops.relaxed_sign_loss(a, beta=1.5, balance_weight=0.2, decorrelation_weight=0.3)
        balance = ops.relaxed_sign_terms(a, beta=1.5).balance
        loss = torch.stack([*triplets, likelihood, of_signs, balance])
        (of_a,) = torch.autograd.grad(loss.sum(), a)
        return loss.detach(), of_a, ops.pack_sign(a)

    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        losses()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        held = losses()
    with torch.no_grad():
        a.copy_(torch.randn_like(a))
    graph.replay()
    replayed = [x.clone() for x in held]
    for found, expected in zip(replayed, losses(), strict=True):
        assert torch.equal(found, expected)


def test_kernels_for_gpus_and_for_the_host_load_beside_each_other() -> None:
    built = pytest.importorskip("hashcore._cuda")
    on_host = kernels_on_host()
    assert built.Stream is not on_host.Stream
    for module in (built, on_host):
        module.Stream(0, 0)


def test_an_error_in_a_product_comes_through() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), _on_cuda._full_precision():
        raise RuntimeError("out of memory")


@pytest.mark.parametrize("way", ["allow_tf32", "fp32_precision"])
def test_products_are_of_full_precision(way: str) -> None:
    matmul: Any = torch.backends.cuda.matmul
    before = getattr(matmul, way)
    setattr(matmul, way, True if way == "allow_tf32" else "tf32")
    try:
        asked = getattr(matmul, way)
        with _on_cuda._full_precision():
            assert getattr(matmul, way) in (False, "ieee")
        assert getattr(matmul, way) == asked
        with (
            pytest.raises(RuntimeError, match="out of memory"),
            _on_cuda._full_precision(),
        ):
            raise RuntimeError("out of memory")
        assert getattr(matmul, way) == asked
    finally:
        setattr(matmul, way, before)
