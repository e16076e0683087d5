"""`hashcore encode`: turn features, tokens, texts or a data set into packed codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from hashcore.cli._arrays import open_array, write_codes
from hashcore.cli._parse import parse, progress_bar
from hashcore.cli._run_directory import load_hasher, read_source, read_split

if TYPE_CHECKING:
    from hashcore.train import Hasher

_DESCRIPTION = """Turn features, tokens, texts or rows of a run's data set into packed codes.

The codes are uint8 [n, ceil(bits / 8)] in a .npy file, for hashcore index and search.

Example:  hashcore encode runs/shapes-dth-64 --modality image --part database --out codes.npy"""
Part = Literal["train", "query", "database", "all"]


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
    chunk: int = 8192
    """Rows in memory at a time."""
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
    encode = hasher.encode_image if options.modality == "image" else hasher.encode_text
    with progress_bar(f"encode {options.modality}", "row") as progress:
        chunks = _encode(encode, take, total, options.chunk, progress)
        write_codes(options.out, chunks, total, (hasher.bits + 7) // 8)
    print(f"{options.out}: {total:,} codes of {hasher.bits} bits")
    return 0


def _file_rows(
    path: Path, hasher: Hasher, modality: str
) -> tuple[int, Callable[[int, int], NDArray[Any]]]:
    """Number of rows of a file, and what gives rows start..stop of it."""
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
    lines = path.read_text(encoding="utf-8").splitlines()
    return len(lines), lambda start, stop: vocabulary.encode(lines[start:stop])


def _dataset_rows(options: EncodeOptions) -> tuple[int, Callable[[int, int], NDArray[Any]]]:
    """The same for a part of the run's data set."""
    source = read_source(options.hasher)
    dataset = source.moved_to(options.path).load()
    array = dataset.image if options.modality == "image" else dataset.text
    if options.part == "all":
        return len(array), lambda start, stop: array[start:stop]
    rows: NDArray[np.int64] = getattr(read_split(options.hasher), str(options.part))
    return len(rows), lambda start, stop: array[rows[start:stop]]


def _encode(
    encode: Callable[[NDArray[Any]], NDArray[np.uint8]],
    take: Callable[[int, int], NDArray[Any]],
    total: int,
    chunk: int,
    progress: Callable[[int, int], None],
) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, total, chunk):
        stop = min(total, start + chunk)
        yield encode(take(start, stop))
        progress(stop, total)
