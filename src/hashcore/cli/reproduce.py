"""`hashcore reproduce`: all runs of an experiment, and their tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hashcore.cli._parse import parse

_DESCRIPTION = """Run methods on data sets at several widths and seeds, and write tables.

What runs stands in a TOML file; each run is kept when it ends, and the same command goes on after
Ctrl-C or a kill. A run whose settings have changed runs again.

Example:  hashcore reproduce bench/methods.toml --jobs 2"""
RUN_FAILED = 1
_KEPT = Path("runs/reproduce")


@dataclass(frozen=True)
class ReproduceOptions:
    """Options of `hashcore reproduce`."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.toml")]
    """What to run."""
    data: Path | None = None
    """Folder of the data sets; HASHCORE_DATA, else the folder that FILE names, when None."""
    out: Path | None = None
    """Folder of the tables; "results" beside FILE when None."""
    keep: Path = _KEPT
    """Folder that keeps a file for every run."""
    jobs: int = 1
    """Runs at a time, a process and a thread each."""
    methods: tuple[str, ...] = ()
    """Run these methods only; the tables show whatever is kept."""
    fresh: bool = False
    """Do runs that are kept once more."""
    take_over: Path | None = None
    """Results as JSON, such as bench/results/methods.json: cells whose settings and seeds are the
    same are taken over, not run."""
    tables: bool = False
    """Only write the tables of what is kept."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(ReproduceOptions, args, command="reproduce", description=_DESCRIPTION)
    from hashcore.experiments.held import Held
    from hashcore.experiments.reproduce import write
    from hashcore.experiments.runner import Runner
    from hashcore.experiments.spec import read
    from hashcore.experiments.store import Store

    experiment = read(options.file, options.data)
    runner = Runner(Store(options.keep), jobs=options.jobs, say=_say)
    if options.take_over is not None:
        runner.take_over(Held.read(options.take_over), experiment.cells)
    failed: list[str] = []
    if not options.tables:
        failed = runner.complete(experiment.runs(options.methods), fresh=options.fresh)
    for file in write(
        experiment, runner, options.out or options.file.parent / "results", options.file.stem
    ):
        print(file)
    for reason in failed:
        print(f"hashcore: run failed: {reason}", file=sys.stderr)
    return RUN_FAILED if failed else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
