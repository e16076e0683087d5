"""Writes the pages that are made when the documentation is built.

Measurements: each Markdown file of bench/results becomes a page; the JSON file that it was written
from says for the overview where it was measured and which targets were met. The command line: what
each command's --help says.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

INTRODUCTION = """# Benchmarks

What was measured, by one run each, and written by it; every contender's answers are checked before
it is timed. Timings belong to the machine and the hour: compare ratios and shares. `make bench`
measures here, and `make bench-compare A=old.json B=new.json` shows what a change did.
"""


def write_benchmarks(results: Path, folder: Path) -> list[str]:
    """Write the pages anew.

    Args:
        results: the folder bench/results.
        folder: where the pages go; what is there is removed.

    Returns:
        The names of the pages, the overview first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = sorted(results.glob("*.md"))
    for picture in results.glob("*.svg"):
        shutil.copy(picture, folder)
    rows = []
    for page in pages:
        text = page.read_text()
        shutil.copy(page, folder)
        figures = page.with_suffix(".json")
        found = json.loads(figures.read_text()) if figures.is_file() else {}
        title = text.splitlines()[0].removeprefix("# ")
        rows.append(f"| [{title}]({page.name}) | {_machine(found)} | {_targets(found)} |")
    table = "\n".join(["| page | measured on | targets met |", "|---|---|---:|", *rows])
    tree = "\n".join(["```{toctree}", ":hidden:", "", *(page.stem for page in pages), "```"])
    (folder / "index.md").write_text(f"{INTRODUCTION}\n{table}\n\n{tree}\n")
    return ["index", *(page.stem for page in pages)]


def _machine(found: Mapping[str, Any]) -> str:
    """The CPUs or GPUs and levels that rows, or the whole file, were measured with."""
    machines = [row["machine"] for row in found.get("rows", []) if "machine" in row]
    machines += [found["machine"]] if "machine" in found else []
    named = {
        ", ".join(
            str(part)
            for part in (machine.get("device") or machine.get("cpu"), machine["isa"])
            if part
        )
        for machine in machines
        if "isa" in machine
    }
    return "; ".join(sorted(named))


def _targets(found: Mapping[str, Any]) -> str:
    outcomes = list(_outcomes(found))
    met = sum(outcome["reached"] >= outcome["at_least"] for outcome in outcomes)
    return f"{met} of {len(outcomes)}" if outcomes else ""


def _outcomes(found: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
    for row in found.get("rows", []):
        yield from (target for target in row.get("targets", ()) if "at_least" in target)


COMMAND_LINE = """# The command line

What `hashcore COMMAND --help` says. `hashcore` needs the extra `cli`, and the commands that train
or encode need `train` too.
"""


def write_command_line(page: Path) -> None:
    """Write the page of all commands anew."""
    from hashcore.cli import COMMANDS

    sections = [
        f"## hashcore {name}\n\n{does}.\n\n```text\n{_help(name)}\n```"
        for name, does in COMMANDS.items()
    ]
    page.write_text("\n\n".join([COMMAND_LINE.strip(), *sections]) + "\n")


def _help(command: str) -> str:
    """Its help in plain text of 92 columns."""
    from hashcore.cli import main

    said = io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "92"
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main([command, "--help"])
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
