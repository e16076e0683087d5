"""Train, encode, index, search and evaluate, as a user chains them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import hashcore
from hashcore import cli
from hashcore.data import Split, load
from hashcore.train import Hasher

SMALL = ["--epochs", "2", "--selection", "last", "--no-progress"]
NARROW = ["--dth.branch.hidden", "32", "--dth.branch.pixel-channels", "4", "8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 120 generated pairs, 20 of them queries, 24 bits."""
    out = tmp_path_factory.mktemp("runs") / "shapes"
    args = ["--data", "shapes", "--pairs", "120", "--bits", "24", "--out", str(out)]
    assert cli.main(["train", *args, *SMALL, *NARROW]) == 0
    return out


@pytest.fixture(scope="module")
def wikipedia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file in the layout of wikiData.mat."""
    rng = np.random.default_rng(0)
    parts = {}
    for side, n in (("tr", 60), ("te", 20)):
        parts[f"I_{side}"] = rng.random((n, 12))
        parts[f"T_{side}"] = rng.random((n, 5))
        parts[f"L_{side}"] = rng.integers(1, 11, (n, 1)).astype(np.uint8)
    path = tmp_path_factory.mktemp("wiki") / "wikiData.mat"
    savemat(path, parts)
    return path


def error_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failing command says."""
    capsys.readouterr()
    assert cli.main(args) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_run_holds_hasher_split_and_options(run: Path) -> None:
    assert sorted(p.name for p in run.iterdir()) == ["hasher", "run.json", "split.json"]
    record = json.loads((run / "run.json").read_text())
    assert record["source"] == {"name": "shapes", "path": None, "options": {"pairs": 120}}
    assert record["settings"]["dth"]["branch"]["hidden"] == [32]
    assert Split.load(run / "split.json") == load("shapes", pairs=120).split
    assert Hasher.load(run / "hasher").bits == 24


