from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hashcore.methods import GANCMH, Batch, BranchConfig, GANCMHConfig, InputSpec, gancmh
from hashcore.methods.branches import hidden_layers
from hashcore.train import TrainConfig, fit
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, SCENES, B, batch, begin, small
from train.synthetic import make_features

every_batch = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
every_output = pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])


def built(**changes: Any) -> GANCMH:
    method = small("gancmh", {"common": 20, "judge": 15, **changes}, FEATURES)
    assert isinstance(method, GANCMH)
    return method


def drawn(count: int, rows: int, width: int, equal: bool) -> list[Tensor]:
    if equal:
        return [oracles.equal_outputs(rows, width)] * count
    return [outputs(seed, rows, width) for seed in range(1, count + 1)]


def real(logit: Tensor) -> Tensor:
    """-ln s(logit)."""
    return torch.log(1 + torch.exp(-logit))


def fake(logit: Tensor) -> Tensor:
    """-ln(1 - s(logit))."""
    return -torch.log(1 - 1 / (1 + torch.exp(-logit)))


@every_output
@pytest.mark.parametrize("rows", [1, 5])
def test_adversarial_losses(rows: int, equal: bool) -> None:
    logits = [x[:, 0] for x in drawn(3, rows, 1, equal)]

    def judged(a: Tensor, b: Tensor) -> Tensor:
        return oracles.mean([real(x) for x in a]) + oracles.mean([fake(x) for x in b])

    oracles.assert_equal(gancmh.told_apart, judged, *logits[:2])
    oracles.assert_equal(gancmh.deceived, lambda a: oracles.mean([real(x) for x in a]), logits[0])
    for has_wrong in (torch.arange(rows) % 2 == 0, torch.zeros(rows, dtype=torch.bool)):

        def pairs(own: Tensor, other: Tensor, wrong: Tensor, has: Tensor = has_wrong) -> Tensor:
            fakes = oracles.mean([fake(x) for x, valid in zip(wrong, has, strict=True) if valid])
            fakes = (oracles.mean([fake(x) for x in other]) + fakes) / 2
            return oracles.mean([real(x) for x in own]) + fakes

        oracles.assert_equal(
            lambda a, b, c, has=has_wrong: gancmh.told_pairs_apart(a, b, c, has), pairs, *logits
        )


def test_adversarial_losses_survive_sure_discriminators() -> None:
    sure = torch.tensor([900.0])
    assert float(gancmh.told_apart(sure, -sure)) == 0.0
    assert float(gancmh.told_apart(-sure, sure)) == 1800.0
    assert float(gancmh.deceived(-sure)) == 900.0


@every_batch
@every_output
def test_classification_loss(labels: Tensor, equal: bool) -> None:
    rows, classes = labels.shape
    single = all(sum(row) == 1 for row in labels.numpy())

    def oracle(logits: Tensor) -> Tensor:
        costs = []
        for row, label in zip(logits, labels, strict=True):
            if single:
                total = torch.stack([torch.exp(x) for x in row]).sum()
                costs.append(-torch.log(torch.exp(row[int(label.int().argmax())]) / total))
            else:
                costs += [real(x) if y else fake(x) for x, y in zip(row, label, strict=True)]
        return oracles.mean(costs)

    (logits,) = drawn(1, rows, classes, equal)
    oracles.assert_equal(lambda x: gancmh.classification_loss(x, labels), oracle, logits)


def test_single_labels_are_told_by_softmax_and_several_by_sigmoids() -> None:
    logits = torch.tensor([[100.0, 100.0]])
    one, two = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    assert float(gancmh.classification_loss(logits, one)) == pytest.approx(np.log(2))
    assert float(gancmh.classification_loss(logits, two)) == pytest.approx(0)


