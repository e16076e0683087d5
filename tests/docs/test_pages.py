"""The documentation: every code block runs, paths exist, and Sphinx has no warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from code_blocks import RUN, blocks_of, run_blocks
from hashcore.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WRITTEN = ("benchmarks", "_build")  # when the documentation is built
PAGES = [
    path
    for path in sorted(DOCS.rglob("*.md"))
    if path.relative_to(DOCS).parts[0] not in WRITTEN and path.name != "command-line.md"
]
IDS = [str(page.relative_to(DOCS)) for page in PAGES]
WITH_CODE = [
    page.relative_to(DOCS)
    for page in PAGES
    if any(block.language in RUN for block in blocks_of(page))
]


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """The methods are the project's own again after a page that adds one."""
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.mark.timeout(900)  # a busy machine fails no test
@pytest.mark.parametrize("page", WITH_CODE, ids=map(str, WITH_CODE))
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / page
    blocks = [block for block in blocks_of(page) if block.language in RUN]
    if all(block.not_run for block in blocks):
        pytest.skip(blocks[0].not_run)
    monkeypatch.chdir(tmp_path)
    run_blocks(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    folders = "csrc|src|python|tests|bench|examples|docs"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]*)`", page.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.timeout(900)  # a busy machine fails no test
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="needs the extra docs; make docs installs it")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    command += ["--builder", "html", "--doctree-dir", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "html")],
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in ("index", "tutorial", "benchmarks/engine", "reference/command-line"):
        assert (tmp_path / "html" / f"{page}.html").is_file()
    reference = (tmp_path / "html" / "reference" / "engine.html").read_text()
    for name in ("hashcore.Index.search", "hashcore.pack", "hashcore.Filter.allow"):
        assert f'id="{name}"' in reference, name
