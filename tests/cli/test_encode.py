"""`hashcore encode`: interrupted, gone on with, and refused where something has changed."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hashcore import cli
from hashcore.data import CrossModalDataset, Split
from hashcore.methods import BranchConfig, DTHConfig
from hashcore.train import Hasher, TrainConfig, fit

ROWS, CHUNK, WIDTH = 1000, 64, 12
QUICK = TrainConfig(epochs=1, batch_size=50, validation=0.0, selection="last", progress=False)


def small_hasher(seed: int, train: TrainConfig = QUICK) -> Hasher:
    rng = np.random.default_rng(seed)
    image, text = (rng.standard_normal((60, n)).astype(np.float32) for n in (WIDTH, 5))
    rows = np.arange(60)
    labels = np.eye(3, dtype=bool)[rng.integers(0, 3, 60)]
    data = CrossModalDataset("noise", image, text, labels, Split(rows[5:], rows[:5], rows[5:]))
    return fit(data, "dth", 20, DTHConfig(branch=BranchConfig(hidden=(8,), dropout=0.2)), train)


@pytest.fixture(scope="module")
def hasher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hasher")
    small_hasher(0).save(path)
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(1).standard_normal((ROWS, WIDTH), np.float32))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "codes" / "codes.npy"


def line(hasher: Path, rows: Path, out: Path, *more: str) -> list[str]:
    options = ["--modality", "image", "--input", str(rows), "--chunk", str(CHUNK)]
    return ["encode", str(hasher), *options, "--out", str(out), *more]


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def expected(hasher: Path, rows: Path) -> NDArray[np.uint8]:
    return Hasher.load(hasher).encode_image(np.load(rows))


class Counted:
    """Counts the rows that hashers encode, and stops them after some."""

    def __init__(self, patch: pytest.MonkeyPatch, error: BaseException | None, chunks: int) -> None:
        self.rows, self.error, self.chunks = 0, error, chunks
        real = Hasher.encode_image

        def encode(hasher: Hasher, x: Any) -> NDArray[np.uint8]:
            if self.error is not None and self.rows >= self.chunks * CHUNK:
                raise self.error
            self.rows += len(x)
            return real(hasher, x)

        patch.setattr(Hasher, "encode_image", encode)


def interrupt(patch: pytest.MonkeyPatch, args: list[str], chunks: int = 5) -> None:
    """Press Ctrl-C after some chunks."""
    with patch.context() as inner:
        Counted(inner, KeyboardInterrupt(), chunks)
        assert cli.main(args) == 130


def error_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(args) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_ctrl_c_says_how_it_goes_on_and_the_same_command_does(
    hasher: Path,
    rows: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt(monkeypatch, line(hasher, rows, out))
    assert capsys.readouterr().err.strip() == (
        f"interrupted: 320 of 1,000 codes are kept in {out}.partial; "
        "the same command goes on from there"
    )
    assert names(out) == ["codes.npy.partial", "codes.npy.partial.json"]
    counted = Counted(monkeypatch, None, 0)
    assert cli.main(line(hasher, rows, out)) == 0
    assert counted.rows == ROWS - 5 * CHUNK
    assert names(out) == ["codes.npy"]
    assert np.array_equal(np.load(out, mmap_mode="r"), expected(hasher, rows))


def test_ctrl_c_before_the_first_chunk_leaves_nothing(
    hasher: Path,
    rows: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt(monkeypatch, line(hasher, rows, out), chunks=0)
    assert capsys.readouterr().err.strip() == "interrupted: no code was kept"
    assert names(out) == []


SLOW = """
import sys, time
from hashcore import cli
from hashcore.cli import _partial_codes
from hashcore.train import Hasher

_partial_codes._SYNC_SECONDS = 0.0
encode = Hasher.encode_image

def slow(hasher, x):
    time.sleep(0.02)
    return encode(hasher, x)

