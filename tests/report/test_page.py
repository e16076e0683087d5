from __future__ import annotations

import base64
import dataclasses
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hashcore.data import CrossModalDataset
from hashcore.report import answers, charts, page
from hashcore.report import html as pages
from hashcore.report.result import DemoResult


@pytest.fixture(scope="module")
def html(result: DemoResult, shapes: CrossModalDataset) -> str:
    return page.render(result, shapes)


class Tags(HTMLParser):
    """Opened and closed tags must match; what they refer to is kept."""

    VOID = frozenset({"meta", "img", "br", "path", "use", "link", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [v for k, v in attrs if k in ("src", "href") and v is not None]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_needs_nothing_beside_it(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in tags.sources)
    assert not re.search(r"url\((?!#)|@import|<script", html)


def test_figures_and_captions_are_there(
    html: str, result: DemoResult, shapes: CrossModalDataset
) -> None:
    for text in (".934", ".206", ".134", "1,001,000", "198", "avx512_vpopcnt"):
        assert text in html
    for answer in result.captions_answered:
        assert f"<h3>{shapes.captions[answer.row]}</h3>" in html
    assert html.count('class="tile own"') == len(result.captions_answered)
    assert html.count('class="tile distractor"') == len(result.captions_answered)
    assert "Check failed" not in html


def test_the_same_result_gives_the_same_bytes(
    html: str, result: DemoResult, shapes: CrossModalDataset
) -> None:
    assert page.render(result, shapes) == html


def test_text_of_the_data_is_escaped(result: DemoResult, shapes: CrossModalDataset) -> None:
    captions = ("<script>alert(1)</script>",) * len(shapes)
    html = page.render(result, dataclasses.replace(shapes, captions=captions))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_failed_check_is_on_the_page(result: DemoResult, shapes: CrossModalDataset) -> None:
    search = dataclasses.replace(result.search, identical=False)
    failed = dataclasses.replace(result, search=search)
    assert len(failed.failures()) == 1
    assert "different answers" in page.render(failed, shapes)


def test_no_better_than_the_baseline_is_a_failure(result: DemoResult) -> None:
    first, second = result.directions
    weak = dataclasses.replace(first, trained=first.untrained)
    result = dataclasses.replace(result, directions=(weak, second))
    failures = result.failures()
    assert len(failures) == 1
    assert dataclasses.replace(result, quick=True).failures() == []
    assert "text -> image: mAP 0.206 is not above CCA + sign 0.206" in failures[0]


def test_pictures_survive() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    uri = answers.png_data_uri(image)
    path = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    pixels = imread_bytes(path)
    assert np.array_equal(pixels[..., :3], image.transpose(1, 2, 0))


def imread_bytes(data: bytes) -> np.ndarray:
    return np.asarray(np.rint(imread(io.BytesIO(data), format="png") * 255), dtype=np.uint8)


def test_charts_follow_the_page(result: DemoResult) -> None:
    for draw in (charts.precision_recall, charts.distance_shares):
        svg = draw(result.directions[0])
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("width") is None
        assert root.get("viewBox")
        assert "var(--series-3)" in svg
        assert "#0102" not in svg


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (41.23, "41.2 s"),
        (1.234, "1.23 s"),
        (0.0213, "21.3 ms"),
        (3e-7, "0.30 µs"),
        (333e-6, "333 µs"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert pages.duration(seconds) == text.replace(" ", "\u00a0")


def test_shared_names_are_marked() -> None:
    assert answers.marked("a red circle above a blue star", ["red circle"]) == [
        ("a ", False),
        ("red circle", True),
        (" above a blue star", False),
    ]
    assert answers.marked("a red star", []) == [("a red star", False)]


def test_write_replaces_whole_files(tmp_path: Path) -> None:
    target = tmp_path / "demo" / "report.html"
    pages.write("one", target)
    pages.write("two ×", target)
    assert target.read_text(encoding="utf-8") == "two ×"
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]
