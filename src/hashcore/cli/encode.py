"""`hashcore encode`: turn features, tokens, texts or a data set into packed codes."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from hashcore.cli._arrays import open_array
from hashcore.cli._parse import parse, progress_bar
from hashcore.cli._partial_codes import PartialCodes
from hashcore.cli._run_directory import hasher_directory, load_hasher, read_source, read_split

if TYPE_CHECKING:
    from hashcore.data import Subwords, Vocabulary
    from hashcore.train import Hasher

_DESCRIPTION = """Turn features, tokens, texts or rows of a run's data set into packed codes.

The codes are uint8 [n, ceil(bits / 8)] in a .npy file, for hashcore index and search.

Any number of rows: a chunk of them is in memory at a time. The file gets its name when it is whole;
after Ctrl-C or a kill the same command goes on, once it has seen that the rows are still the same.

Example:  hashcore encode runs/shapes-dth-64 --modality image --part database --out codes.npy"""
Part = Literal["train", "query", "database", "all"]
Use = Literal["any", "query", "database", "trained"]
Take = Callable[[int, int], NDArray[Any]]
"""Gives rows start..stop; asked for in order, without a gap."""


@dataclass(frozen=True)
class EncodeOptions:
    """Options of `hashcore encode`."""

    hasher: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run directory, or the directory of a hasher."""
    modality: Literal["image", "text"]
    """Which of the two encoders."""
    out: Path
    """The .npy file of codes to write."""
    input: Path | None = None
    """A .npy file of features, pixels or tokens, or a .txt file with a text a line."""
    part: Part | None = None
    """Rows of the run's own data set, instead of --input, in the order of the split."""
    path: Path | None = None
    """File or folder of that data set, where it has moved since the training."""
    use: Use = "any"
    """What the codes are for, which matters with codes of classes: "trained", a database of rows
    that were trained on; "query", to search it; "database", one of new rows; "any", to search
    that."""
    chunk: int = 8192
    """Rows in memory at a time."""
    restart: bool = False
    """Begin anew, whatever an interrupted run has left."""
    device: str = "cpu"
    """Where the hasher encodes."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(EncodeOptions, args, command="encode", description=_DESCRIPTION)
    if (options.input is None) == (options.part is None):
        raise ValueError("encode: expected one of --input FILE and --part PART")
    if options.input is not None and options.path is not None:
        raise ValueError("encode: --path belongs to --part; --input names its own file")
    if options.chunk < 1:
        raise ValueError(f"encode: --chunk must be >= 1; got {options.chunk}")
    hasher = load_hasher(options.hasher, options.device)
    if options.input is not None:
        total, take = _file_rows(options.input, hasher, options.modality)
    else:
        total, take = _dataset_rows(options)
    encode = _encoder(hasher, options.modality, options.use)
    identity = {
        "hasher": _digest_of(options.hasher),
        "modality": options.modality,
        "use": options.use,
    }
    file = PartialCodes(
        options.out, identity, total, (hasher.bits + 7) // 8, restart=options.restart
    )
    try:
        with file, progress_bar(f"encode {options.modality}", "row") as progress:
            _encode(file, encode, take, total=total, chunk=options.chunk, progress=progress)
    except KeyboardInterrupt as stop:
        kept = f"{file.done:,} of {total:,} codes are kept in {file.partial}"
        goes_on = "the same command goes on from there"
        told = f"{kept}; {goes_on}" if file.done else "no code was kept"
        print(f"\ninterrupted: {told}", file=sys.stderr, flush=True)
        raise KeyboardInterrupt("told") from stop
    print(f"{options.out}: {total:,} codes of {hasher.bits} bits")
    return 0


def _encoder(
    hasher: Hasher, modality: Literal["image", "text"], use: Use
) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    if use == "query":
        return partial(hasher.encode_query, modality)
    if use != "any":
        return partial(hasher.encode_database, modality, trained=use == "trained")
    return hasher.encode_image if modality == "image" else hasher.encode_text


def _file_rows(path: Path, hasher: Hasher, modality: str) -> tuple[int, Take]:
    """Number of rows of a file, and what gives them."""
    if path.suffix != ".txt":
        array = open_array(path)
        if array.ndim == 0:
            raise ValueError(f"{path}: expected rows; got a single value")
        return len(array), lambda start, stop: np.array(array[start:stop])
    vocabulary = hasher.vocabulary
    if modality != "text" or vocabulary is None:
        raise ValueError(
            f"{path}: texts need --modality text and a hasher that was trained on texts"
        )
    return sum(1 for _ in _lines(path)), _texts(path, vocabulary)


def _texts(path: Path, vocabulary: Vocabulary | Subwords) -> Take:
    lines = _lines(path)
    return lambda start, stop: vocabulary.encode(list(itertools.islice(lines, stop - start)))


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from (line.rstrip("\n") for line in lines)


def _dataset_rows(options: EncodeOptions) -> tuple[int, Take]:
    """The same for a part of the run's data set."""
    from hashcore.train.rows import Rows

    source = read_source(options.hasher)
    dataset = source.moved_to(options.path).load()
    array = dataset.image if options.modality == "image" else dataset.text
    part = np.arange(len(array))
    if options.part != "all":
        part = getattr(read_split(options.hasher), str(options.part))
    rows = Rows(array, part)
    return len(rows), lambda start, stop: rows[start:stop]


def _digest_of(hasher: Path) -> str:
    """What changes with any weight, statistic or choice of a hasher."""
    from hashcore.train.checkpoint import JSON_NAME

    record = (hasher_directory(hasher) / JSON_NAME).read_bytes()  # it names its tensors' digest
    return hashlib.sha256(record).hexdigest()


def _encode(
    file: PartialCodes,
    encode: Callable[[NDArray[Any]], NDArray[np.uint8]],
    take: Take,
    *,
    total: int,
    chunk: int,
    progress: Callable[[int, int], None],
) -> None:
    """Encode the rows whose codes `file` lacks, after those that it has are seen to be the same."""
    digest = hashlib.sha256()
    start = 0
    while start < total:
        stop = min(start + chunk, total if start >= file.done else file.done)
        rows = take(start, stop)
        digest.update(np.ascontiguousarray(rows).data)
        if stop > file.done:
            file.append(encode(rows), digest.hexdigest())
        elif stop == file.done and digest.hexdigest() != file.digest:
            raise ValueError(
                f"{file.partial}: holds codes of an interrupted run, and its {file.done:,} input "
                "rows have changed since. --restart begins anew"
            )
        progress(stop, total)
        start = stop
