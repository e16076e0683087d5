"""`hashcore index`: build an index file from packed codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

import hashcore
from hashcore._arrays import describe
from hashcore.cli._arrays import open_array, open_codes
from hashcore.cli._parse import parse, progress_bar

_DESCRIPTION = """Build an index file from .npy files of packed codes, which are memory-mapped.

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
    kind: Literal["flat", "auto"] = "flat"
    """Kind of the index; every kind is exact."""


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
    index = hashcore.Index(8 * width if options.bits is None else options.bits, options.kind)
    with progress_bar("index", "code") as progress:
        done = 0
        for _, codes in parts:
            for start in range(0, len(codes), _ROWS_AT_A_TIME):
                chunk = np.array(codes[start : start + _ROWS_AT_A_TIME])
                index.add(chunk, None if ids is None else np.array(ids[done : done + len(chunk)]))
                done += len(chunk)
                progress(done, total)
    if index.stats()["delta"] > 0:  # codes that came below others, or after what cannot grow
        with progress_bar("compact", "code") as progress:
            index.compact(progress=progress)
    with progress_bar("write", "B") as progress:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        index.save(options.out, progress=progress)
    print(f"{options.out}: {len(index):,} codes of {index.bits} bits, {index.kind}")
    return 0


def _ids(path: Path | None, total: int) -> NDArray[np.int64] | None:
    if path is None:
        return None
    ids = open_array(path)
    if ids.dtype != np.int64 or ids.shape != (total,):
        raise ValueError(
            f"{path}: expected int64 [{total}], an id for every code; got {describe(ids)}"
        )
    return ids
