"""Ctrl-C in a training that runs, and going on from there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hashcore import cli
from hashcore.train.loop import Loop

_PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from hashcore.cli import main; sys.exit(main(sys.argv[1:]))"
)


def test_ctrl_c_is_said_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = ["train", "--data", "shapes", "--pairs", "120", "--out", str(out), "--selection", "last"]
    small = ["--dth.branch.hidden", "32", "--dth.branch.pixel-channels", "4", "8"]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *line, *small, "--epochs", "100000", "--no-progress"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (out / "checkpoint" / "checkpoint.json").is_file():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == 130
    assert "Traceback" not in said
    lines = [text for text in said.splitlines() if text.strip()]
    assert len(lines) == 2  # the data set, and what is kept
    assert "interrupted" in lines[1]
    assert not (out / "run.json").exists()


def test_resume_goes_on_from_the_last_whole_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    line = ["train", "--pairs", "60", "--out", str(out), "--epochs", "3", "--selection", "last"]
    line += ["--dth.branch.hidden", "16", "--dth.branch.pixel-channels", "4", "--no-progress"]
    epoch, ran = Loop.epoch, []

    def counted(self: Loop, number: int, on_step: Callable[[], None]) -> dict[str, float]:
        ran.append(number)
        if ran == [0, 1]:
            raise KeyboardInterrupt
        return epoch(self, number, on_step)

    monkeypatch.setattr(Loop, "epoch", counted)
    assert cli.main(line) == 130
    assert not (out / "run.json").exists()
    assert cli.main(line) == 2
    assert "resume" in capsys.readouterr().err
    assert cli.main([*line, "--resume"]) == 0
    assert ran == [0, 1, 1, 2]
    assert (out / "run.json").is_file()


def test_a_finished_run_can_be_trained_again(tmp_path: Path) -> None:
    line = ["train", "--pairs", "60", "--out", str(tmp_path / "run"), "--epochs", "1"]
    small = ["--dth.branch.hidden", "16", "--dth.branch.pixel-channels", "4", "--no-progress"]
    for _ in range(2):
        assert cli.main([*line, *small, "--selection", "last"]) == 0
