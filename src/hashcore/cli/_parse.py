"""Options from dataclasses, and progress on stderr: what the subcommands share."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_OPTION = re.compile(r"--[a-z]|[A-Z]+( |$)")
_BOX = re.compile(r"[\u2500-\u257f|]+|^\+?-{5,}\+?$")
_CLASS = re.compile(r"^Error parsing [A-Z]\w*: ")


def parse(options: type[T], args: Sequence[str], *, command: str, description: str) -> T:
    """Options of a subcommand, from its arguments.

    Args:
        options: a dataclass; its fields and their docstrings are the options and their help.
        args: the arguments after the subcommand.
        command: name of the subcommand.
        description: heads the help; ends in an example.

    Raises:
        ValueError: the arguments do not fit, in one line.
        SystemExit: with code 0, after --help.
        ModuleNotFoundError: tyro is missing.
    """
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                options,
                args=list(args),
                prog=f"hashcore {command}",
                description=description,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(f"{command}: {_condense(said.getvalue(), command)}") from None


def _condense(box: str, command: str) -> str:
    """The text of an error box as one line: what is wrong, a near option, where the help is."""
    wrong: list[str] = []
    options: list[str] = []
    section = "wrong"
    lines = [line.strip(" |") for line in _ANSI.sub("", box).splitlines()]
    for line in (_BOX.sub(" ", line).strip() for line in lines[1:]):
        if line.startswith(("For full helptext", "Argument helptext")):
            break
        if line.startswith("Missing from"):
            section = "missing"
        elif line.startswith(("Perhaps you meant", "Arguments similar to")):
            section = "near"
        elif section == "wrong":
            wrong.append(line)
        elif _OPTION.match(line):
            options.append(line.split()[0].rstrip(","))
    text = _CLASS.sub("", " ".join(filter(None, wrong)).rstrip("."))
    if section == "missing":
        text = f"missing {' and '.join(options)}"
    elif options:
        text += f"; did you mean {' or '.join(dict.fromkeys(options[:3]))}?"
    return f"{text or 'the options do not fit'}. See: hashcore {command} --help".replace("?.", "?")


@contextlib.contextmanager
def progress_bar(
    title: str, unit: str, *, delay: float = 2.0
) -> Iterator[Callable[[int, int], None]]:
    """A `(done, total)` callable that shows a bar on stderr once it has taken two seconds."""
    from tqdm import tqdm

    bar = tqdm(desc=title, unit=unit, unit_scale=True, delay=delay, file=sys.stderr, leave=False)

    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield update
    finally:
        bar.close()


def as_json(value: Any) -> str:
    """JSON for a user's eyes and tools."""
    return json.dumps(value, indent=2, ensure_ascii=False)
