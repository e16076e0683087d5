"""`hashcore report`: one page that compares training runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hashcore.cli._parse import parse, progress_bar
from hashcore.cli._run_directory import load_hasher, newest_run, open_data, read_settings

if TYPE_CHECKING:
    from hashcore.data import CrossModalDataset
    from hashcore.report.runs import TrainedRun

_DESCRIPTION = """Compare training runs on one page that needs nothing beside it.

The page shows settings with what differs, metrics under the three database protocols, learning
curves, plots of the codes, and what queries found, with pictures where the data have them.

Example:  hashcore report runs/shapes-dth-64 runs/shapes-drhc-64 --out report.html"""


@dataclass(frozen=True)
class ReportOptions:
    """Options of `hashcore report`."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = ()
    """Run directories; the newest under runs/ when none is given."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("report.html")
    """The page to write."""
    path: Path | None = None
    """File or folder of the data set of all runs, where it has moved since the training."""
    device: str = "cpu"
    """Where the hashers encode."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(ReportOptions, args, command="report", description=_DESCRIPTION)
    from hashcore.report import compare, html
    from hashcore.report.runs import STEPS, measure

    directories = options.runs or (newest_run(),)
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise ValueError("report: a run was given twice; name each once")
    names = _names(directories)
    known: dict[str, CrossModalDataset] = {}
    done = 0
    with progress_bar("report", "step") as progress:

        def step() -> None:
            nonlocal done
            done += 1
            progress(done, (STEPS + 1) * len(directories))

        findings = [
            measure(_open(directory, name, options, known), step)
            for directory, name in zip(directories, names, strict=True)
        ]
        html.write(compare.render(findings, step), options.out)
    runs = "1 run" if len(findings) == 1 else f"{len(findings)} runs"
    print(
        f"{options.out}: {runs}, {options.out.stat().st_size / 1e6:.1f} MB (open it in a browser)"
    )
    return 0


def _open(
    directory: Path, name: str, options: ReportOptions, known: dict[str, CrossModalDataset]
) -> TrainedRun:
    from hashcore.report.runs import TrainedRun

    source, dataset = open_data(directory, options.path, known)
    return TrainedRun(
        name,
        load_hasher(directory, options.device),
        dataset,
        {"name": source.name, "options": source.options},
        read_settings(directory),
    )


def _names(directories: Sequence[Path]) -> list[str]:
    """Names of the directories; where two are alike, with as many parents as it takes."""
    parts = [directory.resolve().parts[1:] for directory in directories]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]
