"""The results of the training ops, as JSON for machines and as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from bench.report import (
    Outcome,
    read_results,
    row_fields,
    table,
    targets_section,
    verdict,
    write_results,
)

FORMAT = "hashcore ops bench results 1"


@dataclass(frozen=True)
class Cost:
    """What a step took of one contender.

    Attributes:
        seconds: median of its rounds.
        peak: bytes beyond what was there before; None where it was not measured.
    """

    seconds: float
    rounds: int
    peak: int | None = None


@dataclass(frozen=True)
class Row:
    """What one workload showed.

    Attributes:
        absent: why a peer did not take part, by its name.
        shares: hashcore's rate over a limit of the machine, by the limit's name.
    """

    table: str
    workload: str
    hashcore: Cost
    peers: Mapping[str, Cost]
    absent: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    targets: tuple[Outcome, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What makes two rows of two runs the same row."""
        return self.table, self.workload

    def measures(self) -> dict[str, float]:
        """Every peer's time over hashcore's, and every share: what may be compared between runs."""
        ratios = {name: cost.seconds / self.hashcore.seconds for name, cost in self.peers.items()}
        return ratios | dict(self.shares)

    def judged(self, targets: tuple[Outcome, ...]) -> Self:
        """The row with its targets."""
        return replace(self, targets=targets)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Row:
        """Read what ``asdict`` made of a row."""
        return cls(**row_fields(found, Cost))


@dataclass(frozen=True)
class Results:
    """A run: what it ran on, what came out."""

    machine: Mapping[str, Any]
    rows: tuple[Row, ...]

    def write(self, folder: Path, name: str) -> None:
        """Write ``name.json`` and ``name.md``."""
        write_results(folder / name, {"format": FORMAT, **asdict(self)}, markdown(self))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Results:
        """Read what ``write`` wrote."""
        return cls(found["machine"], tuple(Row.from_dict(row) for row in found["rows"]))

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file that ``write`` wrote.

        Raises:
            ValueError: no such file, or not one that ``write`` wrote.
        """
        return read_results(path, {FORMAT: cls.from_dict})


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def shown(cost: Cost) -> str:
    """Time and memory of a contender."""
    time = f"{figure(1000 * cost.seconds)} ms"
    return time if cost.peak is None else f"{time}, {megabytes(cost.peak)}"


def megabytes(count: int) -> str:
    """Bytes, in millions of them."""
    return f"{count / 1e6:,.0f} MB" if count >= 10e6 else f"{count / 1e6:.1f} MB"


def describe(row: Row) -> str:
    """A row as one line of text."""
    ratios = row.measures()
    parts = [f"{row.workload}: {shown(row.hashcore)}"]
    parts += [f"{figure(ratios[name])}x {name} ({shown(cost)})" for name, cost in row.peers.items()]
    parts += [f"{name} {reason}" for name, reason in row.absent.items()]
    parts += [f"{share:.0%} of {name}" for name, share in row.shares.items()]
    return "; ".join(parts + [verdict(outcome) for outcome in row.targets])


def markdown(results: Results) -> str:
    """The figures as Markdown, machine included."""
    machine = results.machine
    lines = [
        "# The training ops beside other ways to compute the same",
        "",
        "One forward and backward pass in float32, cosine distances where there are distances. "
        "Medians of rounds in which the contenders take turns, one run; before they are timed, "
        "loss and gradients are seen to be the same. A ratio is the peer's time over hashcore's; "
        "memory is the peak of one pass beyond what was there before. Ratios are what to compare: "
        "absolute figures belong to the machine and the hour.",
        "",
        f"{machine['device']}, {machine['threads_used']} threads each, level {machine['isa']}, "
        f"PyTorch {machine['torch']}, "
        f"pytorch-metric-learning {machine['pytorch-metric-learning']}.",
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

    def cells(row: Row) -> Iterable[str]:
        ratios = row.measures()
        yield row.workload
        yield shown(row.hashcore)
        for name in peers:
            cost = row.peers.get(name)
            yield f"{figure(ratios[name])}x ({shown(cost)})" if cost else row.absent.get(name, "")
        for name in shares:
            yield f"{row.shares[name]:.0%}" if name in row.shares else ""

    header = ["workload", "hashcore", *(f"over {name}" for name in peers)]
    return table(header + [f"of {name}" for name in shares], map(cells, rows))
