"""`hashcore data`: prepare a data set as mapped arrays, and check it for leakage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import tyro

from hashcore.cli._parse import as_json, parse, progress_bar
from hashcore.data import (
    DATASETS,
    Finding,
    Manifest,
    Transform,
    check_prepared,
    open_source,
    prepare,
)
from hashcore.data.check import Kind
from hashcore.data.prepared import PARTS

_PREPARE = """Write a data set as one directory of mapped arrays, with a manifest.

The files are read block by block and every value is checked. The directory appears whole or not at
all; train on it with --data prepared --path DIR.

Example:  hashcore data prepare mirflickr --source mirflickr25k --out prepared/mirflickr --check"""
_CHECK = """Look for damage, leakage and duplicates in a prepared directory.

Leakage: a query row that is a training or database row too, or has the same bytes as one, in its
image, its text or both. The exit code is 1 when anything is found that is not allowed.

Example:  hashcore data check prepared/mirflickr --allow leaked-texts duplicate-texts"""
FOUND = 1

# The registry is the truth about the names; a checker sees str.
if TYPE_CHECKING:
    DataName: TypeAlias = str
else:
    DataName = Literal[tuple(name for name in DATASETS if name != "prepared")]


@dataclass(frozen=True)
class PrepareOptions:
    """Options of `hashcore data prepare`; those that are None take the default of the set."""

    name: Annotated[DataName, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Data set."""
    out: Path
    """Directory to write; must not exist or be empty."""
    source: Path | None = None
    """File or folder with the files of the set; none for shapes."""
    queries: int | None = None
    """Rows of the query part, where the files are not split (also shapes)."""
    train_rows: int | None = None
    """Rows that are trained on, where the files are not split."""
    seed: int | None = None
    """Seed of the drawing of the split, or of all (shapes)."""
    concepts: Literal[21, 10] | None = None
    """Which of the two sets (nus-wide)."""
    captions: int | None = None
    """Captions of an image that make its text (coco)."""
    min_count: int | None = None
    """Words seen fewer times in the training rows read as unknown (coco)."""
    max_length: int | None = None
    """Words of a text (coco)."""
    image_transform: Transform | None = None
    """What the trainer applies to image features (arrays)."""
    text_transform: Transform | None = None
    """What the trainer applies to text features (arrays)."""
    pairs: int | None = None
    """Pairs to draw (shapes)."""
    check: bool = False
    """Look for leakage and duplicates when it is written; hashcore data check tells how."""
    allow: tuple[Kind, ...] = ()
    """Findings of --check that do not make the exit code 1."""


@dataclass(frozen=True)
class CheckOptions:
    """Options of `hashcore data check`."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The prepared directory."""
    allow: tuple[Kind, ...] = ()
    """Findings that do not make the exit code 1."""
    json: bool = False
    """Print JSON instead of lines."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    actions: dict[str, Callable[[Sequence[str]], int]] = {"prepare": _prepare, "check": _check}
    if args and args[0] in actions:
        return actions[args[0]](args[1:])
    if args and args[0] in ("-h", "--help"):
        for action in actions.values():
            try:
                action(["--help"])
            except SystemExit as shown:
                if shown.code:
                    raise
        raise SystemExit(0)
    got = f'got "{args[0]}"' if args else "got nothing"
    raise ValueError(f"data: expected prepare or check; {got}. See: hashcore data --help")


def _prepare(args: Sequence[str]) -> int:
    options = parse(PrepareOptions, args, command="data prepare", description=_PREPARE)
    own = ("name", "out", "source", "check", "allow")
    given = {k: v for k, v in asdict(options).items() if k not in own and v is not None}
    source = open_source(options.name, options.source, **given)
    with progress_bar("prepare", "B") as progress:
        manifest = prepare(
            source, options.out, loader=options.name, options=given, progress=progress
        )
    if options.check:
        return _report(options.out, options.allow, as_json_text=False)
    print(f"{options.out}: {_summary(manifest)}")
    print(f"(next: hashcore train --data prepared --path {options.out})")
    return 0


def _check(args: Sequence[str]) -> int:
    options = parse(CheckOptions, args, command="data check", description=_CHECK)
    return _report(options.directory, options.allow, as_json_text=options.json)


def _report(directory: Path, allow: Sequence[Kind], *, as_json_text: bool) -> int:
    with progress_bar("check", "B") as progress:
        manifest, findings = check_prepared(directory, progress)
    failed = any(finding.kind not in allow for finding in findings)
    if as_json_text:
        print(as_json(_document(directory, manifest, findings, allow)))
        return FOUND if failed else 0
    print(f"{directory}: {_summary(manifest)}")
    for finding in findings:
        allowed = " (allowed)" if finding.kind in allow else ""
        print(f"  {finding.kind}{allowed}: {finding.text}")
    if not findings:
        print("  no damage, no leakage, no duplicates")
    return FOUND if failed else 0


def _summary(manifest: Manifest) -> str:
    counts = manifest.counts
    parts = ", ".join(f"{part} {counts[part]:,}" for part in PARTS)
    unlabelled = f", {counts['unlabelled']:,} pairs without a label" if counts["unlabelled"] else ""
    return (
        f"{manifest.name}, {counts['pairs']:,} pairs: {parts}; {counts['classes']} classes"
        f"{unlabelled}; split {manifest.split_hash[:12]} ({manifest.protocol})"
    )


def _document(
    directory: Path, manifest: Manifest, findings: Sequence[Finding], allow: Sequence[Kind]
) -> dict[str, Any]:
    return {
        "directory": str(directory),
        "name": manifest.name,
        "split": manifest.split_hash,
        "protocol": manifest.protocol,
        "counts": manifest.counts,
        "findings": [{**asdict(finding), "allowed": finding.kind in allow} for finding in findings],
    }
