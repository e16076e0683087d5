from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hashcore import pack, pairwise
from hashcore.data import CrossModalDataset
from hashcore.methods import DRH, BranchConfig, DRHConfig, ProblemSpec, drh
from hashcore.train import Hasher, TrainConfig, fit
from hashcore.train import loop as loop_module
from methods import oracles
from methods.oracles import LABELS
from methods.problems import FEATURES, SCENES, SMALL, batch, begin, small
from train.synthetic import make_features

T = 3
every_batch = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
every_variant = pytest.mark.parametrize(
    "changes",
    [{"symbols": 3}, {"symbols": 4}, {"sequential": True}, {"sequential": True, "ranking": False}],
    ids=str,
)


def drawn_wrong(rows: int) -> Tensor:
    """Mistakes of T heads `[T, B, B]`: many, few, all."""
    uniform = np.random.default_rng(5).random((T, rows, rows))
    return torch.from_numpy(uniform < np.array([0.4, 0.2, 1.1])[:, None, None])


def first_oracle(labels: Tensor, balanced: bool) -> list[list[float]]:
    r = oracles.shared(labels)
    near, far = int((r > 0).sum()), int((r == 0).sum())
    if not balanced:
        return [[1 / r.size for _ in row] for row in r]
    sides = (near > 0) + (far > 0)
    return [[1 / (near if x > 0 else far) / sides for x in row] for row in r]


def boost_oracle(
    weights: list[list[float]], wrong: Tensor, shrinkage: float
) -> tuple[list[list[float]], float]:
    rows = range(len(weights))
    error = sum(weights[i][j] for i in rows for j in rows if wrong[i, j])
    alpha = 0.0
    if error < 0.5:
        alpha = 0.5 * shrinkage * math.log((1 - error) / max(error, drh.MIN_ERROR))
    raised = [
        [weights[i][j] * math.exp(alpha if wrong[i, j] else -alpha) for j in rows] for i in rows
    ]
    total = sum(map(sum, raised))
    return [[x / total for x in row] for row in raised], error


@every_batch
@pytest.mark.parametrize("balanced", [False, True])
def test_first_weights(labels: Tensor, balanced: bool) -> None:
    similar = torch.from_numpy(oracles.shared(labels) > 0)
    found = drh.first_weights(similar, balanced=balanced)
    np.testing.assert_allclose(found.numpy(), first_oracle(labels, balanced), rtol=1e-6)


@every_batch
@pytest.mark.parametrize("shrinkage", [1.0, 0.3])
def test_boosted_weights(labels: Tensor, shrinkage: float) -> None:
    wrong, current = drawn_wrong(len(labels)), first_oracle(labels, True)
    first = torch.tensor(current, dtype=torch.float64)
    weights, errors = drh.boosted_weights(wrong, first, shrinkage)
    for t in range(T):
        np.testing.assert_allclose(weights[t].numpy(), current, rtol=1e-12)
        current, error = boost_oracle(current, wrong[t], shrinkage)
        assert float(errors[t]) == pytest.approx(error, rel=1e-12, abs=1e-15)


def test_a_round_leaves_its_own_head_at_chance() -> None:
    wrong = drawn_wrong(40)[1]
    weights, error = drh.boost(torch.full((40, 40), 1 / 1600), wrong, 1.0)
    assert float(error) == pytest.approx(0.2, abs=0.03)
    assert float((weights * wrong).sum()) == pytest.approx(0.5, abs=1e-5)


def test_a_head_without_mistakes_leaves_the_weights_finite() -> None:
    first = torch.rand(6, 6)
    first /= first.sum()
    for wrong in (torch.zeros(6, 6, dtype=torch.bool), torch.ones(6, 6, dtype=torch.bool)):
        weights, error = drh.boost(first, wrong, 1.0)
        assert float(error) == pytest.approx(float(wrong[0, 0]))
        torch.testing.assert_close(weights, first)


