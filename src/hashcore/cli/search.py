"""`hashcore search`: find the nearest codes of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

import hashcore
from hashcore._files import replacing
from hashcore.cli._arrays import open_codes
from hashcore.cli._parse import as_json, parse, progress_bar
from hashcore.cli._run_directory import load_hasher, read_source

if TYPE_CHECKING:
    from hashcore.data import CrossModalDataset

_DESCRIPTION = """Find the nearest codes of an index, for codes or for texts.

Example:  hashcore search pictures.hci --hasher runs/shapes-dth-64 --text "a small red circle" """


@dataclass(frozen=True)
class SearchOptions:
    """Options of `hashcore search`."""

    index: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="INDEX")]
    """The index file."""
    codes: Path | None = None
    """A .npy file of packed query codes."""
    text: tuple[str, ...] = ()
    """Texts to search for, each in quotes; needs --hasher."""
    hasher: Path | None = None
    """Run directory, or the directory of a hasher, which encodes the texts."""
    k: int = 10
    """Hits of a query."""
    max_distance: int | None = None
    """Farthest hit, in bits, this distance included."""
    show: bool = False
    """Print the caption or classes of the hits: their ids are rows of the run's data set."""
    mmap: bool = True
    """Map the index file instead of reading it into memory."""
    threads: int | None = None
    """Threads that search; all CPUs when None."""
    json: bool = False
    """Print JSON instead of lines."""
    out: Path | None = None
    """Write distances and ids to this .npz file instead of printing them."""


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = parse(SearchOptions, args, command="search", description=_DESCRIPTION)
    if (options.codes is None) == (not options.text):
        raise ValueError("search: expected one of --codes FILE and --text TEXT")
    if options.hasher is None and (options.text or options.show):
        needs = "--text" if options.text else "--show"
        raise ValueError(f"search: {needs} needs --hasher, the run that made the codes")
    with progress_bar("load", "B") as progress:
        index = hashcore.Index.load(options.index, mmap=options.mmap, progress=progress)
    queries, names = _queries(options)
    with progress_bar("search", "pair") as progress:
        result = index.search(
            queries,
            options.k,
            max_distance=options.max_distance,
            threads=options.threads,
            progress=progress,
        )
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(options.out) as stream:
            np.savez(stream, distances=result.distances, ids=result.ids)
        print(f"{options.out}: {len(queries):,} queries, {options.k} hits each")
        return 0
    dataset = None
    if options.show and options.hasher is not None:
        dataset = read_source(options.hasher).load()
    _print(names, result.distances, result.ids, dataset, as_json_text=options.json)
    return 0


def _queries(options: SearchOptions) -> tuple[NDArray[np.uint8], list[str]]:
    """Query codes uint8 [Q, B] and what to call each."""
    if options.codes is not None:
        codes = np.array(open_codes(options.codes))
        return codes, [f"query {i}" for i in range(len(codes))]
    if options.hasher is None:
        raise ValueError("search: --text needs --hasher, the run that made the codes")
    hasher = load_hasher(options.hasher, "cpu")
    if hasher.vocabulary is None:
        raise ValueError(
            f"{options.hasher}: was trained on text features, not on words; "
            "encode them with hashcore encode and search with --codes"
        )
    for text in options.text:
        unknown = hasher.vocabulary.unknown_words(text)
        if unknown:
            words = ", ".join(unknown)
            raise ValueError(
                f'search: "{text}" has words that the hasher never met: {words}; '
                f"it knows: {', '.join(hasher.vocabulary.words[:40])}"
            )
    return hasher.encode_text(list(options.text)), list(options.text)


def _describe(dataset: CrossModalDataset, row: int) -> str:
    if not 0 <= row < len(dataset):
        return f"(no row {row} in {dataset.name})"
    if dataset.captions:
        return dataset.captions[row]
    classes = np.flatnonzero(dataset.labels[row]).tolist()
    return ", ".join(dataset.class_names[c] if dataset.class_names else str(c) for c in classes)


def _print(
    names: list[str],
    distances: NDArray[np.int32],
    ids: NDArray[np.int64],
    dataset: CrossModalDataset | None,
    *,
    as_json_text: bool,
) -> None:
    answers: list[tuple[str, list[dict[str, Any]]]] = []
    for name, row_distances, row_ids in zip(names, distances, ids, strict=True):
        hits = []
        for distance, code_id in zip(row_distances.tolist(), row_ids.tolist(), strict=True):
            if code_id == -1:
                break
            hit = {"id": code_id, "distance": distance}
            hits.append(hit if dataset is None else {**hit, "is": _describe(dataset, code_id)})
        answers.append((name, hits))
    if as_json_text:
        print(as_json([{"query": name, "hits": hits} for name, hits in answers]))
        return
    for name, hits in answers:
        print(name)
        if not hits:
            print("  no hit")
        for rank, hit in enumerate(hits, start=1):
            line = f"  {rank:>3}  distance {hit['distance']:>3}  id {hit['id']:<8}"
            print(f"{line}  {hit.get('is', '')}".rstrip())
