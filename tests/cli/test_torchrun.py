"""`hashcore train` under torchrun: one voice, one set of files, one end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hashcore import cli
from hashcore.data import load
from hashcore.train import Hasher

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = ["--pairs", "120", "--bits", "16", "--batch-size", "25", "--epochs", "20"]
SMALL += ["--selection", "last", "--no-progress"]
SMALL += ["--dth.branch.hidden", "16", "--dth.branch.pixel-channels", "4"]

# In one process of two, something goes wrong in the third epoch.
FAILING = """
import os, signal, sys
from hashcore import cli
from hashcore.train.loop import Loop

epoch, what = Loop.epoch, sys.argv.pop(1)

def failing(self, number, on_step):
    if number == 2 and os.environ["RANK"] == "1":
        exec(what)
    return epoch(self, number, on_step)

Loop.epoch = failing
sys.exit(cli.main(sys.argv[1:]))
"""


@contextmanager
def torchrun(*program: str) -> Iterator[subprocess.Popen[str]]:
    """Two processes of a program, in a process group of their own."""
    with subprocess.Popen(
        [*TORCHRUN, *program],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def train(out: Path, *more: str) -> list[str]:
    return ["-m", "hashcore.cli", "train", *SMALL, "--out", str(out), *more]


def told(stderr: str) -> list[str]:
    """What hashcore said; torchrun says more."""
    starts = ("hashcore: error", "interrupted", "shapes: ")
    return [line for line in stderr.splitlines() if line.startswith(starts)]


def bits(run: Path) -> NDArray[np.uint8]:
    data, hasher = load("shapes", pairs=120), Hasher.load(run / "hasher")
    codes = hasher.encode_image(data.image), hasher.encode_text(data.text)
    return np.unpackbits(np.concatenate(codes), axis=1)


def test_ctrl_c_and_going_on_give_the_codes_of_one_process(tmp_path: Path) -> None:
    out, alone = tmp_path / "two", tmp_path / "one"
    checkpoint = out / "checkpoint" / "checkpoint.json"
    with torchrun(*train(out)) as process:
        while not checkpoint.is_file():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode != 0
    assert stdout == ""
    lines = told(stderr)
    assert len(lines) == 2, stderr
    assert "resume goes on from there" in lines[1]
    assert not (out / "run.json").exists()
    with torchrun(*train(out, "--resume")) as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert stdout == f"{out}  (next: hashcore evaluate {out})\n"
    assert len(told(stderr)) == 1
    assert sorted(path.name for path in out.iterdir()) == ["hasher", "run.json", "split.json"]
    assert cli.main(["train", *SMALL, "--out", str(alone)]) == 0
    # Sums of two processes are rounded otherwise, and that grows from step to step.
    assert (bits(out) == bits(alone)).mean() > 0.9


def ends_with(program: list[str]) -> list[str]:
    """What two processes, of which nobody takes care, say about their end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, *program],
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    lines = []
    for process in processes:
        with process:
            try:
                stdout, stderr = process.communicate(timeout=120)
            finally:
                process.kill()
        assert process.returncode != 0
        assert stdout == ""
        assert "Traceback" not in stderr
        lines += [line for line in told(stderr) if not line.startswith("shapes: ")]
    return lines


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("raise MemoryError('no room')", "hashcore: error: MemoryError: no room (HASHCORE_DEBUG"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "hashcore: error: another of the 2 processes"),
        ("os.kill(os.getpid(), signal.SIGINT)", "interrupted: epoch 2 of 20, is kept in"),
    ],
    ids=["error", "killed", "interrupted"],
)
def test_the_end_of_one_process_is_that_of_both_with_one_message(
    tmp_path: Path, what: str, message: str
) -> None:
    (said,) = ends_with(["-c", FAILING, what, *train(tmp_path / "out")[2:]])
    assert said.startswith(message)


def test_an_error_of_all_processes_is_told_once(tmp_path: Path) -> None:
    said = ends_with(train(tmp_path / "out", "--lr", "0"))
    assert said == ["hashcore: error: lr: expected > 0; got 0.0"]