def test_codes_of_a_part_are_the_hashers_own(run: Path, tmp_path: Path) -> None:
    data, hasher = load("shapes", pairs=120), Hasher.load(run / "hasher")
    for part, rows in (("query", data.split.query), ("all", np.arange(120))):
        out = tmp_path / f"{part}.npy"
        args = ["--modality", "image", "--part", part, "--chunk", "7", "--out", str(out)]
        assert cli.main(["encode", str(run), *args]) == 0
        assert np.array_equal(np.load(out), hasher.encode_image(data.image[rows]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.npy", "query.npy"]


def test_codes_of_files_are_the_hashers_own(run: Path, tmp_path: Path) -> None:
    data, hasher = load("shapes", pairs=120), Hasher.load(run / "hasher")
    expected = hasher.encode_text(data.text[:9])
    np.save(tmp_path / "tokens.npy", data.text[:9])
    (tmp_path / "texts.txt").write_text("\n".join(data.captions[:9]) + "\n")
    for name in ("tokens.npy", "texts.txt"):
        args = ["--modality", "text", "--input", str(tmp_path / name), "--chunk", "4"]
        assert cli.main(["encode", str(run), *args, "--out", str(tmp_path / "c.npy")]) == 0
        assert np.array_equal(np.load(tmp_path / "c.npy"), expected)


def test_no_rows_give_no_codes(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.empty((0, 17), np.int64))
    out = tmp_path / "codes.npy"
    args = ["--modality", "text", "--input", str(tmp_path / "none.npy"), "--out", str(out)]
    assert cli.main(["encode", str(run), *args]) == 0
    assert np.load(out).shape == (0, 3)
    assert cli.main(["index", str(out), "--out", str(tmp_path / "none.hci")]) == 0


def test_text_search_finds_what_the_engine_finds(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes, index = tmp_path / "codes.npy", tmp_path / "images.hci"
    part = ["--modality", "image", "--part", "all"]
    assert cli.main(["encode", str(run), *part, "--out", str(codes)]) == 0
    assert cli.main(["index", str(codes), "--out", str(index)]) == 0
    text = "a small red circle above a large blue square"
    query = Hasher.load(run / "hasher").encode_text([text])
    expected = hashcore.knn(np.load(codes), query, 4)
    capsys.readouterr()
    ask = ["search", str(index), "--hasher", str(run), "--text", text, "--k", "4"]
    assert cli.main([*ask, "--json", "--show"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["query"] == text
    assert [hit["id"] for hit in answer["hits"]] == expected.ids[0].tolist()
    assert [hit["distance"] for hit in answer["hits"]] == expected.distances[0].tolist()
    captions = load("shapes", pairs=120).captions
    assert [hit["is"] for hit in answer["hits"]] == [captions[i] for i in expected.ids[0]]
    assert cli.main(ask) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == text
    assert len(lines) == 5
    found = [re.fullmatch(r" +\d+  distance +(\d+)  id (\d+)", line) for line in lines[1:]]
    assert [int(m[2]) for m in found if m] == expected.ids[0].tolist()


def test_unknown_words_are_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = hashcore.Index(24, "flat")
    index.save(tmp_path / "empty.hci")
    ask = ["search", str(tmp_path / "empty.hci"), "--hasher", str(run), "--text"]
    said = error_of([*ask, "a small pink cat"], capsys)
    assert "never met: pink, cat; it knows: a, small" in said
    assert cli.main([*ask, "a small red circle"]) == 0
    assert "no hit" in capsys.readouterr().out


def test_codes_search_with_ids_and_a_file_of_hits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (n, 5), np.uint8) for n in (40, 25)]
    for name, codes in zip("ab", parts, strict=True):
        np.save(tmp_path / f"{name}.npy", codes)
    ids = rng.permutation(1000)[:65].astype(np.int64)
    np.save(tmp_path / "ids.npy", ids)
    a, b, index, out = (str(tmp_path / name) for name in ("a.npy", "b.npy", "x.hci", "h.npz"))
    assert cli.main(["index", a, b, "--ids", str(tmp_path / "ids.npy"), "--out", index]) == 0
    assert hashcore.Index.load(index).stats()["delta"] == 0
    assert cli.main(["search", index, "--codes", b, "--k", "7", "--out", out]) == 0
    want = hashcore.Index(40, "flat")
    want.add(np.concatenate(parts), ids)
    expected = want.search(parts[1], 7)
    with np.load(out) as hits:
        assert np.array_equal(hits["ids"], expected.ids)
        assert np.array_equal(hits["distances"], expected.distances)


def test_evaluate_prints_every_protocol_unseen_first(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["evaluate", str(run)]) == 0
    shown = capsys.readouterr().out
    protocols = re.findall(r"protocol: (\w+) database, ([IT]->[IT])", shown)
    assert protocols == [
        ("unseen", "I->T"),
        ("unseen", "T->I"),
        ("encoded", "I->T"),
        ("encoded", "T->I"),
        ("labelled", "I->T"),
        ("labelled", "T->I"),
    ]
    assert cli.main(["evaluate", str(run), "--json", "--protocols", "unseen"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["protocols"]) == ["unseen"]
    report = document["protocols"]["unseen"]["text_to_image"]
    assert report["queries"] == report["database"] == 20
    assert f"{report['map_tie_aware']:.4f}" in shown
    assert document["split"] == load("shapes", pairs=120).split.hash


def test_the_documented_line_trains_on_wikipedia(
    wikipedia: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["train", "--data", "wikipedia", "--path", str(wikipedia), "--method", "drhc"]
    assert cli.main([*line, "--bits", "16", *SMALL, "--drhc.branch.hidden", "16"]) == 0
    assert (tmp_path / "runs" / "wikipedia-drhc-16" / "run.json").is_file()
    capsys.readouterr()
    assert cli.main(["evaluate"]) == 0
    assert "runs/wikipedia-drhc-16: drhc, 16 bits, wikipedia" in capsys.readouterr().out
    moved = wikipedia.with_name("moved.mat")
    wikipedia.rename(moved)
    assert "wikiData.mat: no such file" in error_of(["evaluate"], capsys)
    assert cli.main(["evaluate", "--path", str(moved)]) == 0
    moved.rename(wikipedia)


def test_other_data_than_that_of_the_run_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((run / "run.json").read_text())
    record["source"]["options"]["pairs"] = 140
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text(json.dumps(record))
    (other / "split.json").write_bytes((run / "split.json").read_bytes())
    assert "is not the one that was trained on" in error_of(["evaluate", str(other)], capsys)


def test_options_of_another_method_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = error_of(["train", "--method", "dth", "--drhc.margin", "0.3"], capsys)
    assert "Unrecognized options: --drhc.margin" in said


def test_a_method_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert "invalid choice 'dht'" in error_of(["train", "--method", "dht"], capsys)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--data", "wikipedia"], 'data "wikipedia": a path is needed. Expected one of'),
        (["train", "--data", "wikipedia", "--pairs", "9"], 'no option "pairs"; it has none'),
        (["train", "--data", "shapes", "--path", "x"], "it takes no path"),
        (["train", "--epochs", "0"], "epochs: expected >= 1; got 0"),
        (["evaluate", "nowhere"], "nowhere: no run there"),
        (["search", "x", "--text", "a"], "--text needs --hasher"),
        (["search", "x"], "expected one of --codes FILE and --text TEXT"),
        (["index", "--out", "x"], "expected at least one .npy file"),
        (["encode", "r", "--modality", "image", "--out", "o"], "one of --input FILE and --part"),
    ],
)
def test_errors_say_the_next_step(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_of(args, capsys)


def test_files_of_another_kind_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.npy"
    for content, message in (
        (np.ones((3, 8)), "expected packed codes, uint8 [n, bytes]; got float64 [3, 8]"),
        (np.ones(3, np.uint8), "got uint8 [3]"),
    ):
        np.save(path, content)
        assert message in error_of(["index", str(path), "--out", "o"], capsys)
    path.write_bytes(path.read_bytes()[:-1])
    assert "not a whole .npy file" in error_of(["index", str(path), "--out", "o"], capsys)
    path.write_text("")
    assert "not a whole .npy file" in error_of(["index", str(path), "--out", "o"], capsys)


def test_a_failed_encode_leaves_the_old_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "codes.npy"
    out.write_text("old")
    np.save(tmp_path / "wide.npy", np.ones((4, 99), np.int64))
    args = ["--modality", "text", "--input", str(tmp_path / "wide.npy"), "--out", str(out)]
    assert "expected int64 [n, 17]" in error_of(["encode", str(run), *args], capsys)
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codes.npy", "wide.npy"]
