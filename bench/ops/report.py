"""The results of the training ops, as JSON for machines and as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from bench import kept
from bench.kept import Outcome
from bench.page import figure, names_in, sections, shares_of, table, verdict

_ABOUT = (
    "One forward and backward pass in float32, cosine distances where there are distances. "
    "Medians of rounds in which the contenders take turns, one run; before they are timed, "
    "loss and gradients are seen to be the same. A ratio is the peer's time over hashcore's; "
    "memory is the peak of one pass beyond what was there before. Ratios are what to compare: "
    "absolute figures belong to the machine and the hour."
)


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
class Row(kept.Row):
    """What one workload showed.

    Attributes:
        absent: why a peer did not take part, by its name.
    """

    table: str
    workload: str
    hashcore: Cost
    peers: Mapping[str, Cost]
    absent: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    targets: tuple[Outcome, ...] = ()

    contender = Cost

    def ratios(self) -> dict[str, float]:
        """Every peer's time over hashcore's."""
        return {name: cost.seconds / self.hashcore.seconds for name, cost in self.peers.items()}

    def judged(self, targets: tuple[Outcome, ...]) -> Self:
        """The row with its targets."""
        return replace(self, targets=targets)


@dataclass(frozen=True)
class Results(kept.Results):
    """A run: what it ran on, what came out."""

    machine: Mapping[str, Any]
    rows: tuple[Row, ...]

    FORMAT: ClassVar[str] = "hashcore ops bench results 1"

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Results:
        """Read what ``write`` wrote."""
        return cls(found["machine"], tuple(Row.from_dict(row) for row in found["rows"]))

    def markdown(self) -> str:
        """The figures for people, machine included."""
        machine = self.machine
        lines = [
            "# The training ops beside other ways to compute the same",
            "",
            _ABOUT,
            "",
            f"{machine['device']}, {machine['threads_used']} threads each, level {machine['isa']}, "
            f"PyTorch {machine['torch']}, "
            f"pytorch-metric-learning {machine['pytorch-metric-learning']}.",
            "",
            *sections(self.rows, _table),
        ]
        return "\n".join(lines)


def shown(cost: Cost) -> str:
    """Time and memory of a contender."""
    time = f"{figure(1000 * cost.seconds)} ms"
    return time if cost.peak is None else f"{time}, {megabytes(cost.peak)}"


def megabytes(count: int) -> str:
    """Bytes, in millions of them."""
    return f"{count / 1e6:,.0f} MB" if count >= 10e6 else f"{count / 1e6:.1f} MB"


def describe(row: Row) -> str:
    """A row as one line of text."""
    ratios = row.ratios()
    parts = [f"{row.workload}: {shown(row.hashcore)}"]
    parts += [f"{figure(ratios[name])}x {name} ({shown(cost)})" for name, cost in row.peers.items()]
    parts += [f"{name} {reason}" for name, reason in row.absent.items()]
    parts += [f"{share:.0%} of {name}" for name, share in row.shares.items()]
    return "; ".join(parts + [verdict(outcome) for outcome in row.targets])


def _table(rows: list[Row]) -> list[str]:
    peers = names_in((*row.peers, *row.absent) for row in rows)
    shares = names_in(row.shares for row in rows)

    def cells(row: Row) -> Iterable[str]:
        ratios = row.ratios()
        yield row.workload
        yield shown(row.hashcore)
        for name in peers:
            cost = row.peers.get(name)
            yield f"{figure(ratios[name])}x ({shown(cost)})" if cost else row.absent.get(name, "")
        yield from shares_of(row, shares)

    header = ["workload", "hashcore", *(f"over {name}" for name in peers)]
    return table(header + [f"of {name}" for name in shares], map(cells, rows))
