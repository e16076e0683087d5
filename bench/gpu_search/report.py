"""The results of the search on a GPU, as JSON for machines and as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.gpu_search.ceilings import Ceilings, shown
from bench.ops.report import figure
from bench.report import (
    Outcome,
    Timing,
    giga,
    read_results,
    row_fields,
    table,
    targets_section,
    verdict,
    write_results,
)

FORMAT = "hashcore GPU search bench results 1"


@dataclass(frozen=True)
class Row:
    """What one search showed.

    Attributes:
        scan: that made its passes.
        queries: of peers that were asked for fewer.
        absent: why a peer did not take part, by its name.
        shares: hashcore's rate over a limit of the device, by the limit's name.
    """

    table: str
    workload: str
    scan: str
    hashcore: Timing
    peers: Mapping[str, Timing]
    queries: Mapping[str, int] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    targets: tuple[Outcome, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What makes two rows of two runs the same row."""
        return self.table, self.workload

    def measures(self) -> dict[str, float]:
        """Every ratio and share by name: what may be compared between runs."""
        return {name: peer.ratio for name, peer in self.peers.items()} | dict(self.shares)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Row:
        """Read what ``asdict`` made of a row."""
        return cls(**row_fields(found, Timing))


@dataclass(frozen=True)
class Results:
    """A run: what it ran on, what that can do, what came out."""

    machine: Mapping[str, Any]
    ceilings: Ceilings
    rows: tuple[Row, ...]

    def write(self, folder: Path, name: str) -> None:
        """Write ``name.json`` and ``name.md``."""
        write_results(folder / name, {"format": FORMAT, **asdict(self)}, markdown(self))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Results:
        """Read what ``write`` wrote."""
        return cls(
            found["machine"],
            Ceilings(**found["ceilings"]),
            tuple(Row.from_dict(row) for row in found["rows"]),
        )

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file that ``write`` wrote.

        Raises:
            ValueError: no such file, or not one that ``write`` wrote.
        """
        return read_results(path, {FORMAT: cls.from_dict})


def milliseconds(seconds: float) -> str:
    """A time for people."""
    return f"{figure(1000 * seconds)} ms"


def describe(row: Row) -> str:
    """A row as one line of text."""
    parts = [
        f"{row.workload}: {milliseconds(row.hashcore.seconds)}, "
        f"{giga(row.hashcore.per_second)} Gpairs/s by {row.scan}"
    ]
    parts += [f"{figure(peer.ratio)}x {name}" for name, peer in row.peers.items()]
    parts += [f"{name} {reason}" for name, reason in row.absent.items()]
    parts += [f"{share:.0%} of {name}" for name, share in row.shares.items()]
    return "; ".join(parts + [verdict(outcome) for outcome in row.targets])


def markdown(results: Results) -> str:
    """The figures as Markdown, machine included."""
    machine = results.machine
    lines = [
        "# The search on a GPU beside other ways to search there",
        "",
        "The k nearest codes, k = 10 where nothing else is said; codes, queries and results lie on "
        "the device. Medians of rounds in which the contenders take turns, timed by events, one "
        "run; before that, distances are seen to be the same. A ratio is hashcore's rate over the "
        "peer's, in pairs of a query and a code; a peer that is slow was asked for fewer queries, "
        "as noted. Shares are of what the device did at most in micro-benchmarks of the same run.",
        "",
        f"{machine['device']}, driver {machine['driver']}, clocks {machine['clocks']}, "
        f"PyTorch {machine['torch']}, CuPy {machine['cupy']}.",
        "",
        "Limits: "
        + ", ".join(f"{rate} {name}" for name, rate in shown(asdict(results.ceilings)))
        + ".",
        "",
        *targets_section(
            [(f"{row.table}: {row.workload}", each) for row in results.rows for each in row.targets]
        ),
    ]
    for name in dict.fromkeys(row.table for row in results.rows):
        lines += [f"## {name}", "", *_rows([r for r in results.rows if r.table == name]), ""]
    return "\n".join(lines)


def _rows(rows: list[Row]) -> list[str]:
    peers = list(dict.fromkeys(name for row in rows for name in (*row.peers, *row.absent)))
    shares = list(dict.fromkeys(name for row in rows for name in row.shares))

    def of_peer(row: Row, name: str) -> str:
        peer = row.peers.get(name)
        if peer is None:
            return row.absent.get(name, "")
        few = f", {row.queries[name]:,} queries" if name in row.queries else ""
        return f"{figure(peer.ratio)}x ({giga(peer.per_second)}{few})"

    def cells(row: Row) -> Iterable[str]:
        yield row.workload
        yield milliseconds(row.hashcore.seconds)
        yield giga(row.hashcore.per_second)
        yield row.scan
        for name in peers:
            yield of_peer(row, name)
        for name in shares:
            yield f"{row.shares[name]:.0%}" if name in row.shares else ""

    header = ["workload", "hashcore", "Gpairs/s", "scan"]
    header += [f"over {name} (its Gpairs/s)" for name in peers]
    return table(header + [f"of {name}" for name in shares], map(cells, rows))