@every_batch
def test_wrong_rows(labels: Tensor) -> None:
    r, rows = oracles.shared(labels), len(labels)
    found, valid = gancmh.wrong_rows(torch.from_numpy(r > 0))
    for i in range(rows):
        after = [(i + step) % rows for step in range(1, rows)]
        dissimilar = [j for j in after if r[i, j] == 0]
        assert bool(valid[i]) == bool(dissimilar)
        if dissimilar:
            assert int(found[i]) == dissimilar[0]


def test_bag_of_words() -> None:
    tokens = torch.tensor([[3, 1, 3, 0], [0, 0, 0, 0], [5, 9, 0, 0]])
    bag = gancmh.bag_of_words(tokens, 9)
    assert (bag > 0).int().tolist() == [
        [1, 0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0, 1],
    ]
    assert bag.square().mean(dim=1).tolist() == pytest.approx([1, 0, 1])
    folded = gancmh.bag_of_words(tokens, 4)  # words 1, 5 and 9 share a bucket
    assert (folded > 0).int().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_originals() -> None:
    config = GANCMHConfig(picture_side=4, word_buckets=6)
    features = torch.randn(2, 9)
    assert gancmh.Original(InputSpec("features", (9,)), config)(features) is features
    pixels = torch.randn(2, 3, 8, 2)
    picture = gancmh.Original(InputSpec("pixels", (3, 8, 2)), config)
    assert picture.width == 3 * 4 * 2
    halves = torch.stack([pixels[:, :, 2 * y : 2 * y + 2].mean(dim=2) for y in range(4)], dim=2)
    torch.testing.assert_close(picture(pixels), halves.flatten(1))
    few, many = (gancmh.Original(InputSpec("tokens", (4,), size), config) for size in (5, 100))
    assert (few.width, many.width) == (4, 6)


def logits_of(method: GANCMH, name: str, common: Tensor, original: Tensor) -> Tensor:
    rows = torch.cat([common, original])[None] if "inter" in name else original[None]
    out: Tensor = method.discriminators[name](rows)
    return out.squeeze()


@torch.no_grad()
def test_who_is_real_to_the_discriminators() -> None:
    method, data = built(), batch(FEATURES)
    method.eval()
    image, text = method.generate(data)
    terms = method.losses(data, "discriminators").detached()
    r, expected = oracles.shared(data.labels), {"inter judged": 0.0, "intra judged": 0.0}
    for name, own, other in (("image", image, text), ("text", text, image)):
        costs: dict[str, list[Tensor]] = {key: [] for key in ("own", "other", "wrong", "x", "x~")}
        for i in range(B):
            judge = "inter_" + name
            x = own.original[i]
            costs["own"].append(real(logits_of(method, judge, own.common[i], x)))
            costs["other"].append(fake(logits_of(method, judge, other.common[i], x)))
            after = [(i + step) % B for step in range(1, B)]
            dissimilar = [j for j in after if r[i, j] == 0]
            for j in dissimilar[:1]:
                costs["wrong"].append(fake(logits_of(method, judge, own.common[j], x)))
            judge = "intra_" + name
            costs["x"].append(real(logits_of(method, judge, x, x)))
            costs["x~"].append(fake(logits_of(method, judge, x, own.rebuilt[i])))
        mean = {key: float(torch.stack(values).mean()) for key, values in costs.items()}
        expected["inter judged"] += mean["own"] + (mean["other"] + mean["wrong"]) / 2
        expected["intra judged"] += mean["x"] + mean["x~"]
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(
        expected, rel=1e-5
    )


@torch.no_grad()
def test_what_the_generators_pass_off_as_real() -> None:
    method, data = built(), batch(FEATURES)
    method.eval()
    image, text = method.generate(data)
    terms = method.losses(data, "generators").detached()
    inter, intra, error = [], [], []
    for i in range(B):
        for name, own, other in (("image", image, text), ("text", text, image)):
            x = own.original[i]
            inter.append(real(logits_of(method, "inter_" + name, other.common[i], x)))
            intra.append(real(logits_of(method, "intra_" + name, x, own.rebuilt[i])))
            error.append((x - own.rebuilt[i]).square().mean())
    for name, costs in (
        ("inter fooled", inter),
        ("intra fooled", intra),
        ("reconstruction", error),
    ):
        assert float(terms[name]) == pytest.approx(2 * float(torch.stack(costs).mean()), rel=1e-5)


