"""`hashcore reproduce` and `hashcore train --ablate`, as a user runs them: in processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hashcore import cli

_PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from hashcore.cli import main; sys.exit(main(sys.argv[1:]))"
)
_FILE = """
bits = [8]
seeds = [0, 1]
train = { epochs = 1, selection = "last", validation = 0.0 }
[[dataset]]
name = "shapes"
loader = "shapes"
options = { pairs = 60 }
[[method]]
name = "dth"
config = { branch = { hidden = [8], pixel_channels = [4] } }
[[variant]]
name = "short"
[[variant]]
name = "endless"
train = { epochs = 1000000 }
"""


def end_after_the_first_run(line: list[str], kept: Path, end: signal.Signals) -> tuple[int, str]:
    """Exit code of a command that a signal ends when it has kept something, and what it said."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *line], stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not list(kept.glob("*.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(end)
        assert process.stderr is not None
        said = process.stderr.read()
        assert "Traceback" not in said
        return process.wait(), said


def test_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    file, kept = tmp_path / "x.toml", tmp_path / "kept"
    file.write_text(_FILE)
    line = ["reproduce", str(file), "--keep", str(kept)]
    code, said = end_after_the_first_run(line, kept, signal.SIGINT)
    assert code == 130
    done = f"{len(list(kept.iterdir()))} of 6 runs are kept in {kept}"
    assert said.splitlines()[-1] == f"interrupted: {done}; the same command goes on"


def test_a_kill_loses_the_runs_in_progress_alone(tmp_path: Path) -> None:
    file, kept = tmp_path / "x.toml", tmp_path / "kept"
    file.write_text(_FILE)
    line = ["reproduce", str(file), "--keep", str(kept)]
    # All output is read to its end, so the killed command's own processes have ended.
    assert end_after_the_first_run([*line, "--jobs", "2"], kept, signal.SIGKILL)[0] == -9
    done = len(list(kept.glob("*.json")))
    file.write_text(_FILE[: _FILE.index('[[variant]]\nname = "endless"')])
    second = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *line], capture_output=True, text=True, check=True
    )
    assert second.stderr.startswith(f"4 runs: {done} are done, {4 - done} to do")
    assert "leaked" not in second.stderr
    assert len(list(kept.glob("*.json"))) == 4
    written = [Path(name) for name in second.stdout.splitlines()]
    assert [str(name.relative_to(tmp_path)) for name in written] == [
        "results/x-shapes.svg",
        "results/x.json",
        "results/x.md",
    ]
    cells = json.loads(written[1].read_text())["cells"]
    assert [(cell["method"], cell["seeds"]) for cell in cells] == [
        ("dth", [0, 1]),
        ("CCA + sign", [0, 1]),
    ]


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    assert cli.main(["reproduce", str(file)]) == 2
    assert "no such file; expected TOML" in capsys.readouterr().err
    file.write_text(_FILE.replace("bits", "bots"))
    assert cli.main(["reproduce", str(file)]) == 2
    said = capsys.readouterr().err
    assert said == (f'hashcore: error: {file}: bots: no such key; did you mean "bits"?\n')
    file.write_text(_FILE)
    assert cli.main(["reproduce", str(file), "--jobs", "0"]) == 2
    assert "jobs: expected >= 1; got 0" in capsys.readouterr().err
    assert cli.main(["reproduce", str(file), "--methods", "drhc"]) == 2
    assert "methods: expected any of dth, CCA + sign; got 'drhc'" in capsys.readouterr().err


def test_tables_of_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out, kept = tmp_path / "x.toml", tmp_path / "out", tmp_path / "kept"
    file.write_text(_FILE)
    line = ["reproduce", str(file), "--tables", "--out", str(out), "--keep", str(kept)]
    assert cli.main(line) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == [str(out / n) for n in ("x-shapes.svg", "x.json", "x.md")]
    assert "**0 of 6 runs are done.**" in (out / "x.md").read_text()
    assert not kept.exists()


def test_an_ablation_shows_what_each_component_brings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "--pairs", "60", "--bits", "8", "--out", str(tmp_path), "--epochs", "1"]
    line += ["--dth.branch.hidden", "8", "--dth.branch.pixel-channels", "4", "--seed", "3"]
    line += ["--selection", "last", "--ablate"]
    assert cli.main([*line, "--seeds", "2", "--jobs", "2"]) == 0
    shown = capsys.readouterr()
    table = [text for text in shown.out.splitlines() if text.startswith("| ")]
    assert [text.split("|")[1].strip() for text in table[2:]] == [
        "all components",
        "without intra-modal triplets",
        "without regularity",
        "without maximal information",
    ]
    assert [text.strip() for text in table[0].split("|")[1:-1]] == [
        "dth, 8 bits",
        "unseen I->T",
        "unseen T->I",
        "encoded I->T",
        "encoded T->I",
    ]
    assert "seed 3" in shown.err
    assert "seed 4" in shown.err
    assert len(list((tmp_path / "ablation").iterdir())) == 8
    assert not (tmp_path / "run.json").exists()
    assert cli.main([*line, "--seeds", "2"]) == 0
    assert "8 runs: 8 are done, 0 to do" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ablate", "--seeds", "0"], "--seeds: expected >= 1; got 0"),
        (["--ablate", "--resume"], "--resume: an ablation goes on by itself; leave it out"),
        (["--seeds", "2"], "--seeds and --jobs are of an ablation: add --ablate"),
    ],
)
def test_options_of_an_ablation(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--pairs", "60", "--out", str(tmp_path / "x"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
