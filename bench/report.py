"""The results of the engine: rows and limits, as JSON for machines and as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench import kept
from bench.kept import Outcome, Timing
from bench.limits import Limits
from bench.page import giga, names_in, sections, shares_of, table, verdict

_ABOUT = (
    "Medians of rounds in which the contenders take turns, one run, random codes; one thread "
    "each where nothing else is said. A ratio is hashcore's rate over the peer's. Ratios and "
    "shares are what to compare: absolute figures belong to the machine and the hour."
)


@dataclass(frozen=True)
class Row(kept.Row):
    """What one workload showed.

    Attributes:
        unit: what ``per_second`` counts: ``pairs``, ``B`` or ``ids``.
        level: instruction-set level that ran.
    """

    table: str
    workload: str
    unit: str
    threads: int
    level: str
    rounds: int
    hashcore: Timing
    peers: Mapping[str, Timing]
    shares: Mapping[str, float] = field(default_factory=dict)
    targets: tuple[Outcome, ...] = ()

    contender = Timing


@dataclass(frozen=True)
class Results(kept.Results):
    """A run: what it ran on, what that can do, what came out."""

    machine: Mapping[str, Any]
    limits: Limits
    rows: tuple[Row, ...]

    FORMAT: ClassVar[str] = "hashcore bench results 1"

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Results:
        """Read what ``write`` wrote."""
        return cls(
            machine=found["machine"],
            limits=Limits.from_dict(found["limits"]),
            rows=tuple(Row.from_dict(row) for row in found["rows"]),
        )

    def markdown(self) -> str:
        """The figures for people, machine included."""
        machine = self.machine
        lines = [
            "# The engine beside its peers",
            "",
            _ABOUT,
            "",
            f"CPU {machine['cpu']}, {machine['threads']} threads, level {machine['isa']}, "
            f"FAISS {machine['faiss']} (level {machine['faiss_level']}).",
            "",
            *sections(self.rows, _table),
            "## Limits of the machine",
            "",
            *_limits(self.limits),
        ]
        return "\n".join(lines) + "\n"


def shown_unit(unit: str) -> str:
    """What a row's rates are shown in."""
    return "ids/s" if unit == "ids" else f"G{unit}/s"


def shown_rate(rate: float, unit: str) -> str:
    """A rate in its shown unit."""
    return f"{rate:,.3g}" if unit == "ids" else giga(rate)


def describe(row: Row) -> str:
    """A row as one line of text."""
    parts = [
        f"{row.workload}: {shown_rate(row.hashcore.per_second, row.unit)} {shown_unit(row.unit)}"
    ]
    parts += [
        f"{peer.ratio:.3g}x {name} ({shown_rate(peer.per_second, row.unit)})"
        for name, peer in row.peers.items()
    ]
    parts += [f"{share:.0%} of {name}" for name, share in row.shares.items()]
    return "; ".join(parts + [verdict(outcome) for outcome in row.targets])


def _table(rows: list[Row]) -> list[str]:
    peers = names_in(row.peers for row in rows)
    shares = names_in(row.shares for row in rows)

    def cells(row: Row) -> Iterable[str]:
        yield row.workload
        yield shown_rate(row.hashcore.per_second, row.unit)
        for name in peers:
            peer = row.peers.get(name)
            yield f"{peer.ratio:.3g}x ({shown_rate(peer.per_second, row.unit)})" if peer else ""
        yield from shares_of(row, shares)

    unit = shown_unit(rows[0].unit)
    header = ["workload", f"hashcore, {unit}"]
    header += [f"over {name} (its {unit})" for name in peers]
    return table(header + [f"of {name}" for name in shares], map(cells, rows))


def _limits(limits: Limits) -> list[str]:
    reads = ", ".join(f"{giga(rate)} on {threads}" for threads, rate in limits.read.items())
    lines = [f"Streaming read, GB/s by threads: {reads}. Clock {giga(limits.clock)} GHz.", ""]
    names = list(dict.fromkeys(name for rates in limits.operations.values() for name in rates))
    lines += table(
        ["vector operations a clock", *names],
        (
            [level, *(f"{rates[name] / limits.clock:.2f}" for name in names)]
            for level, rates in limits.operations.items()
        ),
    )
    kinds = [("issue limit", "issue_limit"), ("sliced issue limit", "sliced_issue_limit")]
    for title, attribute in kinds:
        words = list(getattr(next(iter(limits.scan.values())), attribute)) if limits.scan else []
        lines += [
            "",
            *table(
                [f"{title}, Gpairs/s", *(f"{64 * word} bits" for word in words)],
                (
                    [level, *(giga(getattr(scan, attribute)[word]) for word in words)]
                    for level, scan in limits.scan.items()
                ),
            ),
        ]
    return lines
