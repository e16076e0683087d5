"""The README's code runs as it is written, and what it and the map of the sources name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from code_blocks import run_blocks
from conftest import REPOSITORY

README = REPOSITORY / "README.md"
ARCHITECTURE = REPOSITORY / "docs" / "explanation" / "architecture.md"


def test_the_readme_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks(README, tmp_path)
    assert (tmp_path / "codes.hci").is_file()
    assert names["ids"][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert names["near"].ids[0] == 0
    assert len(names["index"]) == 1_000_000


def test_the_readme_is_one_screen_and_its_links_lead_somewhere() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 85
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 15
    for link in links:
        assert (README.parent / link).is_file(), link


SOURCES = {".py", ".cpp", ".h", ".cu"}


def test_the_map_of_the_sources_has_every_part() -> None:
    text = ARCHITECTURE.read_text()
    folders = [*(REPOSITORY / "csrc").iterdir(), *(REPOSITORY / "src" / "hashcore").iterdir()]
    for folder in folders:
        if folder.is_dir() and any(file.suffix in SOURCES for file in folder.iterdir()):
            assert f"{folder.name}/" in text, folder
