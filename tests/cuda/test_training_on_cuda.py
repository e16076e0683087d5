"""A training on a GPU validates there: the scores of the CPU, without codes or labels leaving."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from gpu_doubles import OnGpu, as_tensor
from hashcore import metrics, ops
from hashcore.methods import BranchConfig, DTHConfig
from hashcore.train import Hasher, TrainConfig, fit, validate
from hashcore.train.fit import carve
from hashcore.train.loop import TrainingRows
from hashcore.train.rows import Rows
from reference import random_codes
from train.synthetic import make_features

CONFIG = DTHConfig(branch=BranchConfig(hidden=(32,)))
QUICK = TrainConfig(
    epochs=2, batch_size=24, lr=5e-3, validation=0.3, selection="last", progress=False, device="cpu"
)


def trained(**changes: Any) -> Hasher:
    return fit(make_features(), "dth", 20, CONFIG, dataclasses.replace(QUICK, **changes))


@pytest.fixture
def as_on_gpu(pretend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network on the CPU gives counts as given by one on a GPU."""
    monkeypatch.setattr(validate, "_stays_on_gpu", lambda hasher: True)
    monkeypatch.setattr(validate, "pack_sign", lambda x: ops.pack_sign(x).as_subclass(OnGpu))


@pytest.mark.parametrize("protocol", ["unseen", "encoded"])
def test_the_scores_of_the_cpu(protocol: str, request: pytest.FixtureRequest) -> None:
    expected = trained(selection_protocol=protocol)
    request.getfixturevalue("as_on_gpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "evaluate", lambda *arrays, **options: pytest.fail("on the CPU"))
        found = trained(selection_protocol=protocol)
    assert found.info["scores"].keys() == {1, 2}
    for epoch, scores in expected.info["scores"].items():
        assert found.info["scores"][epoch] == pytest.approx(scores, rel=1e-12)
    data = make_features()
    assert np.array_equal(found.encode_image(data.image), expected.encode_image(data.image))


@pytest.mark.usefixtures("as_on_gpu")
def test_many_queries_are_evaluated_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, codes = random_codes(rng, 30, 20), random_codes(rng, 100, 20)
    labels = rng.random((130, 4)) < 0.3
    monkeypatch.setattr(validate, "ROWS", 7)
    found = validate._map(
        as_tensor(queries), as_tensor(codes), *map(as_tensor, (labels[:30], labels[30:])), bits=20
    )
    report = metrics.evaluate(queries, codes, labels[:30], labels[30:], bits=20)
    assert float(found) == pytest.approx(report.map_tie_aware, rel=1e-12)


def test_what_is_no_number_has_no_code(request: pytest.FixtureRequest) -> None:
    hasher, data = trained(epochs=1), make_features()
    hasher.set_thresholds(torch.zeros(20), torch.full((20,), torch.nan))
    rows = np.arange(40)
    held = TrainingRows(Rows(data.image, rows), Rows(data.text, rows), data.labels[rows])
    for _ in range(2):
        with pytest.raises(ValueError, match="NaN, which has no sign"):
            validate.validation_scores(hasher, held, held)
        request.getfixturevalue("as_on_gpu")


def test_the_cpu_validates_where_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = trained(epochs=1, validation=0.0)
    assert not validate._stays_on_gpu(hasher)
    monkeypatch.setattr(Hasher, "device", torch.device("cuda"))
    monkeypatch.setattr(validate, "why_no_cuda", lambda: None)
    assert validate._stays_on_gpu(hasher)
    monkeypatch.setattr(validate, "why_no_cuda", lambda: "no driver")
    assert not validate._stays_on_gpu(hasher)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs PyTorch with a GPU")
def test_on_a_gpu() -> None:
    """The last epoch's scores are those of the codes that the hasher gives."""
    hasher, data = trained(device="cuda", selection_protocol="unseen"), make_features()
    assert validate._stays_on_gpu(hasher)
    held = carve(data.split.train, QUICK.validation, QUICK.seed)[1]
    codes = hasher.encode_image(data.image[held]), hasher.encode_text(data.text[held])
    labels = data.labels[held]
    for direction, queries, database in (("I->T", *codes), ("T->I", *codes[::-1])):
        report = metrics.evaluate(queries, database, labels, labels, bits=20)
        assert hasher.info["scores"][2][direction] == pytest.approx(report.map_tie_aware, rel=1e-12)
