"""The code blocks of a Markdown page, run in order as a reader would.

A page's `python` blocks share their names, its `sh` blocks run in Bash with `-e`, and all of them
in one folder. A comment right above a block says what a test does otherwise:

    <!-- not run: REASON -->            the block is left out
    <!-- in tests: A -> B ; C -> D -->  A, which the block must contain, is replaced by B
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = ("python", "sh")
# What needs no run: output, files, other languages, Sphinx's directives.
SHOWN = ("text", "toml", "cmake", "cpp", "{toctree}", "{eval-rst}")
_BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]*) -->\n)?```(?P<language>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code, with what a test changes in it.

    Attributes:
        line: of the first line of code, from 1.
        code: as a test runs it.
        not_run: why it is left out; empty where it is run.
    """

    line: int
    language: str
    code: str
    not_run: str


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page.

    Raises:
        ValueError: an unknown language or marker, or a replacement of what is not there.
    """
    text = page.read_text()
    found = [_block(page, text, match) for match in _BLOCK.finditer(text)]
    if 2 * len(found) != len(re.findall(r"^\s*```", text, re.MULTILINE)):
        raise ValueError(f"{page}: a block that is not closed, or is indented")
    return found


def _block(page: Path, text: str, match: re.Match[str]) -> Block:
    line = text[: match.start("code")].count("\n") + 1
    language = match["language"]
    if language.split(" ")[0] not in RUN + SHOWN:
        raise ValueError(f'{page}:{line}: expected {", ".join(RUN + SHOWN)}; got "{language}"')
    code, marker = match["code"], match["marker"] or ""
    if marker.startswith("in tests: "):
        for change in marker.removeprefix("in tests: ").split(" ; "):
            old, new = change.split(" -> ")
            if old not in code:
                raise ValueError(f'{page}:{line}: expected "{old}" in the block')
            code = code.replace(old, new)
        marker = ""
    elif marker and not re.fullmatch(r"not run: \S.+", marker):
        raise ValueError(f'{page}:{line}: expected "not run: REASON" or "in tests: A -> B"')
    return Block(line, language, code, marker)


def run_blocks(page: Path, folder: Path) -> dict[str, Any]:
    """Run a page's blocks in a folder, the current one; returns the names of its Python."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks_of(page):
        if block.not_run or block.language not in RUN:
            continue
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.code  # so that errors name the page's lines
            exec(compile(code, str(page), "exec", dont_inherit=True), names)
        else:
            _run_shell(page, block, folder)
    return names


def _run_shell(page: Path, block: Block, folder: Path) -> None:
    folders = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    done = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", block.code],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page}:{block.line}\n{block.code}\n{done.stdout}"
