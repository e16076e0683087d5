"""What holds for every subcommand: help, errors on one line, exit codes, a light import."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hashcore import __version__, cli
from hashcore._extras import EXTRAS


def hashcore(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hashcore.cli", *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_every_command_has_a_module_and_a_line_in_the_overview(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, summary in cli.COMMANDS.items():
        assert f"  {name} " in shown
        assert summary in shown


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_help_shows_defaults_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"Example:  hashcore {name}" in shown
    assert "(default: " in shown


def test_no_command_is_an_error_that_shows_the_overview(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "usage: hashcore COMMAND" in said.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], 'unknown command "trian"; did you mean "train"?'),
        (["zzz"], 'unknown command "zzz"; expected one of demo, data, train'),
        (["info", "--jsn"], "info: Unrecognized options: --jsn; did you mean --json? See:"),
        (["search"], "search: missing INDEX. See: hashcore search --help"),
        (["search", "i", "--k", "x"], "search: Error parsing --k: invalid literal"),
        (["index"], "index: missing --out. See: hashcore index --help"),
        (["encode"], "encode: missing RUN and --modality and --out. See:"),
        (["demo", "--epochs", "0"], "demo: --epochs must be >= 1; got 0"),
    ],
)
def test_errors_are_one_line_and_exit_2(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"hashcore: error: {message}")
    assert said.err.count("\n") == 1


def test_debug_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHCORE_DEBUG", "1")
    with pytest.raises(ValueError, match="unknown command"):
        cli.main(["trian"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hashcore {__version__}\n"


def test_ctrl_c_is_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("hashcore.cli.info.main", interrupted)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "hashcore: interrupted\n"


def test_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tyro", None)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == (
        'hashcore: error: the package tyro is missing; pip install "hashcore-search[cli]"\n'
    )


def test_an_unexpected_error_names_its_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(args: list[str]) -> int:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("hashcore.cli.info.main", broken)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == (
        "hashcore: error: RuntimeError: two lines (HASHCORE_DEBUG=1 shows where)\n"
    )


def test_a_process_says_its_error_and_exits_2() -> None:
    done = hashcore("search", "nowhere.hci", "--codes", "nowhere.npy")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hashcore: error: nowhere.hci: No such file")
    assert done.stderr.count("\n") == 1


def test_a_process_shows_info_as_json() -> None:
    done = hashcore("info", "--json", HASHCORE_ISA="portable")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["build"]["isa"] == "portable"
    assert set(found["packages"]) == set(EXTRAS)


def test_the_light_commands_load_no_torch() -> None:
    program = (
        "import sys; from hashcore import cli; cli.main(['info']); "
        "import hashcore.cli.search, hashcore.cli.index, hashcore.cli.encode; "
        "print([m for m in ('torch', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
