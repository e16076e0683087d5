from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hashcore.methods import HCMSL, Batch, HCMSLConfig, hcmsl
from hashcore.train import TrainConfig, fit
from hashcore.train import loop as loop_module
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, SMALL, B, batch, begin, small
from train.synthetic import make_features

every_batch = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
every_output = pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])


def drawn(labels: Tensor, equal: bool) -> tuple[Tensor, Tensor]:
    rows = len(labels)
    if equal:
        return oracles.equal_outputs(rows), oracles.equal_outputs(rows)
    return outputs(1, rows) / 2, outputs(2, rows) / 2


def some(rows: int, seed: int) -> Tensor:
    """Which of the rows, at random."""
    return torch.from_numpy(np.random.default_rng(seed).random(rows) < 0.6)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of two rows; no gradient where they are equal."""
    return torch.zeros(()).to(a) if torch.equal(a, b) else (a - b).square().sum().sqrt()


@every_batch
@every_output
@pytest.mark.parametrize("exclude_self", [False, True])
def test_contrastive_loss(labels: Tensor, equal: bool, exclude_self: bool) -> None:
    rows, r, margin = len(labels), oracles.shared(labels), 2.0
    kept = some(rows, 3)
    known = kept[:, None] & kept
    if exclude_self:
        known = known & ~torch.eye(rows, dtype=torch.bool)

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        pairs = []
        for i, j in known.nonzero().tolist():
            d = distance(f[i], g[j])
            pairs.append(d**2 if r[i, j] > 0 else torch.clamp(margin - d, min=0) ** 2)
        return oracles.mean(pairs)

    def term(f: Tensor, g: Tensor) -> Tensor:
        similar = torch.from_numpy(r > 0)
        return hcmsl.contrastive_loss(hcmsl.distances(f, g), similar, known, margin)

    oracles.assert_equal(term, oracle, *drawn(labels, equal))


@every_batch
@every_output
@pytest.mark.parametrize("margin", [0.2, 1.5])
def test_pairing_loss(labels: Tensor, equal: bool, margin: float) -> None:
    count = len(labels)
    rows = some(count, 4)

    def oracle(f: Tensor, g: Tensor) -> Tensor:
        pulled, pushed = [], []
        for i in range(count):
            if not rows[i]:
                continue
            own = distance(f[i], g[i])
            pulled.append(own**2)
            farther = [distance(f[i], g[j]) for j in range(count) if i != j]
            pushed += [torch.clamp(margin + own - d, min=0) for d in farther]
        return oracles.mean(pulled) + oracles.mean(pushed)

    def term(f: Tensor, g: Tensor) -> Tensor:
        return hcmsl.pairing_loss(hcmsl.distances(f, g), rows, margin)

    oracles.assert_equal(term, oracle, *drawn(labels, equal))


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.2, 20), (0.505, 50), (1.0, 100)])
def test_labelled_rows_follow_from_their_number_and_the_seed(fraction: float, count: int) -> None:
    torch.manual_seed(1)
    first = hcmsl.labelled_rows(100, fraction, 0)
    torch.manual_seed(2)
    assert torch.equal(first, hcmsl.labelled_rows(100, fraction, 0))
    assert int(first.sum()) == count
    differs = not torch.equal(first, hcmsl.labelled_rows(100, fraction, 7))
    assert differs == (0 < count < 100)


def test_classes_of_unlabelled_rows_are_never_read() -> None:
    method, data = small("hcmsl", {"labeled_fraction": 0.5}, FEATURES), batch(FEATURES)
    assert isinstance(method, HCMSL)
    begin(method, data)
    kept = method.labelled
    assert int(kept.sum()) == B // 2
    straight = terms_and_gradient(method, data)
    other = torch.where(kept[:, None], data.labels, ~data.labels)
    assert torch.equal(terms_and_gradient(method, with_labels(data, other)), straight)
    other = torch.where(kept[:, None], ~data.labels, data.labels)
    assert not torch.equal(terms_and_gradient(method, with_labels(data, other)), straight)


def with_labels(data: Batch, labels: Tensor) -> Batch:
    return Batch(data.image, data.text, labels, data.rows)


def terms_and_gradient(method: HCMSL, data: Batch) -> Tensor:
    method.eval().zero_grad(set_to_none=True)
    terms = method.losses(data, "main")
    terms.total.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad.ravel() for p in method.parameters() if p.grad is not None]
    return torch.cat([*(value.view(1) for value in terms.detached().values()), *gradients])


def test_unlabelled_rows_still_learn_from_their_partners() -> None:
    method, data = small("hcmsl", {"labeled_fraction": 0.0}, FEATURES), batch(FEATURES)
    begin(method, data)
    values = method.losses(data, "main").detached()
    assert values["labelled"] == values["intra"] == 0
    assert values["unlabelled"] > 0


def test_which_rows_are_labelled_is_no_part_of_a_checkpoint() -> None:
    method = small("hcmsl", {}, FEATURES)
    method.begin_fit(B)
    assert "labelled" not in method.state_dict()


@pytest.mark.parametrize("shared", [True, False])
def test_weight_sharing(shared: bool) -> None:
    method = small("hcmsl", {"shared": shared}, FEATURES)
    assert isinstance(method, HCMSL)
    assert (method.image_common.linear is method.text_common.linear) == shared


def test_embeddings_have_length_one() -> None:
    method, data = small("hcmsl", {}, FEATURES), batch(FEATURES)
    for u in (method.encode_image(data.image), method.encode_text(data.text)):
        torch.testing.assert_close(u.norm(dim=1), torch.ones(B))


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"labeled_fraction: expected a fraction in \[0, 1\]"):
        HCMSLConfig(branch=SMALL, labeled_fraction=fraction)


def test_a_resumed_training_keeps_the_labelled_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, config = make_features(), HCMSLConfig(branch=SMALL, labeled_fraction=0.3)

    def train(directory: Path | None, *, resume: bool = False) -> np.ndarray:
        run = TrainConfig(
            epochs=3,
            batch_size=16,
            checkpoint_dir=directory,
            resume=resume,
            progress=False,
        )
        hasher = fit(data, "hcmsl", 16, config, run)
        return np.concatenate([hasher.encode_image(data.image), hasher.encode_text(data.text)])

    straight, real = train(None), loop_module.Loop.epoch

    def interrupted(self: loop_module.Loop, epoch: int, *args: object) -> dict[str, float]:
        if epoch == 1:
            raise KeyboardInterrupt
        return real(self, epoch, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(loop_module.Loop, "epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    assert np.array_equal(train(tmp_path, resume=True), straight)
