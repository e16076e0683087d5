from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from hashcore import FormatError
from hashcore.data import CrossModalDataset
from hashcore.methods import BranchConfig, DRHCConfig, DTHConfig
from hashcore.ops import OPS, Ops
from hashcore.train import Hasher, TrainConfig, evaluate_hasher, fit
from hashcore.train import loop as loop_module
from hashcore.train.fit import carve

BRANCH = BranchConfig(hidden=(32,), pixel_channels=(8,), token_embedding=8, token_filters=8)
CONFIGS: dict[str, Any] = {
    "dth": DTHConfig(branch=dataclasses.replace(BRANCH, dropout=0.2)),
    "drhc": DRHCConfig(branch=dataclasses.replace(BRANCH, dropout=0.2), common=16),
}
QUICK = TrainConfig(epochs=4, batch_size=24, lr=5e-3, validation=0.2, progress=False)


def codes(hasher: Hasher, data: CrossModalDataset) -> tuple[bytes, bytes]:
    return hasher.encode_image(data.image).tobytes(), hasher.encode_text(data.text).tobytes()


def train(data: CrossModalDataset, method: str, **changes: Any) -> Hasher:
    return fit(data, method, 16, CONFIGS[method], dataclasses.replace(QUICK, **changes))


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize("kind", ["features", "scenes"])
def test_it_learns(method: str, kind: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(kind)
    hasher = train(data, method, epochs=8 if kind == "features" else 24)
    reports = evaluate_hasher(hasher, data)
    assert set(reports) == {"unseen", "encoded"}
    for protocol, directions in reports.items():
        for report in directions.values():
            assert report.map_tie_aware > 0.8
            assert report.protocol.database == protocol
    assert reports["encoded"]["image_to_text"].database == len(data.split.train)


@pytest.mark.parametrize("method", CONFIGS)
def test_the_same_seed_gives_the_same_codes(method: str, features: CrossModalDataset) -> None:
    first = codes(train(features, method), features)
    torch.rand(7)
    assert codes(train(features, method), features) == first
    assert codes(train(features, method, seed=1), features) != first


@pytest.mark.parametrize("method", ["midrm", "drhc", "dth", "gancmh", "dhsl", "dch_scr"])
@pytest.mark.parametrize("coded", ["outputs", "classes"])
def test_references_give_the_training_of_the_fused_ops(
    method: str, coded: Literal["outputs", "classes"], features: CrossModalDataset
) -> None:
    """Up to rounding, which Adam enlarges where a gradient is nothing else."""
    calls: list[str] = []
    counted = Ops(*(counting(op, calls) for op in OPS["reference"]))
    means: list[dict[str, float]] = []
    run_epoch = loop_module.Loop.epoch

    def watched(self: Any, epoch: int, on_step: Callable[[], None]) -> dict[str, float]:
        means.append(run_epoch(self, epoch, on_step))
        return means[-1]

    few = {"epochs": 1, "lr": 1e-4, "validation": 0.0, "selection": "last", "codes": coded}
    config = dataclasses.replace(QUICK, **few)  # type: ignore[arg-type]
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPS, "reference", counted)
        patch.setattr(loop_module.Loop, "epoch", watched)
        for ops in OPS:
            hasher = fit(features, method, 16, None, dataclasses.replace(config, ops=ops))
            assert bool(calls) == (ops == "reference")
            outputs.append(np.unpackbits(hasher.encode_image(features.image)))
    assert means[0] == pytest.approx(means[1], rel=1e-3, abs=1e-6)
    assert (outputs[0] == outputs[1]).mean() > 0.97


