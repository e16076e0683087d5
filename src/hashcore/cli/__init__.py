"""The command `hashcore`: train, encode, index, search and evaluate from a shell.

Importing this package is light; a subcommand imports what it needs when it runs.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from hashcore._extras import MissingExtraError, missing_package

COMMANDS = {
    "demo": "Train on generated pictures, search a million codes, write a report",
    "data": "Prepare a data set as mapped arrays; check it for leakage",
    "train": "Learn codes from a data set; writes a run directory",
    "encode": "Turn features, tokens, texts or a data set into packed codes",
    "index": "Build an index file from packed codes",
    "search": "Find the nearest codes of an index",
    "evaluate": "Measure a run on its query rows",
    "report": "Compare training runs on one page",
    "reproduce": "Run the experiments of a file, and write their tables",
    "info": "Show the version, the CPU, the build and the optional packages",
}
USAGE = 2
INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments after the program's name; those of the process when None.

    Returns:
        The exit code: 0, 1 for a check that failed, 2 for an error, 130 after Ctrl-C.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(args)
    except KeyboardInterrupt as stop:
        if not stop.args:  # with arguments: whoever raised it has told the user
            print("hashcore: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return _BROKEN_PIPE
    except Exception as error:
        if os.environ.get("HASHCORE_DEBUG") == "1":
            raise
        print(f"hashcore: error: {_one_line(error)}", file=sys.stderr)
        return USAGE


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(_overview(), file=sys.stdout if args else sys.stderr)
        return 0 if args else USAGE
    if args[0] == "--version":
        from hashcore import __version__

        print(f"hashcore {__version__}")
        return 0
    name = args[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(COMMANDS)}"
        raise ValueError(f'unknown command "{name}"; {hint}')
    command = importlib.import_module(f"hashcore.cli.{name}")
    code: int = command.main(args[1:])
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: hashcore COMMAND [options]",
            "",
            "Learn binary codes for images and texts, and search them by Hamming distance.",
            "",
            *rows,
            "",
            "Example:  hashcore demo",
            'Options:  "hashcore COMMAND --help" shows every option with its default.',
        ]
    )


def _one_line(error: Exception) -> str:
    """The message of an error on one line; where it says nothing by itself, its type too."""
    text = " ".join(str(error).split())
    if isinstance(error, MissingExtraError):
        return text
    if isinstance(error, ModuleNotFoundError) and error.name:
        return missing_package(error.name)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ValueError | TypeError | FloatingPointError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text} (HASHCORE_DEBUG=1 shows where)"
