"""What a run depends on is what it is kept under."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashcore.data import CrossModalDataset, Split, load
from hashcore.experiments.measure import Outcome
from hashcore.experiments.plan import Run
from hashcore.experiments.spec import read
from hashcore.experiments.store import Store, digest, fingerprint, settings

OUTCOME = Outcome({"unseen": {"image_to_text": {"map": 0.1}}}, {}, 3, 1.5, 0.1, 60, "abc")


@pytest.fixture
def run(tiny: Path) -> Run:
    return next(run for _, run in read(tiny).runs(["dth"]))


def test_an_outcome_comes_back(run: Run, tmp_path: Path) -> None:
    store, own = Store(tmp_path / "a" / "b"), settings(run, "data")
    assert store.read(own) is None
    store.write(own, OUTCOME)
    assert store.read(own) == OUTCOME
    store.write(own, replace(OUTCOME, epochs=4))
    assert store.read(own) == replace(OUTCOME, epochs=4)
    assert [file.name for file in store.folder.iterdir()] == [f"{digest(own)}.json"]


def test_every_setting_counts(run: Run) -> None:
    config, train = run.config, run.train
    others: list[dict[str, Any]] = [
        {"bits": 9},
        {"method": "drhc"},
        {"cosine": True},
        {"protocols": ("unseen",)},
        {"config": replace(config, margin=0.2)},
        {"config": replace(config, branch=replace(config.branch, dropout=0.3))},
        {"train": replace(train, lr=2e-3)},
        {"train": replace(train, seed=1)},
    ]
    changed = [settings(replace(run, **other), "data") for other in others]
    digests = {digest(s) for s in [settings(run, "data"), settings(run, "other"), *changed]}
    assert len(digests) == len(others) + 2


def test_where_and_how_visibly_it_runs_does_not_count(run: Run) -> None:
    train = replace(run.train, progress=True, device="cuda", checkpoint_dir=Path("x"))
    moved = replace(run, train=train, data=replace(run.data, name="other", path="elsewhere"))
    assert settings(moved, "data") == settings(run, "data")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"format": "x"}', b"\xff"])
def test_a_damaged_file_is_no_outcome(run: Run, tmp_path: Path, content: bytes) -> None:
    store, own = Store(tmp_path), settings(run, "data")
    store.write(own, OUTCOME)
    (tmp_path / f"{digest(own)}.json").write_bytes(content)
    assert store.read(own) is None


def test_a_fingerprint_tells_data_apart() -> None:
    data = load("shapes", pairs=60)
    same = load("shapes", pairs=60)
    image, labels = data.image.copy(), data.labels.copy()
    image[0, 0, 0, 0] ^= 1
    labels[5, 0] ^= True
    split = Split(data.split.train[1:], data.split.query, data.split.database)
    parts: list[CrossModalDataset] = [
        data,
        replace(data, image=image),
        replace(data, labels=labels),
        replace(data, split=split),
        replace(data, text=np.roll(data.text, 1, axis=0)),
    ]
    assert fingerprint(same) == fingerprint(data)
    assert len({fingerprint(part) for part in parts}) == len(parts)
