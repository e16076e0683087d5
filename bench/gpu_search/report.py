"""The results of the search on a GPU, as JSON for machines and as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from bench import kept
from bench.gpu_search.ceilings import Ceilings, shown
from bench.kept import Outcome, Timing
from bench.page import figure, giga, names_in, sections, shares_of, table, verdict

_ABOUT = (
    "The k nearest codes, k = 10 where nothing else is said; codes, queries and results lie on "
    "the device. Medians of rounds in which the contenders take turns, timed by events, one "
    "run; before that, distances are seen to be the same. A ratio is hashcore's rate over the "
    "peer's, in pairs of a query and a code; a peer that is slow was asked for fewer queries, "
    "as noted. Shares are of what the device did at most in micro-benchmarks of the same run."
)


@dataclass(frozen=True)
class Row(kept.Row):
    """What one search showed.

    Attributes:
        scan: that made its passes.
        queries: of peers that were asked for fewer.
        absent: why a peer did not take part, by its name.
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

    contender = Timing


@dataclass(frozen=True)
class Results(kept.Results):
    """A run: what it ran on, what that can do, what came out."""

    machine: Mapping[str, Any]
    ceilings: Ceilings
    rows: tuple[Row, ...]

    FORMAT: ClassVar[str] = "hashcore GPU search bench results 1"

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Results:
        """Read what ``write`` wrote."""
        return cls(
            found["machine"],
            Ceilings(**found["ceilings"]),
            tuple(Row.from_dict(row) for row in found["rows"]),
        )

    def markdown(self) -> str:
        """The figures for people, machine included."""
        machine = self.machine
        lines = [
            "# The search on a GPU beside other ways to search there",
            "",
            _ABOUT,
            "",
            f"{machine['device']}, driver {machine['driver']}, clocks {machine['clocks']}, "
            f"PyTorch {machine['torch']}, CuPy {machine['cupy']}.",
            "",
            "Limits: "
            + ", ".join(f"{rate} {name}" for name, rate in shown(asdict(self.ceilings)))
            + ".",
            "",
            *sections(self.rows, _table),
        ]
        return "\n".join(lines)


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


def _table(rows: list[Row]) -> list[str]:
    peers = names_in((*row.peers, *row.absent) for row in rows)
    shares = names_in(row.shares for row in rows)

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
        yield from shares_of(row, shares)

    header = ["workload", "hashcore", "Gpairs/s", "scan"]
    header += [f"over {name} (its Gpairs/s)" for name in peers]
    return table(header + [f"of {name}" for name in shares], map(cells, rows))
