"""Kill a training in the middle, go on, and get the codes of a run that was left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hashcore.data import CrossModalDataset
from hashcore.methods import BranchConfig, DTHConfig
from hashcore.train import Hasher, TrainConfig, checkpoint, fit
from hashcore.train import loop as loop_module
from train.synthetic import make_features

CHILD = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {folder!r})
torch.set_num_threads(1)
from train.synthetic import make_features
from train.test_resume import CONFIG, quick
from hashcore.train import fit
print("started", flush=True)
fit(make_features(rows=400), "dth", 16, CONFIG, quick({epochs}, Path({directory!r})))
"""
CONFIG = DTHConfig(branch=BranchConfig(hidden=(16,), dropout=0.3))


def quick(epochs: int, directory: Path | None, *, resume: bool = False) -> TrainConfig:
    return TrainConfig(
        epochs=epochs,
        batch_size=16,
        validation=0.1,
        checkpoint_dir=directory,
        resume=resume,
        progress=False,
    )


def course(directory: Path) -> tuple[str, int]:
    meta = json.loads((directory / "checkpoint.json").read_text())
    return meta["course"]["stage"], meta["course"]["epoch"]


def wait_for(child: subprocess.Popen[str], directory: Path, at: tuple[str, int]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        if (directory / "checkpoint.json").is_file():
            stage, epoch = course(directory)
            if (stage, epoch) >= at if stage == at[0] else stage == "final":
                return
        assert not ended, "the training ended before it could be killed"
        time.sleep(0.005)
    pytest.fail(f"no checkpoint at {at} in time")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    code = CHILD.format(
        folder=str(Path(__file__).parents[1]), epochs=6, directory=str(tmp_path / "c")
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def left_alone() -> tuple[CrossModalDataset, Hasher]:
    data = make_features(rows=400)
    torch.set_num_threads(1)
    return data, fit(data, "dth", 16, CONFIG, quick(6, None))


def check_resumed(directory: Path, left_alone: tuple[CrossModalDataset, Hasher]) -> None:
    data, straight = left_alone
    resumed = fit(data, "dth", 16, CONFIG, quick(6, directory, resume=True))
    assert (resumed.encode_image(data.image) == straight.encode_image(data.image)).all()
    assert (resumed.encode_text(data.text) == straight.encode_text(data.text)).all()
    assert resumed.info["scores"] == straight.info["scores"]
    assert resumed.info["losses"] == straight.info["losses"]
    assert all(straight.info["losses"].values())


@pytest.mark.parametrize("at", [("choose", 2), ("final", 1)], ids=["choosing", "refitting"])
def test_a_killed_training_goes_on(
    child: subprocess.Popen[str],
    tmp_path: Path,
    at: tuple[str, int],
    left_alone: tuple[CrossModalDataset, Hasher],
) -> None:
    wait_for(child, tmp_path / "c", at)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    stage, epoch = course(tmp_path / "c")
    assert (stage == at[0] and epoch >= at[1]) or stage == "final"
    check_resumed(tmp_path / "c", left_alone)


def test_control_c_leaves_a_checkpoint_and_one_line(
    child: subprocess.Popen[str],
    tmp_path: Path,
    left_alone: tuple[CrossModalDataset, Hasher],
) -> None:
    wait_for(child, tmp_path / "c", ("choose", 1))
    os.kill(child.pid, signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode in (1, 130, -signal.SIGINT)
    (line,) = [line for line in stderr.splitlines() if line.startswith("interrupted")]
    assert str(tmp_path / "c") in line
    check_resumed(tmp_path / "c", left_alone)


def test_an_interrupt_as_the_checkpoint_is_complete_tells_of_it(
    features: CrossModalDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    real = checkpoint.write

    def interrupted(*args: Any) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(features, "dth", 16, CONFIG, quick(4, tmp_path))
    assert course(tmp_path) == ("choose", 1)
    assert "interrupted: epoch 1 of 4" in capfd.readouterr().err


def test_an_interrupt_inside_an_epoch_loses_that_epoch_only(
    features: CrossModalDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    real = loop_module.Loop.epoch

    def interrupted(self: loop_module.Loop, epoch: int, *args: object) -> dict[str, float]:
        if epoch == 2:
            raise KeyboardInterrupt
        return real(self, epoch, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop_module.Loop, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(features, "dth", 16, CONFIG, quick(4, tmp_path))
    assert course(tmp_path) == ("choose", 2)
    assert capfd.readouterr().err.strip() == (
        f"interrupted: epoch 2 of 4, choosing the epochs, is kept in {tmp_path}; "
        "resume goes on from there"
    )
