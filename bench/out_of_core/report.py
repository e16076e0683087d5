"""Rows of several runs in one place: JSON for machines, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.kept import write_results
from bench.out_of_core.build import Build
from bench.out_of_core.multi_hash import MultiHash
from bench.out_of_core.room import GIB
from bench.out_of_core.search import Searches, SearchFigures
from bench.page import table

FORMAT = "hashcore out-of-core results 1"
NEXT_TO_NOTHING = 0.01  # of the file, still cached when it was given up


@dataclass(frozen=True)
class Row:
    """One index of one set of codes.

    Attributes:
        codes: their kind.
        description: what they are, in words.
        recipe: what decides every code.
        plan: what ``stats`` says of the tables.
        available_memory: bytes at the start.
    """

    codes: str
    count: int
    layout: str
    queries: int
    description: str
    recipe: Mapping[str, Any]
    machine: Mapping[str, Any]
    available_memory: int
    plan: Mapping[str, Any]
    build: Build
    searches: Searches
    multi_hash: MultiHash | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """What a later run of the same replaces."""
        return self.codes, self.count, self.layout

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Row:
        """Read what ``asdict`` made of a row."""
        searches = found["searches"]
        figures = tuple(SearchFigures(**figure) for figure in searches["figures"])
        peer = found["multi_hash"]
        return cls(
            **{
                **found,
                "build": Build(**found["build"]),
                "searches": Searches(**{**searches, "figures": figures}),
                "multi_hash": None if peer is None else MultiHash.from_dict(peer),
            }
        )


def read_rows(path: Path) -> list[Row]:
    """Rows of earlier runs; none where there is no file.

    Raises:
        ValueError: not a file that ``store`` wrote.
    """
    if not path.is_file():
        return []
    expected = f"{path}: expected results that python -m bench.billion wrote"
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}")
        return [Row.from_dict(row) for row in found["rows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{expected}; got {error!r}. Move it away.") from None


def store(folder: Path, row: Row) -> None:
    """Put a row into ``billion.json`` and ``billion.md``, in place of the last one of its key."""
    rows = {old.key: old for old in read_rows(folder / "billion.json")}
    rows[row.key] = row
    ordered = sorted(rows.values(), key=lambda each: (-each.count, each.layout, each.codes))
    content = {"format": FORMAT, "rows": [asdict(each) for each in ordered]}
    write_results(folder / "billion", content, markdown(ordered))


def _short(value: float) -> str:
    """Three digits, or all of a whole number."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _seconds(build: Build) -> str:
    return f"{'' if build.all_timed else 'over '}{build.seconds:,.1f}"


def _title(row: Row) -> str:
    return f"{row.codes}, {row.count:,}, {row.layout}"


def build_table(rows: Iterable[Row]) -> list[str]:
    """Building: time, size and memory."""
    times = ["build, s", "one read of the codes, s", "ratio"]
    sizes = ["B a code", "index, GiB", "peak memory, GiB", "with mapped pages, GiB"]
    return table(
        ["codes", "tables x key bits", *times, *sizes],
        (
            (
                _title(row),
                f"{row.plan['tables']} x {max(row.plan['key_bits'])}",
                _seconds(row.build),
                f"{row.build.read_seconds:,.2f}",
                f"{row.build.reads:,.1f}",
                f"{row.build.bytes_per_code:.2f}",
                f"{row.build.file_bytes / GIB:,.2f}",
                f"{row.build.peak_anonymous / GIB:,.2f}",
                f"{row.build.peak_resident / GIB:,.2f}",
            )
            for row in rows
        ),
    )


def search_table(row: Row) -> list[str]:
    """Searches of one index."""
    one_by_one = ["cold, ms", "warm, ms", "scan, ms", "ratio"]
    batch = ["batch, ms", "batch scan, ms", "ratio"]
    return table(
        ["searches", *one_by_one, *batch, "lookups", "candidates", "scanned"],
        (
            (
                f"k = {each.k}, {each.threads} thread{'s' if each.threads > 1 else ''}",
                _short(each.cold_ms),
                _short(each.warm_ms),
                _short(each.flat_ms),
                f"{_short(each.ratio)}x",
                _short(each.batch_ms),
                _short(each.flat_batch_ms),
                f"{_short(each.batch_ratio)}x",
                f"{each.lookups:,.0f}",
                f"{each.candidates:,.0f}",
                f"{each.scans:.0%}",
            )
            for each in row.searches.figures
        ),
    )


def multi_hash_table(row: Row, peer: MultiHash) -> list[str]:
    """The peer at its best recall, beside hashcore's time of one thread."""
    ours = {each.k: each.warm_ms for each in row.searches.figures if each.threads == 1}
    best = [peer.best(k) for k in dict.fromkeys(step.k for step in peer.steps)]
    return table(
        ["FAISS MultiHash, 1 thread", "recall", "ms", "hashcore's rate over it"],
        (
            (
                f"k = {step.k}, nflip = {step.nflip}",
                f"{step.recall:.4f}",
                _short(step.ms),
                f"{_short(step.ms / ours[step.k])}x" if step.k in ours else "",
            )
            for step in best
        ),
    )


def row_lines(row: Row) -> list[str]:
    """Everything about one index but its build."""
    machine, searches = row.machine, row.searches
    lines = [
        f"{row.description[0].upper()}{row.description[1:]}; {row.queries} queries. "
        f"CPU {machine['cpu']}, level {machine['isa']}, "
        f"{row.available_memory / GIB:,.1f} GiB of memory available, built on "
        f"{row.build.threads} threads within {row.build.budget / GIB:,.1f} GiB"
        + (f" in {row.build.attempts} attempts" if row.build.attempts > 1 else "")
        + f". {searches.cached_when_warm:.0%} of the file was in memory when warm.",
        "",
    ]
    if searches.cached_after_drop > NEXT_TO_NOTHING:
        lines += [
            f"The system kept {searches.cached_after_drop:.0%} of the file cached when it was "
            "given up: cold figures are too low.",
            "",
        ]
    lines += search_table(row)
    if row.multi_hash is not None:
        peer = row.multi_hash
        lines += [
            "",
            f"FAISS {machine['faiss']} `IndexBinaryMultiHash`, {peer.hashes} tables of "
            f"{peer.key_bits} bits: {peer.bytes_per_code:.0f} B a code, built in "
            f"{peer.build_seconds:,.1f} s.",
            "",
            *multi_hash_table(row, peer),
        ]
    return lines


def markdown(rows: list[Row]) -> str:
    """The report of all rows."""
    lines = [
        "# 64-bit codes by the billion, from a mapped file",
        "",
        "One machine, one run a row. `python -m bench.billion` builds an index out of core, "
        "searches it where it is mapped, and compares every answer with a scan's.",
        "",
        "## Building",
        "",
        "Peak memory is what the building process alone held; mapped pages of the codes, which the "
        "system can take back, come on top. The ratio is to one plain sequential read of the "
        "codes, from a disk of which nothing was cached, as nothing was when the build began.",
        "",
        *build_table(rows),
        "",
        "## Searching",
        "",
        "Milliseconds a query: medians of queries one by one, and batches of all. Cold: the file's "
        "cached pages were given up before each query. The scan reads the same codes, mapped, on "
        "as many threads; ratios are the scan's time over the index's, warm. Lookups, candidates "
        "and the share of queries that were scanned after all are the index's own counts.",
    ]
    for row in rows:
        lines += ["", f"### {_title(row)}", "", *row_lines(row)]
    return "\n".join(lines) + "\n"