@torch.no_grad()
def test_codes_are_learned_from_pairs_between_and_inside_modalities() -> None:
    method, data = built(scale=0.3), batch(FEATURES)
    method.eval()
    u, v = method.encode_image(data.image), method.encode_text(data.text)
    terms = method.losses(data, "generators").detached()
    r = oracles.shared(data.labels)

    def pairs(a: Tensor, b: Tensor) -> float:
        theta = 0.3 * (a @ b.T)
        cost = torch.log1p(torch.exp(theta)) - torch.from_numpy(r > 0) * theta
        return float(cost.mean())

    assert float(terms["inter"]) == pytest.approx(pairs(u, v), rel=1e-5)
    assert float(terms["intra"]) == pytest.approx(pairs(u, u) + pairs(v, v), rel=1e-5)
    gaps = [float(((1 - x.abs()) ** 2).mean()) for x in (u, v)]
    assert float(terms["quantisation"]) == pytest.approx(sum(gaps), rel=1e-5)


@pytest.mark.parametrize("spec", [FEATURES, SCENES], ids=["features", "scenes"])
def test_neither_side_works_out_gradients_of_the_other(spec: Any) -> None:
    method, data = small("gancmh", {}, spec), batch(spec)
    begin(method, data)
    phases = method.phases()
    assert [(phase.name, phase.every) for phase in phases] == [
        ("generators", 1),
        ("discriminators", 5),
    ]
    assert all(phase.betas == (0.5, 0.999) for phase in phases)
    for phase in phases:
        method.zero_grad(set_to_none=True)
        method.losses(data, phase.name).total.backward()  # type: ignore[no-untyped-call]
        own = {id(p) for p in phase.parameters}
        for name, parameter in method.named_parameters():
            assert (parameter.grad is not None) == (id(parameter) in own), name


def test_without_adversaries_there_is_one_optimiser_and_no_discriminator() -> None:
    method = built(inter_adversary=0.0, intra_adversary=0.0, reconstruction=0.0)
    (phase,) = method.phases()
    assert phase.name == "generators"
    assert not method.discriminators
    assert method.image.decoder is None


@pytest.mark.parametrize("leak", [0.0, 0.2])
def test_hidden_layers_leak_below_zero(leak: float) -> None:
    layers = hidden_layers((1, 1), 0.0, leak).eval()
    with torch.no_grad():
        next(layers.parameters()).fill_(1)
        found = layers(torch.tensor([[2.0], [-2.0]])).ravel().tolist()
    assert found == pytest.approx([2, -2 * leak], rel=1e-4)


def test_the_second_layer_and_the_hash_layer_are_shared() -> None:
    method, data = built(), batch(FEATURES)
    before = method.eval().encode_image(data.image), method.encode_text(data.text)
    for layer in (method.shared, method.hash):
        with torch.no_grad():
            layer.weight.mul_(-1)
        after = method.encode_image(data.image), method.encode_text(data.text)
        assert all((x != y).any() for x, y in zip(before, after, strict=True))
        before = after


def test_five_generator_steps_a_discriminator_step(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    losses = GANCMH.losses

    def counted(self: GANCMH, data: Batch, phase: str) -> Any:
        steps.append(phase)
        return losses(self, data, phase)

    monkeypatch.setattr(GANCMH, "losses", counted)
    config = GANCMHConfig(branch=BranchConfig(hidden=(8,)), common=8, judge=8)
    run = TrainConfig(epochs=2, batch_size=12, progress=False, selection="last", validation=0)
    fit(make_features(), "gancmh", 8, config, run)  # 120 rows: ten batches an epoch
    turn = ["generators", "discriminators", *["generators"] * 4]
    assert steps == 4 * turn
