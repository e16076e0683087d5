"""`hashcore index`: build an index file from packed codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

import hashcore
from hashcore._arrays import describe
from hashcore.cli._arrays import open_array, open_codes
from hashcore.cli._parse import parse, progress_bar
from hashcore.index import IndexKind, Layout

_DESCRIPTION = """Build an index file from .npy files of packed codes, which are memory-mapped.

The index is never held in memory, and a build that was killed goes on when it is run again.

Example:  hashcore index codes.npy --out pictures.hci"""
_ROWS_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class IndexOptions:
    """Options of `hashcore index`."""

    codes: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CODES")]
    """The .npy files, uint8 [n, bytes], one after the other."""
    out: Path
    """The index file to write."""
    bits: int | None = None
    """Width of the codes; 8 x bytes when None."""
    ids: Path | None = None
    """A .npy file with an int64 id for every code; their positions when None."""
    kind: IndexKind = "auto"
    """Kind of the index; every kind is exact. auto takes hash tables (mih) where they are expected
    to make searches clearly faster."""
    layout: Layout | None = None
    """Of mih: fast, or compact, about half its size."""
    memory: float | None = None
    """GiB to hold while building; half of the machine's memory when None."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(IndexOptions, args, command="index", description=_DESCRIPTION)
    if not options.codes:
        raise ValueError("index: expected at least one .npy file of codes")
    parts = [(path, open_codes(path)) for path in options.codes]
    width = parts[0][1].shape[1]
    for path, codes in parts:
        if codes.shape[1] != width:
            raise ValueError(
                f"{path}: codes of {codes.shape[1]} bytes; those of {options.codes[0]} have {width}"
            )
    total = sum(len(codes) for _, codes in parts)
    ids = _ids(options.ids, total)
    codes = parts[0][1]
    chunks = (part[i : i + _ROWS_AT_A_TIME] for _, part in parts for i in _starts(part))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if ids is not None and np.any(ids[1:] <= ids[:-1]):
        order = np.argsort(ids, kind="stable")
        codes, ids = np.concatenate([part for _, part in parts])[order], ids[order]
        parts = parts[:1]
    with progress_bar("index", "code") as progress:
        index = hashcore.Index.build(
            options.out,
            codes if len(parts) == 1 else chunks,
            ids,
            bits=8 * width if options.bits is None else options.bits,
            kind=options.kind,
            layout=options.layout,
            memory_budget=None if options.memory is None else int(options.memory * 2**30),
            progress=progress,
        )
    print(f"{options.out}: {len(index):,} codes of {index.bits} bits, {index.kind}")
    return 0


def _starts(part: NDArray[np.uint8]) -> range:
    return range(0, len(part), _ROWS_AT_A_TIME)


def _ids(path: Path | None, total: int) -> NDArray[np.int64] | None:
    if path is None:
        return None
    ids = open_array(path)
    if ids.dtype != np.int64 or ids.shape != (total,):
        raise ValueError(
            f"{path}: expected int64 [{total}], an id for every code; got {describe(ids)}"
        )
    return ids