@every_batch
@pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])
@pytest.mark.parametrize("symbols", [1, 2, 3], ids=["signs", "two symbols", "three symbols"])
def test_likelihood_of_agreements(labels: Tensor, equal: bool, symbols: int) -> None:
    rows, beta, delta = len(labels), 1.7, 0.01
    r = oracles.shared(labels)
    similar = torch.from_numpy(r > 0)
    first = torch.tensor(first_oracle(labels, True), dtype=torch.float64)
    weights, _ = drh.boosted_weights(drawn_wrong(rows), first, 1.0)

    def agree(a: Tensor, b: Tensor) -> Any:
        if symbols == 1:
            return 1 / (1 + torch.exp(-a[0] * b[0]))
        p, q = torch.exp(beta * a), torch.exp(beta * b)
        return (p / p.sum()) @ (q / q.sum())

    def oracle(x: Tensor, y: Tensor) -> Tensor:
        image, text = x.reshape(rows, T, symbols), y.reshape(rows, T, symbols)
        heads = []
        for t in range(T):
            terms = torch.zeros((), dtype=torch.float64)
            for i in range(rows):
                for j in range(rows):
                    a = delta + (1 - 2 * delta) * agree(image[i, t], text[j, t])
                    cost = -torch.log(a if r[i, j] > 0 else 1 - a)
                    terms = terms + weights[t, i, j] * cost
            heads.append(terms)
        return oracles.mean(heads)

    def term(x: Tensor, y: Tensor) -> Tensor:
        image, text = x.reshape(rows, T, symbols), y.reshape(rows, T, symbols)
        if symbols == 1:
            agreement = drh.sign_agreement(image, text)
        else:
            agreement = drh.symbol_agreement(image, text, beta)
        return drh.agreement_likelihood(agreement, similar, weights, delta)

    width = T * symbols
    drawn = oracles.outputs(1, rows, width), oracles.outputs(2, rows, width)
    if equal:
        drawn = oracles.equal_outputs(rows, width), oracles.equal_outputs(rows, width)
    oracles.assert_equal(term, oracle, *drawn)


@pytest.mark.parametrize("spec", [FEATURES, SCENES], ids=["features", "scenes"])
@every_variant
def test_losses_reach_every_parameter_of_a_phase(
    changes: Mapping[str, Any], spec: ProblemSpec
) -> None:
    method, data = small("drh", changes, spec), batch(spec)
    begin(method, data)
    for phase in method.phases():
        method.zero_grad(set_to_none=True)
        total = method.losses(data, phase.name).total
        total.backward()  # type: ignore[no-untyped-call]
        assert total.isfinite()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in phase.parameters)


@every_variant
def test_phases_hold_every_parameter_once(changes: Mapping[str, Any]) -> None:
    method = small("drh", changes, FEATURES)
    held = [id(p) for phase in method.phases() for p in phase.parameters]
    assert sorted(held) == sorted(id(p) for p in method.parameters())


@pytest.mark.parametrize(
    ("bits", "symbols", "heads", "stored"),
    [(64, 2, 64, 64), (64, 4, 32, 128), (64, 8, 21, 168), (10, 3, 6, 18), (1, 2, 1, 1)],
)
def test_bits_asked_for_are_what_a_code_says(
    bits: int, symbols: int, heads: int, stored: int
) -> None:
    spec = ProblemSpec(FEATURES.image, FEATURES.text, FEATURES.classes, bits)
    method = DRH(DRHConfig(branch=SMALL, symbols=symbols), spec)
    assert (method.heads, method.code_bits) == (heads, stored)
    assert method.information_bits == pytest.approx(heads * math.log2(symbols))
    assert method.information_bits <= bits


def test_configurations_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="symbols: expected >= 2; got 1"):
        DRHConfig(symbols=1)
    with pytest.raises(ValueError, match="expected 2 where ranking is off; got 4"):
        DRHConfig(symbols=4, ranking=False)
    with pytest.raises(ValueError, match=r"smoothing: expected in \[0, 0.5\); got 0.5"):
        DRHConfig(smoothing=0.5)
    spec = ProblemSpec(FEATURES.image, FEATURES.text, FEATURES.classes, 2)
    with pytest.raises(ValueError, match="expected at most 2 \\*\\* bits, 4; got 5"):
        DRH(DRHConfig(symbols=5), spec)


