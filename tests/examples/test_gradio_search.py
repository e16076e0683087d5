"""The Gradio example on a small run: what its functions answer, and that its page is served."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import hashcore
from conftest import REPOSITORY
from hashcore import cli
from hashcore.data import load
from hashcore.train import Hasher

PAIRS = 90


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("gradio", reason="needs gradio (extra app)")
    spec = spec_from_file_location("gradio_search", REPOSITORY / "examples" / "gradio_search.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["gradio_search"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "shapes"
    narrow = ["--dth.branch.hidden", "16", "--dth.branch.pixel-channels", "4"]
    last = ["--epochs", "1", "--selection", "last", "--validation", "0", "--no-progress"]
    line = ["train", "--pairs", str(PAIRS), "--bits", "20", "--out", str(out)]
    assert cli.main([*line, *last, *narrow, "--device", "cpu"]) == 0
    return out


@pytest.fixture(scope="module")
def search(example: ModuleType, run: Path) -> Any:
    return example.Search(run)


def expected(run: Path, asked: np.ndarray, modality: str) -> tuple[list[int], list[int]]:
    """Rows and distances of the eight nearest unseen codes, by NumPy."""
    data, hasher = load("shapes", pairs=PAIRS), Hasher.load(run / "hasher")
    rows = data.split.query
    codes = (
        hasher.encode_image(data.image[rows])
        if modality == "image"
        else hasher.encode_text(data.text[rows])
    )
    apart = np.unpackbits(codes ^ asked, axis=1).sum(axis=1)
    order = np.argsort(apart, kind="stable")[:8]
    return rows[order].tolist(), apart[order].tolist()


def test_words_find_the_nearest_pictures(example: ModuleType, search: Any, run: Path) -> None:
    data = load("shapes", pairs=PAIRS)
    asked = Hasher.load(run / "hasher").encode_text(["a small red circle"])
    rows, distances = expected(run, asked, "image")
    shown, bits, times = example.App(search).pictures("a small red circle")
    for (picture, caption), row, distance in zip(shown, rows, distances, strict=True):
        assert picture.shape == (192, 192, 3)
        assert np.array_equal(picture[::6, ::6], data.image[row].transpose(1, 2, 0))
        assert caption == f"{distance} bits away: {data.captions[row]}"
    assert re.findall(r'aria-label="(\d+) of 20 bits match"', bits) == [
        "20",
        *(str(20 - distance) for distance in distances),
    ]
    assert bits.count(" off") == sum(distances)
    stages = dict(re.findall(r"\| (\w+) \| ([\d.]+) \|", times))
    assert list(stages) == ["encode", "search", "fetch"]
    assert float(stages["encode"]) > 0


def test_bits_are_drawn_as_they_are(example: ModuleType) -> None:
    codes = hashcore.pack(np.array([[1, 0, 1, 1], [1, 1, 0, 1]], dtype=np.bool_))
    found = example.Found(codes[0], [0], [2], codes[1:], {})
    asked, hit = re.findall(r"<tr>.*?</tr>", example.bits_table(found, ["<b>"], 4))
    assert re.findall(r'class="([\w ]+)"', asked) == ["one", "zero", "one", "one"]
    assert re.findall(r'class="([\w ]+)"', hit) == ["one", "one off", "zero off", "one"]
    assert "&lt;b&gt;" in hit


def test_a_picture_finds_the_nearest_words(example: ModuleType, search: Any, run: Path) -> None:
    data = load("shapes", pairs=PAIRS)
    row = int(data.split.query[3])
    asked = Hasher.load(run / "hasher").encode_image(data.image[row : row + 1])
    rows, distances = expected(run, asked, "text")
    picture = data.image[row].transpose(1, 2, 0)
    shown, _, _ = example.App(search).captions(picture)
    assert shown == [[d, data.captions[r]] for r, d in zip(rows, distances, strict=True)]
    # A picture of another size is averaged to that of the training.
    large = np.kron(picture, np.ones((3, 3, 1), np.uint8))
    assert example.App(search).captions(large)[0] == shown


def test_what_cannot_be_searched_is_told(example: ModuleType, search: Any) -> None:
    import gradio as gr

    app = example.App(search)
    for question, message in (
        (" ", "expected some words, such as"),
        ("a pink cat", "never met: pink, cat; it knows: a, small"),
    ):
        with pytest.raises(gr.Error, match=message):
            app.pictures(question)
    with pytest.raises(gr.Error, match="expected a picture"):
        app.captions(None)


def test_a_folder_that_is_no_run_is_told(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main([str(tmp_path)])
    assert stop.value.code == 2
    assert "no such checkpoint" in capsys.readouterr().err


def get(address: str, body: dict[str, Any] | None = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def address(example: ModuleType, run: Path) -> Iterator[str]:
    """Where a process of the example serves its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, example.__file__ or "", str(run), "--port", str(port)]
    process = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    where = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()[1]
            with contextlib.suppress(urllib.error.URLError):
                get(where)
                break
            time.sleep(0.2)
        yield where
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_the_page_is_served_and_answers(address: str, run: Path) -> None:
    assert "hashcore search" in get(address)
    asked = Hasher.load(run / "hasher").encode_text(["a small red circle"])
    _, distances = expected(run, asked, "image")
    call = f"{address}/gradio_api/call/pictures"
    event = json.loads(get(call, {"data": ["a small red circle"]}))["event_id"]
    pictures, bits, times = json.loads(get(f"{call}/{event}").split("data: ")[1])
    shown = [int(picture["caption"].split()[0]) for picture in pictures]
    assert shown == distances
    assert bits.count("role=") == 1 + len(distances)
    assert "| search |" in times
