"""`hashcore data`, and training on what it prepared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hashcore import cli
from hashcore.data import load
from hashcore.train import Hasher

TINY = ["--epochs", "2", "--selection", "last", "--no-progress", "--bits", "16"]
NARROW = ["--dth.branch.hidden", "16"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "own.npz"
    labels = np.eye(4)[rng.integers(0, 4, 80)]
    np.savez(path, image=rng.random((80, 6)), text=rng.random((80, 5)), labels=labels)
    return path


def run(args: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command says on stdout, or its one line of error."""
    capsys.readouterr()
    assert cli.main(args) == code
    said = capsys.readouterr()
    return said.err if code == 2 else said.out


def test_prepare_check_train_and_evaluate(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trained = tmp_path / "prepared", tmp_path / "run"
    line = ["data", "prepare", "arrays", "--source", str(source), "--out", str(out)]
    said = run([*line, "--queries", "10", "--train-rows", "40", "--seed", "5"], capsys)
    assert said.startswith(f"{out}: own, 80 pairs: train 40, query 10, database 70; 4 classes; spl")
    assert f"hashcore train --data prepared --path {out}" in said
    said = run(["data", "check", str(out)], capsys)
    assert said.splitlines()[1] == "  no damage, no leakage, no duplicates"
    direct = load("arrays", source, queries=10, train_rows=40, seed=5)
    assert load("prepared", out).split == direct.split
    data = ["--data", "prepared", "--path", str(out)]
    assert cli.main(["train", *data, "--out", str(trained), *TINY, *NARROW]) == 0
    codes = Hasher.load(trained / "hasher").encode_image(direct.image)
    assert codes.shape == (80, 2)
    document = json.loads(run(["evaluate", str(trained), "--json"], capsys))
    assert document["data"] == "own"
    assert document["split"] == direct.split.hash


def test_training_from_maps_is_training_from_memory(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "prepared"
    line = ["data", "prepare", "arrays", "--source", str(source), "--out", str(out)]
    assert cli.main([*line, "--queries", "10"]) == 0
    runs = {
        "mapped": ["--data", "prepared", "--path", str(out)],
        "memory": ["--data", "arrays", "--path", str(source), "--queries", "10"],
    }
    codes = {}
    for name, data in runs.items():
        args = ["train", *data, "--out", str(tmp_path / name), *TINY, *NARROW]
        assert cli.main(args) == 0
        images = load("prepared", out).image
        codes[name] = Hasher.load(tmp_path / name / "hasher").encode_image(np.array(images))
    assert np.array_equal(codes["mapped"], codes["memory"])


def test_leakage_is_exit_code_1_unless_it_is_allowed(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(source) as content:
        arrays = dict(content)
    arrays |= {"train": np.arange(60), "query": np.arange(60, 80)}
    arrays["text"][70] = arrays["text"][3]
    np.savez(source, **arrays)
    out = tmp_path / "prepared"
    line = ["data", "prepare", "arrays", "--source", str(source), "--out", str(out), "--check"]
    said = run(line, capsys, 1)
    assert "leaked-texts: 1 query rows have the same text as a training or database row" in said
    assert "first: row 70 as row 3" in said
    allow = ["--allow", "leaked-texts"]
    assert "leaked-texts (allowed): 1 query" in run(["data", "check", str(out), *allow], capsys)
    document = json.loads(run(["data", "check", str(out), "--json"], capsys, 1))
    (finding,) = document["findings"]
    assert (finding["kind"], finding["count"], finding["allowed"]) == ("leaked-texts", 1, False)
    assert document["counts"]["pairs"] == 80


def test_generated_pictures_are_prepared_without_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shapes"
    run(["data", "prepare", "shapes", "--pairs", "60", "--out", str(out)], capsys)
    assert load("prepared", out).captions == load("shapes", pairs=60).captions


def test_help_shows_both_actions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["data", "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "Example:  hashcore data prepare" in shown
    assert "Example:  hashcore data check" in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "data: expected prepare or check; got nothing. See: hashcore data --help"),
        (["chek"], 'data: expected prepare or check; got "chek"'),
        (["prepare", "arrays"], "data prepare: missing --out. See: hashcore data prepare --help"),
        (["prepare", "prepared", "--out", "o"], "invalid choice 'prepared'"),
        (["prepare", "coco", "--out", "o"], 'data "coco": a path is needed. Expected a folder'),
        (["prepare", "coco", "--source", "x", "--out", "o", "--pairs", "3"], 'no option "pairs"'),
        (["prepare", "mirflickr", "--source", ".", "--out", "o"], "iall.mat: no such file. Expect"),
        (["check", "nowhere"], "nowhere/manifest.json: no such file. Expected a directory with"),
    ],
)
def test_errors_say_the_next_step(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(["data", *args], capsys, 2)
    assert message in said
    assert said.count("\n") == 1
