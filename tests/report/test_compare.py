"""`hashcore report` on two small runs: what the page says, and what a browser makes of it."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import Page, browser
from hashcore import cli
from hashcore.data import load
from hashcore.report import answers, compare
from hashcore.report.runs import TrainedRun, measure
from hashcore.train import Hasher, TrainConfig, fit

SMALL = ["--data", "shapes", "--pairs", "120", "--no-progress", "--device", "cpu"]
NARROW = ["branch.hidden", "16", "branch.pixel-channels", "4", "branch.token-filters", "8"]


def train(out: Path, method: str, *options: str) -> None:
    narrow = [f"--{method}.{word}" if word.startswith("branch") else word for word in NARROW]
    line = ["train", "--method", method, "--out", str(out), *SMALL, *narrow, *options]
    assert cli.main(line) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with validation, and one of another method and width without."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "first", "dth", "--bits", "24", "--epochs", "2", "--selection", "best")
    last = ["--selection", "last", "--validation", "0", "--lr", "0.002"]
    train(folder / "second", "drhc", "--bits", "13", "--epochs", "1", *last)
    return folder / "first", folder / "second"


@pytest.fixture(scope="module")
def report(runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report.html"
    assert cli.main(["report", *map(str, runs), "-o", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        tab.resize(1200)
        tab.open(report.as_uri())
        yield tab


def evaluated(run: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["protocols"]
    return found


ROWS = """[...document.querySelectorAll("#{0} tbody tr")].map(row =>
    [...row.cells].map(cell => cell.firstChild ? cell.textContent.trim() : ""))"""


def test_tables_hold_the_numbers_of_evaluate(
    page: Page, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = [evaluated(run, capsys) for run in runs]
    names = {
        "mAP, ties expected": lambda r: r["map_tie_aware"],
        "mAP, by id": lambda r: r["map_by_id"],
        "precision@1": lambda r: r["precision_at"]["1"],
        "precision@10": lambda r: r["precision_at"]["10"],
        "NDCG@10": lambda r: r["ndcg_at"]["10"],
        "NDCG@100": lambda r: r["ndcg_at"]["100"],
        "chance": lambda r: r["chance"],
    }
    directions = {"text \u2192 image": "text_to_image", "image \u2192 text": "image_to_text"}
    for protocol in ("unseen", "encoded", "labelled"):
        direction, seen = "", set()
        for name, *cells in page.run(ROWS.replace("{0}", f"metrics-{protocol}")):
            if name in directions:
                direction = directions[name]
            elif name in names:
                values = [names[name](found[protocol][direction]) for found in figures]
                shown = [f"{value:.3f}".removeprefix("0") for value in values]
                assert [cell.removesuffix(" best") for cell in cells] == shown, (protocol, name)
                best = max(shown) if len(set(shown)) == 2 and name != "chance" else None
                assert [cell.endswith(" best") for cell in cells] == [s == best for s in shown]
                seen.add((direction, name))
        assert len(seen) == 2 * len(names), protocol


def test_settings_that_differ_are_marked(page: Page) -> None:
    different = {row[0]: row[1:] for row in page.run(ROWS.replace("{0}", "settings-that-differ"))}
    assert different["method \u2260 differs"] == ["dth", "drhc"]
    bare = {name.partition(" ")[0]: cells for name, cells in different.items()}
    assert bare["bits"] == ["24", "13"]
    assert bare["train.lr"] == ["0.001", "0.002"]
    assert bare["train.validation"] == ["0.1", "0"]
    assert bare["pair_margin"][0] == compare.ABSENT  # of DRHC alone
    same = dict(
        page.run(
            ROWS.replace("{0}", "settings-that-agree").replace(
                "row.cells]", "row.cells].slice(0, 2)"
            )
        )
    )
    assert same["data.pairs"] == "120"
    assert same["branch.hidden"] == "16"
    assert not same.keys() & bare.keys()


def test_headings_are_in_order_and_sections_are_there(page: Page) -> None:
    found = page.run(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(h => [+h.tagName[1], h.textContent])"
    )
    levels = [level for level, _ in found]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    texts = [text.strip() for level, text in found if level == 2]
    assert texts == [
        "A first",
        "B second",
        "Metrics, by what the database is",
        "Settings",
        "Learning curves",
        "Precision, recall and time",
        "What the codes look like",
        "What queries found",
    ]


def test_pictures_are_loaded_and_are_those_of_the_data(page: Page) -> None:
    data = load("shapes", pairs=120)
    images = page.run(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight, i.alt, i.src])"
    )
    # Six captions with eight pictures a run, and six pictures that ask.
    assert len(images) == 6 * 8 * 2 + 6
    by_caption = {data.captions[row]: row for row in data.split.query.tolist()}
    for complete, width, height, alt, source in images:
        assert (complete, width, height) == (True, 32, 32)
        assert alt in by_caption
        same = [row for row in data.split.query.tolist() if data.captions[row] == alt]
        uris = {answers.png_data_uri(data.image[row]) for row in same}
        assert source.replace("%0A", "\n") in {uri.replace("%0A", "\n") for uri in uris}


def test_hits_are_those_of_a_search(page: Page, runs: tuple[Path, Path]) -> None:
    data = load("shapes", pairs=120)
    query = data.split.query
    for letter, run in zip("AB", runs, strict=True):
        hasher = Hasher.load(run / "hasher")
        images, text = hasher.encode_image(data.image[query]), hasher.encode_text(data.text[query])
        apart = (np.unpackbits(text, axis=1)[:6, None] != np.unpackbits(images, axis=1)[None]).sum(
            axis=2
        )
        order = np.argsort(apart, axis=1, kind="stable")[:, :8]
        lists = page.run(
            f"""[...document.querySelectorAll('ol[aria-label="Pictures that {letter} found"]')]
            .map(list => [...list.children].map(tile =>
                [tile.querySelector("img").alt, +tile.querySelector(".distance").textContent]))"""
        )
        for row, shown in enumerate(lists):
            want = [[data.captions[query[i]], int(apart[row, i])] for i in order[row]]
            assert shown == want


def test_a_page_that_everybody_can_use(page: Page) -> None:
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.title") == "hashcore report: 2 runs"
    assert page.run("[...document.querySelectorAll('th')].every(th => th.scope)")
    assert page.run("document.querySelectorAll('table').length") == 5
    labels = page.run(
        "[...document.querySelectorAll('svg')].map(s => s.getAttribute('aria-label'))"
    )
    # Learning: two and one; curves: three protocols, six each; time; five of the codes a run.
    assert len(labels) == 3 + 18 + 1 + 2 * 5
    assert len(set(labels)) == len(labels)
    assert page.run("[...document.querySelectorAll('[role=region]')].every(e => e.tabIndex === 0)")
    ids = page.run("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)
    links = page.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_the_keyboard_skips_to_the_content_and_opens_what_is_closed(page: Page) -> None:
    def press(key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            page.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    press("Tab", 9)
    assert page.run("document.activeElement.textContent") == "Skip to the content"
    assert page.run("document.activeElement.getBoundingClientRect().left") >= 0
    page.run("document.querySelector('#settings summary').focus()")
    assert page.run("document.querySelector('#settings details').open") is False
    press("Enter", 13, "\r")
    assert page.run("document.querySelector('#settings details').open") is True


def test_it_follows_light_and_dark_and_fits_a_phone(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    line = "getComputedStyle(document.querySelector('#curves svg path[style*=series-1]')).stroke"
    seen = []
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        seen.append((page.run(ground), page.run(line)))
    assert seen[0] == ("rgb(246, 247, 249)", "rgb(0, 114, 178)")
    assert seen[1] == ("rgb(14, 17, 22)", "rgb(86, 180, 233)")
    page.resize(390)
    assert page.run("document.documentElement.scrollWidth") == 390
    page.resize(1200)
    assert page.run("document.documentElement.scrollWidth") == 1200


def test_nothing_is_asked_for_and_the_console_is_silent(page: Page, report: Path) -> None:
    """The last test of the page: it counts what all others did."""
    asked = page.requests()
    assert asked[0] == report.as_uri()
    assert len(asked) > 1
    assert all(address.startswith("data:image/png;base64,") for address in asked[1:])
    assert page.complaints() == []


def test_the_browser_would_see_a_complaint(
    page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bad = tmp_path_factory.mktemp("bad") / "bad.html"
    bad.write_text("<!doctype html><img src='none.png'><script>console.error('no')</script>")
    before = len(page.complaints())
    page.open(bad.as_uri())
    assert len(page.complaints()) >= before + 2


def test_the_page_needs_no_browser_to_be_whole(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import|<script|https?://(?!www\.w3\.org/)", html)
    assert "default-src 'none'" in html
    assert "#0102" not in html
    assert "#0103" not in html


def test_a_run_is_measured_alone_and_on_features_it_has_no_pictures() -> None:
    rng = np.random.default_rng(0)
    shapes = load("shapes", pairs=60)
    features: dict[str, Any] = {
        "image": rng.standard_normal((60, 9)).astype(np.float32),
        "text": rng.standard_normal((60, 7)).astype(np.float32),
    }
    data = replace(
        shapes, name="features", captions=(), class_names=(), vocabulary=None, **features
    )
    config = TrainConfig(epochs=1, selection="last", validation=0.0, progress=False, device="cpu")
    run = TrainedRun(
        "only", fit(data, "dth", 8, train=config), data, {"name": "x", "options": {}}, {}
    )
    findings = measure(run)
    html = compare.render([findings])
    assert "One training run" in html
    assert "features holds features of images, no pixels" in html
    assert "settings-that-differ" not in html
    assert "<img" not in html
    # Recall rises to the whole with the number of hits, however long it takes.
    assert findings.timed.recall == sorted(findings.timed.recall)
    assert findings.timed.k[-1] >= data.split.database.size
    assert findings.timed.recall[-1] == 1
    assert all(seconds > 0 for seconds in findings.timed.seconds)


def test_one_query_is_enough() -> None:
    data = load("shapes", pairs=12, queries=1)
    config = TrainConfig(epochs=1, selection="last", validation=0.0, progress=False, device="cpu")
    source = {"name": "shapes", "options": {}}
    run = TrainedRun("few", fit(data, "dth", 8, train=config), data, source, {})
    html = compare.render([measure(run)])
    assert "No map of the codes by t-SNE: there are too few codes." in html
    assert "1 in 1" in html


def test_without_scikit_learn_the_page_says_what_to_install(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    out = tmp_path / "report.html"
    assert cli.main(["report", str(runs[0]), "--out", str(out)]) == 0
    said = "No map of the codes by t-SNE: the package sklearn is missing; pip install"
    assert said in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["nowhere"],
            "nowhere: no run there (no run.json); hashcore train --out nowhere makes one",
        ),
        (["{0}", "{0}"], "report: a run was given twice; name each once"),
        (["--outt", "x"], "Unrecognized options: --outt, x. See: hashcore report --help"),
    ],
)
def test_errors_say_the_next_step(
    args: list[str],
    message: str,
    runs: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert cli.main(["report", *(arg.replace("{0}", str(runs[0])) for arg in args)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_large_pictures_are_averaged_down() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 230, 180), np.uint8)
    small = answers.thumbnail(image)
    assert small.shape == (3, 76, 60)
    assert small[1, 5, 7] == round(float(image[1, 15:18, 21:24].mean()))
    assert answers.thumbnail(image[:, :90, :90]).shape == (3, 90, 90)