def counting(op: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def counted(*args: Any, **options: Any) -> Any:
        calls.append(op.__name__)
        return op(*args, **options)

    return counted


def test_the_callers_random_state_is_left_alone(features: CrossModalDataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(features, "dth", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_query_rows_are_never_read(features: CrossModalDataset) -> None:
    image, text, labels = features.image.copy(), features.text.copy(), features.labels.copy()
    query = features.split.query
    image[query], text[query], labels[query] = 1e6, -1e6, ~labels[query]
    other = dataclasses.replace(features, image=image, text=text, labels=labels)
    assert codes(train(other, "dth"), features) == codes(train(features, "dth"), features)


def test_carving_is_disjoint_complete_and_seeded() -> None:
    rows = np.arange(100, 200)
    fitted, held = carve(rows, 0.1, 3)
    assert (len(fitted), len(held)) == (90, 10)
    assert np.array_equal(np.sort(np.concatenate([fitted, held])), rows)
    assert np.array_equal(carve(rows, 0.1, 3)[1], held)
    assert not np.array_equal(carve(rows, 0.1, 4)[1], held)


def test_refit_equals_training_on_all_rows_for_the_chosen_epochs(
    features: CrossModalDataset,
) -> None:
    refitted = train(features, "dth")
    chosen = refitted.info["chosen"]
    scores = {epoch: sum(s.values()) for epoch, s in refitted.info["scores"].items()}
    assert chosen == max(scores, key=lambda epoch: scores[epoch])
    assert refitted.info["rows"] == len(features.split.train)
    if chosen == QUICK.epochs:
        straight = train(features, "dth", validation=0.0, selection="last")
        assert codes(straight, features) == codes(refitted, features)


def test_best_keeps_the_weights_of_the_chosen_epoch(
    features: CrossModalDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.1, 0.1, 0.9, 0.9, 0.5, 0.5, 0.4, 0.4])
    fake = dataclasses.make_dataclass("Fake", ["map_tie_aware"])
    monkeypatch.setattr("hashcore.metrics.evaluate", lambda *a, **k: fake(next(values)))
    kept: list[tuple[bytes, bytes]] = []
    real = loop_module.Loop.epoch

    def watched(self: Any, *args: Any) -> dict[str, float]:
        terms = real(self, *args)
        kept.append(codes(self.hasher, features))
        return terms

    monkeypatch.setattr(loop_module.Loop, "epoch", watched)
    hasher = train(features, "drhc", selection="best")
    assert hasher.info["chosen"] == 2
    assert codes(hasher, features) == kept[1]
    assert kept[1] != kept[3]


def test_patience_stops_choosing(
    features: CrossModalDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.9, 0.9] + [0.1] * 20)
    fake = dataclasses.make_dataclass("Fake", ["map_tie_aware"])
    monkeypatch.setattr("hashcore.metrics.evaluate", lambda *a, **k: fake(next(values)))
    hasher = train(features, "dth", epochs=9, patience=2)
    assert list(hasher.info["scores"]) == [1, 2, 3]
    assert hasher.info["epochs"] == 1


def test_amp_trains_in_bfloat16(features: CrossModalDataset) -> None:
    hasher = train(features, "dth", amp=True, epochs=8)
    plain = train(features, "dth", epochs=8)
    assert codes(hasher, features) != codes(plain, features)
    report = evaluate_hasher(hasher, features, ["unseen"])["unseen"]["image_to_text"]
    assert report.map_tie_aware > 0.8


def test_fewer_rows_than_a_batch(features: CrossModalDataset) -> None:
    hasher = train(features, "dth", batch_size=4096, epochs=1)
    assert hasher.encode_image(features.image).shape == (160, 2)


def test_a_loss_that_is_not_finite_is_named(features: CrossModalDataset) -> None:
    config = dataclasses.replace(CONFIGS["dth"], margin=float("inf"))
    with pytest.raises(FloatingPointError, match="epoch 1: loss term inter, intra is not finite"):
        fit(features, "dth", 16, config, QUICK)


def test_refused_arguments(features: CrossModalDataset) -> None:
    with pytest.raises(ValueError, match=r"method: expected one of \['dch_scr', 'dhsl'.*got 'dht'"):
        fit(features, "dht")
    with pytest.raises(TypeError, match="config: expected DTHConfig; got DRHCConfig"):
        fit(features, "dth", 16, DRHCConfig())
    with pytest.raises(ValueError, match="bits: expected >= 1; got 0"):
        fit(features, "dth", 0)
    with pytest.raises(ValueError, match="protocols: expected any of"):
        evaluate_hasher(train(features, "dth", epochs=1), features, ["seen"])  # type: ignore[list-item]
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device: cuda asked for"):
            train(features, "dth", device="cuda")


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"lr": 0.0},
        {"validation": 0.6},
        {"validation": 0.0},
        {"warmup": 1.0},
        {"resume": True},
        {"patience": -1},
    ],
)
def test_refused_train_configs(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        TrainConfig(**changes)


def test_a_directory_that_holds_a_checkpoint_is_not_overwritten(
    features: CrossModalDataset, tmp_path: Path
) -> None:
    train(features, "dth", epochs=1, checkpoint_dir=tmp_path)
    before = (tmp_path / "checkpoint.json").read_bytes()
    with pytest.raises(ValueError, match="holds a checkpoint already"):
        train(features, "dth", epochs=1, checkpoint_dir=tmp_path)
    assert (tmp_path / "checkpoint.json").read_bytes() == before


def test_resuming_another_run_names_the_difference(
    features: CrossModalDataset, tmp_path: Path
) -> None:
    train(features, "dth", epochs=1, checkpoint_dir=tmp_path)
    again: dict[str, Any] = {"checkpoint_dir": tmp_path, "resume": True, "epochs": 1}
    with pytest.raises(ValueError, match=r"another run: train.lr: checkpoint 0.005, now 0.01$"):
        train(features, "dth", lr=0.01, **again)
    config = dataclasses.replace(CONFIGS["dth"], margin=0.77)
    with pytest.raises(ValueError, match=r"config.margin: checkpoint 0.\d+, now 0.77$"):
        fit(features, "dth", 16, config, dataclasses.replace(QUICK, **again))
    with pytest.raises(ValueError, match="method: checkpoint dth, now drhc"):
        train(features, "drhc", **again)
    split = dataclasses.replace(features.split, train=features.split.train[:-1])
    with pytest.raises(ValueError, match=r"dataset.rows: .*; dataset.split: checkpoint [0-9a-f]+"):
        train(dataclasses.replace(features, split=split), "dth", **again)


def test_resuming_a_finished_run_gives_it_back(features: CrossModalDataset, tmp_path: Path) -> None:
    done = train(features, "dth", checkpoint_dir=tmp_path)
    again = train(features, "dth", checkpoint_dir=tmp_path, resume=True)
    assert codes(again, features) == codes(done, features)
    assert codes(Hasher.load(tmp_path), features) == codes(done, features)


def test_resuming_from_a_hasher_is_refused(features: CrossModalDataset, tmp_path: Path) -> None:
    train(features, "dth", epochs=1).save(tmp_path)
    with pytest.raises(FormatError, match="not a training's checkpoint"):
        train(features, "dth", epochs=1, checkpoint_dir=tmp_path, resume=True)


def test_no_pickle_in_a_checkpoint(features: CrossModalDataset, tmp_path: Path) -> None:
    train(features, "dth", epochs=1, checkpoint_dir=tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".safetensors"}
    meta = json.loads((tmp_path / "checkpoint.json").read_text())
    assert meta["versions"].keys() == {"hashcore", "torch", "numpy", "python"}
