"""`hashcore evaluate`: measure a run on its query rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from hashcore.cli._parse import as_json, parse, progress_bar
from hashcore.cli._run_directory import load_hasher, newest_run, open_data

_DESCRIPTION = """Measure a run on the query rows of its split, in both directions.

Under the protocol "unseen" the database is the other modality of the query rows, which
nothing was trained on; under "encoded" it is the database rows of the split, and under
"labelled" the same rows, encoded from their labels.

Example:  hashcore evaluate runs/wikipedia-dth-64 --json"""


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `hashcore evaluate`."""

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    """Run directory; the newest under runs/ when not given."""
    path: Path | None = None
    """File or folder of the data set, where it has moved since the training."""
    protocols: tuple[Literal["unseen", "encoded", "labelled"], ...] = (
        "unseen",
        "encoded",
        "labelled",
    )
    """Which rows are the database."""
    json: bool = False
    """Print JSON instead of tables."""
    device: str = "cpu"
    """Where the hasher encodes."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(EvaluateOptions, args, command="evaluate", description=_DESCRIPTION)
    from hashcore.train import evaluate_hasher

    run = options.run or newest_run()
    _, dataset = open_data(run, options.path)
    split, hasher = dataset.split.hash, load_hasher(run, options.device)
    reports: dict[Any, Any] = {}
    with progress_bar("evaluate", "protocol") as progress:
        for i, protocol in enumerate(options.protocols):
            reports |= evaluate_hasher(hasher, dataset, (protocol,))
            progress(i + 1, len(options.protocols))
    if options.json:
        print(as_json(_document(run, dataset.name, split, hasher, reports)))
        return 0
    print(f"{run}: {hasher.method}, {hasher.bits} bits, {dataset.name}, split {split[:12]}")
    for directions in reports.values():
        for report in directions.values():
            print(f"\n{report}")
    return 0


def _document(run: Path, data: str, split_hash: str, hasher: Any, reports: Any) -> dict[str, Any]:
    return {
        "run": str(run),
        "data": data,
        "split": split_hash,
        "method": hasher.method,
        "bits": hasher.bits,
        "protocols": {
            protocol: {name: report.to_dict() for name, report in directions.items()}
            for protocol, directions in reports.items()
        },
    }