@pytest.mark.parametrize("symbols", [2, 3, 4])
@pytest.mark.parametrize("ties", [False, True])
def test_codes_are_argmax_symbols(symbols: int, ties: bool) -> None:
    method = small("drh", {"symbols": symbols, "normalise": False}, FEATURES)
    assert isinstance(method, DRH)
    method.eval()
    heads = method.image_heads
    if ties:  # the scores of the first two heads are equal, or equal and best
        with torch.no_grad():
            linear: Any = heads.parts[0][0]  # type: ignore[index]
            linear.weight[: 2 * symbols] = 0
            linear.bias[: 2 * symbols] = 0
            linear.bias[symbols] = -1
    data = batch(FEATURES)
    with torch.no_grad():
        symbol = heads(method.image_branch(data.image)).argmax(dim=2).numpy()  # [B, T]
        encoded = method.encode_image(data.image).numpy()
    bits = np.eye(symbols, dtype=np.uint8)[symbol].reshape(len(symbol), -1)
    if symbols == 2:
        bits = symbol.astype(np.uint8)
    codes = pack(encoded)
    assert codes.tolist() == np.packbits(bits, axis=1).tolist()
    mismatches = (symbol[:, None, :] != symbol[None, :, :]).sum(axis=2)
    distances = pairwise(codes, codes)
    assert distances.tolist() == (mismatches * (1 if symbols == 2 else 2)).tolist()


def test_the_softmax_sharpens_and_leaves_the_codes() -> None:
    method, data = small("drh", {"symbols": 3, "beta": 8.0}, FEATURES), batch(FEATURES)
    assert isinstance(method, DRH)
    method.eval()
    seen = []
    for epoch in range(4):
        begin(method, data, epoch)
        assert method.beta == pytest.approx(8.0 ** (epoch / 3))
        seen.append(method.encode_image(data.image))
    assert all(codes.equal(seen[0]) for codes in seen)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("symbols", [2, 3])
def test_heads_at_chance_start_anew_in_place(sequential: bool, symbols: int) -> None:
    changes = {"sequential": sequential, "symbols": symbols, "redraw_until": 0.5}
    method, data = small("drh", changes, FEATURES), batch(FEATURES)
    assert isinstance(method, DRH)
    heads = method.heads

    def weights() -> Tensor:
        parts: list[Any] = list(method.image_heads.parts)
        joined = torch.cat([torch.cat([p[0].weight, p[0].bias[:, None]], dim=1) for p in parts])
        return joined.detach().clone().reshape(heads, -1)

    before, held = weights(), [id(p) for p in method.parameters()]
    at_chance = torch.arange(heads) % 2 == 1
    method.error_sum.copy_(torch.where(at_chance, 5.1, 4.9))
    method.error_count.fill_(10)
    begin(method, data, epoch=1)
    changed = weights() != before  # [T, Kc (d + 1)]
    assert changed.all(dim=1).equal(at_chance)
    assert changed.any(dim=1).equal(at_chance)
    assert [id(p) for p in method.parameters()] == held
    assert not method.error_sum.any()
    assert not method.error_count.any()

    before = weights()
    method.error_sum.fill_(6)
    method.error_count.fill_(10)
    begin(method, data, epoch=2)  # of 4: no head starts anew so late
    assert weights().equal(before)


def test_an_epoch_sums_up_the_errors_of_each_head() -> None:
    method, data = small("drh", {}, FEATURES), batch(FEATURES)
    assert isinstance(method, DRH)
    begin(method, data)
    # Without dropout every pass over the batch gives the same symbols.
    branches = method.image_branch.eval(), method.text_branch.eval()
    for _ in range(2):
        method.losses(data, "main")
    image = method.image_heads(branches[0](data.image)).argmax(dim=2).T  # [T, B]
    text = method.text_heads(branches[1](data.text)).argmax(dim=2).T
    similar = torch.from_numpy(oracles.shared(data.labels) > 0)
    weights = first_oracle(data.labels, True)
    for t in range(method.heads):
        wrong = (image[t][:, None] == text[t][None, :]) != similar
        weights, error = boost_oracle(weights, wrong, method.config.shrinkage)
        assert float(method.error_sum[t]) == pytest.approx(2 * error, rel=1e-3)
    assert float(method.error_count) == 2