Hasher.encode_image = slow
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("chunks", [1, 4, 9])
def test_a_killed_run_goes_on_to_the_same_bytes(
    hasher: Path, rows: Path, out: Path, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    args = line(hasher, rows, out)
    state = out.with_name("codes.npy.partial.json")
    with subprocess.Popen([sys.executable, "-c", SLOW, *args]) as process:
        while not state.is_file() or json.loads(state.read_text())["done"] < chunks * CHUNK:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    done = json.loads(state.read_text())["done"]
    assert done >= chunks * CHUNK
    counted = Counted(monkeypatch, None, 0)
    assert cli.main(args) == 0
    assert counted.rows == ROWS - done
    assert names(out) == ["codes.npy"]
    assert np.array_equal(np.load(out), expected(hasher, rows))


@pytest.mark.parametrize(("row", "noticed"), [(0, True), (319, True), (320, False), (999, False)])
def test_a_changed_row_is_noticed_where_its_code_exists(
    hasher: Path,
    rows: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    row: int,
    noticed: bool,
) -> None:
    interrupt(monkeypatch, line(hasher, rows, out))
    array = np.load(rows)
    array[row] = -array[row]
    np.save(rows, array)
    if noticed:
        said = error_of(line(hasher, rows, out), capsys)
        assert "its 320 input rows have changed since. --restart begins anew" in said
        assert cli.main(line(hasher, rows, out, "--restart")) == 0
    else:
        assert cli.main(line(hasher, rows, out)) == 0
    assert np.array_equal(np.load(out), expected(hasher, rows))


def test_another_hasher_is_noticed(
    hasher: Path,
    rows: Path,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt(monkeypatch, line(hasher, rows, out))
    other = tmp_path / "other"
    small_hasher(1).save(other)
    assert "of an interrupted run with another hasher: " in error_of(line(other, rows, out), capsys)
    np.save(rows, np.load(rows)[:-1])
    said = error_of(line(hasher, rows, out), capsys)
    assert "another rows: 1000, now 999. --restart begins anew" in said
    assert cli.main(line(other, rows, out, "--restart")) == 0
    assert np.array_equal(np.load(out), expected(other, rows))


def test_a_bad_row_can_be_mended(
    hasher: Path,
    rows: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    array = np.load(rows)
    bad = array.copy()
    bad[700, 3] = np.nan
    np.save(rows, bad)
    assert "expected finite values" in error_of(line(hasher, rows, out), capsys)
    np.save(rows, array)
    counted = Counted(monkeypatch, None, 0)
    assert cli.main(line(hasher, rows, out)) == 0
    assert counted.rows == ROWS - 640
    assert np.array_equal(np.load(out), expected(hasher, rows))


def test_what_cannot_be_gone_on_with_is_refused(
    hasher: Path,
    rows: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = line(hasher, rows, out)
    interrupt(monkeypatch, args)
    partial, state = (out.with_name(f"codes.npy.partial{end}") for end in ("", ".json"))
    with partial.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another process is writing it" in error_of(args, capsys)
    held = partial.read_bytes()
    partial.write_bytes(held[:-1])
    assert "cut short; --restart begins anew" in error_of(args, capsys)
    partial.write_bytes(held)
    told = state.read_text()
    state.write_text(told[:-9])
    assert "not the state of an interrupted run; --restart" in error_of(args, capsys)
    state.write_text(told)
    partial.write_bytes(held + b"codes of which the state does not tell")
    assert cli.main(args) == 0
    assert np.array_equal(np.load(out), expected(hasher, rows))


def test_a_state_without_its_codes_is_begun_anew(
    hasher: Path, rows: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, line(hasher, rows, out))
    out.with_name("codes.npy.partial").unlink()
    assert cli.main(line(hasher, rows, out)) == 0
    assert names(out) == ["codes.npy"]


def test_codes_are_for_the_use_that_is_asked(rows: Path, out: Path, tmp_path: Path) -> None:
    apart = small_hasher(0, dataclasses.replace(QUICK, codes="classes", database="apart", epochs=3))
    apart.save(tmp_path / "apart")
    x = np.load(rows)
    codes = {
        "any": apart.encode_image(x),
        "query": apart.encode_query("image", x),
        "database": apart.encode_database("image", x, trained=False),
        "trained": apart.encode_database("image", x),
    }
    for use, of_use in codes.items():
        assert cli.main(line(tmp_path / "apart", rows, out, "--use", use)) == 0
        assert np.array_equal(np.load(out), of_use)
        assert sum(np.array_equal(of_use, other) for other in codes.values()) == 1


def test_memory_is_that_of_a_chunk(hasher: Path, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "many.npy"
    many = np.lib.format.open_memmap(path, "w+", np.float32, (400_000, WIDTH))
    many[::1000] = 1
    many.flush()
    args = line(hasher, path, out, "--chunk", "4096")
    tracemalloc.start()
    try:
        assert cli.main(args) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert many.nbytes > 16 << 20
    assert peak < 4 << 20
    assert np.load(out, mmap_mode="r").shape == (400_000, 3)
