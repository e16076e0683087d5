"""Codes of classes, networks apart for the database, and codes of labels, by the trainer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hashcore.data import CrossModalDataset
from hashcore.methods import BranchConfig, ClassCoded, DTHConfig
from hashcore.methods.class_codes import Classifier
from hashcore.train import Hasher, TrainConfig, evaluate_hasher, fit, loop, networks
from hashcore.train.evaluate import ProtocolName

CONFIG = DTHConfig(branch=BranchConfig(hidden=(32,), dropout=0.2))
APART = TrainConfig(
    epochs=6,
    batch_size=24,
    lr=5e-3,
    validation=0.2,
    progress=False,
    codes="classes",
    database="apart",
)
ENSEMBLE = dataclasses.replace(APART, ensemble=3, epochs=2)
KERNEL = dataclasses.replace(ENSEMBLE, kernel=0.5, validation=0.0, selection="last")
PROTOCOLS: tuple[ProtocolName, ...] = ("unseen", "encoded", "labelled")


def several_labels(data: CrossModalDataset) -> CrossModalDataset:
    labels = np.concatenate([data.labels, np.arange(len(data))[:, None] % 3 == 0], axis=1)
    return dataclasses.replace(data, labels=labels)


def every_code(hasher: Hasher, data: CrossModalDataset) -> list[bytes]:
    codes = [
        hasher.encode_image(data.image),
        hasher.encode_text(data.text),
        hasher.encode_query("image", data.image),
        hasher.encode_query("text", data.text, labelled=True),
        hasher.encode_database("image", data.image),
        hasher.encode_labels(data.labels),
    ]
    assert {code.shape for code in codes} == {(len(data), (hasher.bits + 7) // 8)}
    return [code.tobytes() for code in codes]


@pytest.mark.parametrize("labels", ["exclusive", "several"])
@pytest.mark.parametrize("codes", ["outputs", "classes"])
def test_it_learns(codes: str, labels: str, features: CrossModalDataset) -> None:
    data = features if labels == "exclusive" else several_labels(features)
    database = "apart" if codes == "classes" else "same"
    config = dataclasses.replace(APART, epochs=30, codes=codes, database=database)  # type: ignore[arg-type]
    reports = evaluate_hasher(fit(data, "dth", 16, CONFIG, config), data, PROTOCOLS)
    for protocol in PROTOCOLS:
        for report in reports[protocol].values():
            assert report.map_tie_aware > (0.8 if labels == "exclusive" else 0.65)
            assert report.protocol.database == protocol
    assert reports["labelled"]["text_to_image"].database == len(data.split.database)


def test_few_bits_do_not_narrow_the_networks(features: CrossModalDataset) -> None:
    config = dataclasses.replace(APART, epochs=1, selection="last", validation=0.0)
    few, many = (fit(features, "dth", bits, CONFIG, config).network for bits in (8, 64))
    assert (few.code_bits, many.code_bits) == (8, 64)
    widths = set()
    for network in (few, many):
        assert isinstance(network, ClassCoded)
        (member,) = network.members
        assert isinstance(member, Classifier)
        widths |= {member.method.code_bits, member.image_head.in_features}
    assert len(widths) == 1


def test_a_saved_hasher_gives_the_same_codes(features: CrossModalDataset, tmp_path: Path) -> None:
    plain = dataclasses.replace(APART, codes="outputs", database="same")
    for name, config in {"apart": APART, "plain": plain, "ensemble": KERNEL}.items():
        hasher = fit(features, "dth", 16, CONFIG, config)
        hasher.save(tmp_path / name)
        loaded = Hasher.load(tmp_path / name)
        assert every_code(loaded, features) == every_code(hasher, features)
        assert (loaded.database is None) == (config.database == "same")


def test_a_resumed_training_gives_the_same_codes(
    features: CrossModalDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = dataclasses.replace(APART, checkpoint_dir=tmp_path, selection="last", validation=0.0)
    kept = dataclasses.replace(kept, ensemble=2)
    whole = every_code(fit(features, "dth", 16, CONFIG, kept), features)
    real = loop.Loop.epoch
    for stop in (3, 9):  # in the first networks, and in those of the database
        calls = 0

        def interrupted(self: loop.Loop, *args: object, at: int = stop) -> object:
            nonlocal calls
            calls += 1
            if calls > at:
                raise KeyboardInterrupt
            return real(self, *args)  # type: ignore[arg-type]

        directory = tmp_path / str(stop)
        broken = dataclasses.replace(kept, checkpoint_dir=directory)
        monkeypatch.setattr(loop.Loop, "epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(features, "dth", 16, CONFIG, broken)
        monkeypatch.setattr(loop.Loop, "epoch", real)
        resumed = fit(features, "dth", 16, CONFIG, dataclasses.replace(broken, resume=True))
        assert every_code(resumed, features) == whole


def test_an_ensemble_has_networks_that_differ(features: CrossModalDataset) -> None:
    hasher = fit(features, "dth", 16, CONFIG, ENSEMBLE)
    assert isinstance(hasher.network, ClassCoded)
    assert hasher.database is not None
    assert isinstance(hasher.database.network, ClassCoded)
    assert (len(hasher.network.members), len(hasher.database.network.members)) == (3, 1)
    weights = [next(member.parameters()) for member in hasher.network.members]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_an_ensemble_and_the_networks_apart_have_the_same_codes_of_labels(
    features: CrossModalDataset,
) -> None:
    data = several_labels(features)  # whose codes are learned from a random start
    hasher = fit(data, "dth", 16, CONFIG, ENSEMBLE)
    assert hasher.database is not None
    codes = hasher.encode_labels(data.labels)
    assert codes.tobytes() == hasher.database.encode_labels(data.labels).tobytes()


def test_an_ensemble_needs_codes_of_classes() -> None:
    with pytest.raises(ValueError, match='ensemble 3 needs codes "classes"'):
        TrainConfig(ensemble=3)
    with pytest.raises(ValueError, match="ensemble: expected >= 1; got 0"):
        TrainConfig(ensemble=0)


def test_networks_apart_need_codes_of_classes() -> None:
    with pytest.raises(ValueError, match='database "apart" needs codes "classes"'):
        TrainConfig(database="apart")


def weights_of(hasher: Hasher) -> list[torch.Tensor]:
    assert isinstance(hasher.network, ClassCoded)
    return list(hasher.network.members.parameters())


def test_kernels_leave_the_networks_as_they_are(features: CrossModalDataset) -> None:
    without = fit(features, "dth", 16, CONFIG, dataclasses.replace(KERNEL, kernel=0.0))
    hasher = fit(features, "dth", 16, CONFIG, KERNEL)
    for own, same in zip(weights_of(hasher), weights_of(without), strict=True):
        assert torch.equal(own, same)
    assert isinstance(hasher.network, ClassCoded)
    assert hasher.network.kernels is not None
    assert len(hasher.network.kernels.image.rows) == len(features.split.train)
    assert hasher.database is not None
    assert isinstance(hasher.database.network, ClassCoded)
    assert hasher.database.network.kernels is None


def test_kernels_alone_know_the_classes(features: CrossModalDataset) -> None:
    alone = dataclasses.replace(KERNEL, kernel=1.0, ensemble=1, epochs=1, database="same")
    reports = evaluate_hasher(fit(features, "dth", 16, CONFIG, alone), features, PROTOCOLS)
    for protocol in PROTOCOLS:
        assert min(report.map_tie_aware for report in reports[protocol].values()) > 0.8


def test_of_many_rows_kernels_take_some(
    features: CrossModalDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "MOST_ROWS", 20)
    hasher = fit(features, "dth", 16, CONFIG, dataclasses.replace(KERNEL, epochs=1))
    assert isinstance(hasher.network, ClassCoded)
    assert hasher.network.kernels is not None
    train = hasher.prepare("image", features.image[features.split.train]).tolist()
    rows = hasher.network.kernels.image.rows.tolist()
    assert len(rows) == 20
    assert all(row in train for row in rows)


def test_kernels_are_checked(features: CrossModalDataset, scenes: CrossModalDataset) -> None:
    with pytest.raises(ValueError, match=r'kernel 0.5 needs codes "classes"'):
        TrainConfig(kernel=0.5)
    for name, value in {"kernel": 1.5, "kernel_steepness": 0.0, "kernel_ridge": 0.0}.items():
        with pytest.raises(ValueError, match=f"{name}: expected .*; got {value}"):
            TrainConfig(codes="classes", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kernel: expected features; image has pixels"):
        fit(scenes, "dth", 8, None, dataclasses.replace(KERNEL, epochs=1))


def test_labels_are_checked(features: CrossModalDataset) -> None:
    hasher = fit(features, "dth", 8, CONFIG, dataclasses.replace(APART, epochs=1))
    with pytest.raises(ValueError, match=r"labels: expected bool \[n, 5\]"):
        hasher.encode_labels(np.zeros((3, 4), dtype=bool))
    with pytest.raises(ValueError, match=r"labels: expected bool \[n, 5\]"):
        hasher.encode_labels(np.zeros((3, 5)))  # type: ignore[arg-type]