def test_heads_in_turn_see_the_mistakes_of_stepped_heads() -> None:
    method, data = small("drh", {"sequential": True}, FEATURES), batch(FEATURES)
    assert isinstance(method, DRH)
    begin(method, data)
    # Without dropout the features of the round are those that the test computes.
    branches = method.image_branch.eval(), method.text_branch.eval()
    phases = method.phases()
    assert [phase.name for phase in phases] == ["branches", *(f"head {t}" for t in range(10))]
    similar = torch.from_numpy(oracles.shared(data.labels) > 0)
    weights = first_oracle(data.labels, True)
    for t, phase in enumerate(phases[1:]):
        terms = method.losses(data, phase.name)
        with torch.no_grad():
            features = branches[0](data.image), branches[1](data.text)
        sides = zip((method.image_heads, method.text_heads), features, strict=True)
        image, text = (side.one(t, x) for side, x in sides)
        expected = drh.agreement_likelihood(
            drh.symbol_agreement(image, text, method.beta),
            similar,
            torch.tensor([weights]),
            method.config.smoothing,
        )
        torch.testing.assert_close(terms.total, expected, rtol=1e-4, atol=1e-6)
        method.zero_grad(set_to_none=True)
        terms.total.backward()  # type: ignore[no-untyped-call]
        own = {id(p) for p in phase.parameters}
        for parameter in method.parameters():
            assert (parameter.grad is not None) == (id(parameter) in own)
        with torch.no_grad():
            for parameter in phase.parameters:
                assert parameter.grad is not None
                parameter.sub_(5 * parameter.grad)
            sides = zip((method.image_heads, method.text_heads), features, strict=True)
            image, text = (side.one(t, x)[:, 0].argmax(dim=1) for side, x in sides)
        wrong = (image[:, None] == text[None, :]) != similar
        weights, _ = boost_oracle(weights, wrong, method.config.shrinkage)


@pytest.fixture
def hard() -> CrossModalDataset:
    """Labels that nothing tells: heads are at chance and start anew."""
    data = make_features()
    shuffled = np.random.default_rng(1).permutation(data.labels)
    return CrossModalDataset("hard", data.image, data.text, shuffled, data.split)


@pytest.mark.parametrize("sequential", [False, True])
def test_a_resumed_training_starts_the_same_heads_anew(
    sequential: bool, hard: CrossModalDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DRHConfig(branch=BranchConfig(hidden=(8,)), sequential=sequential, redraw_until=1.0)
    redrawn: list[int] = []
    real_redraw, real_epoch = drh.Heads.redraw, loop_module.Loop.epoch

    def redraw(self: drh.Heads, head: int) -> None:
        redrawn.append(head)
        real_redraw(self, head)

    def interrupted(self: loop_module.Loop, epoch: int, *args: Any) -> dict[str, float]:
        if epoch == 1:
            raise KeyboardInterrupt
        return real_epoch(self, epoch, *args)

    def train(directory: Path | None) -> Hasher:
        run = TrainConfig(
            epochs=3,
            batch_size=60,
            checkpoint_dir=directory,
            resume=directory is not None,
            progress=False,
            selection="last",
        )
        return fit(hard, "drh", 6, config, run)

    monkeypatch.setattr(drh.Heads, "redraw", redraw)
    straight = train(None)
    in_one_go = redrawn.copy()
    redrawn.clear()
    monkeypatch.setattr(loop_module.Loop, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.setattr(loop_module.Loop, "epoch", real_epoch)
    before = len(redrawn)
    resumed = train(tmp_path)
    assert redrawn == in_one_go
    assert len(redrawn) > before, "no head started anew after the resume"
    for name, tensor in straight.tensors().items():
        assert tensor.equal(resumed.tensors()[name]), name
