"""The results of a run: rows and limits, as JSON for machines and as Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.limits import Limits

FORMAT = "hashcore bench results 1"
T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """One contender: the median of its rounds.

    Attributes:
        seconds: of one run.
        per_second: the row's unit of work a second.
        ratio: hashcore's rate over this one; 1 for hashcore itself.
    """

    seconds: float
    per_second: float
    ratio: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """A target and the value that was reached."""

    measure: str
    at_least: float
    reached: float

    @property
    def met(self) -> bool:
        """Whether the value is at least what was asked."""
        return self.reached >= self.at_least


def row_fields(found: Mapping[str, Any], contender: Callable[..., object]) -> dict[str, Any]:
    """What ``asdict`` made of a row, its parts read again: contenders by `contender`."""
    return {
        **found,
        "hashcore": contender(**found["hashcore"]),
        "peers": {name: contender(**peer) for name, peer in found["peers"].items()},
        "targets": tuple(Outcome(**outcome) for outcome in found["targets"]),
    }


@dataclass(frozen=True)
class Row:
    """What one workload showed.

    Attributes:
        unit: what ``per_second`` counts: ``pairs``, ``B`` or ``ids``.
        level: instruction-set level that ran.
        shares: hashcore's rate over a limit of the machine, by the limit's name.
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
    limits: Limits
    rows: tuple[Row, ...]

    def write(self, folder: Path) -> None:
        """Write ``engine.json`` and ``engine.md``."""
        write_results(folder / "engine", {"format": FORMAT, **asdict(self)}, markdown(self))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Results:
        """Read what ``write`` wrote."""
        return cls(
            machine=found["machine"],
            limits=Limits.from_dict(found["limits"]),
            rows=tuple(Row.from_dict(row) for row in found["rows"]),
        )

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read ``engine.json``.

        Raises:
            ValueError: no such file, or not one that ``write`` wrote.
        """
        return read_results(path, {FORMAT: cls.from_dict})


def write_results(path: Path, content: Mapping[str, Any], page: str) -> None:
    """Write what was measured as ``path.json``, and as ``path.md`` for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.json").write_text(json.dumps(content, indent=1) + "\n")
    path.with_name(f"{path.name}.md").write_text(page)


def read_results(path: Path, parsers: Mapping[str, Callable[[Mapping[str, Any]], T]]) -> T:
    """Read JSON of one of some formats, by its name.

    Raises:
        ValueError: no such file, another format, or a field too many or too few.
    """
    expected = f"{path}: expected results that python -m bench wrote"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{expected}; got {error}") from None
    if not isinstance(found, dict) or found.get("format") not in parsers:
        raise ValueError(f"{expected}; got another kind of JSON")
    try:
        return parsers[found["format"]](found)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{expected}; got one that lacks or adds {error}") from None


def giga(rate: float) -> str:
    """A rate in billions, three digits."""
    return f"{rate / 1e9:.3g}" if rate < 1e12 else f"{rate / 1e9:,.0f}"


def shown_unit(unit: str) -> str:
    """What a row's rates are shown in."""
    return "ids/s" if unit == "ids" else f"G{unit}/s"


def shown_rate(rate: float, unit: str) -> str:
    """A rate in its shown unit."""
    return f"{rate:,.3g}" if unit == "ids" else giga(rate)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are figures."""
    names = list(header)
    return [
        f"| {' | '.join(names)} |",
        "|---" + "|---:" * (len(names) - 1) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


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


def verdict(outcome: Outcome) -> str:
    """Whether a target is met, as text."""
    asked = outcome.at_least
    shown = f"{asked:.0%}" if asked < 1 else f"{asked:g}x"
    return f"{'met' if outcome.met else 'MISSED'}: {outcome.measure} {shown}"


def markdown(results: Results) -> str:
    """The figures as Markdown, machine included."""
    machine = results.machine
    lines = [
        "# The engine beside its peers",
        "",
        "Medians of rounds in which the contenders take turns, one run, random codes; one thread "
        "each where nothing else is said. A ratio is hashcore's rate over the peer's. Ratios and "
        "shares are what to compare: absolute figures belong to the machine and the hour.",
        "",
        f"CPU {machine['cpu']}, {machine['threads']} threads, level {machine['isa']}, "
        f"FAISS {machine['faiss']} (level {machine['faiss_level']}).",
        "",
    ]
    lines += targets_section(
        [
            (f"{row.table}: {row.workload}", outcome)
            for row in results.rows
            for outcome in row.targets
        ]
    )
    for name in dict.fromkeys(row.table for row in results.rows):
        rows = [row for row in results.rows if row.table == name]
        lines += [f"## {name}", "", *_rows(rows), ""]
    lines += ["## Limits of the machine", "", *_limits(results.limits)]
    return "\n".join(lines) + "\n"


def targets_section(outcomes: Sequence[tuple[str, Outcome]]) -> list[str]:
    """Lines that show each target of each named row; none where there is no target."""

    def cell(outcome: Outcome) -> str:
        reached, asked = outcome.reached, outcome.at_least
        return f"{reached:.0%} of {asked:.0%}" if asked < 1 else f"{reached:.1f} of {asked:g}"

    if not outcomes:
        return []
    rows = table(
        ("workload", "measure", "reached", "met"),
        ((name, o.measure, cell(o), "yes" if o.met else "no") for name, o in outcomes),
    )
    met = sum(outcome.met for _, outcome in outcomes)
    return [f"## Targets: {met} of {len(outcomes)} met", "", *rows, ""]


def _rows(rows: list[Row]) -> list[str]:
    peers = list(dict.fromkeys(name for row in rows for name in row.peers))
    shares = list(dict.fromkeys(name for row in rows for name in row.shares))

    def cells(row: Row) -> Iterable[str]:
        yield row.workload
        yield shown_rate(row.hashcore.per_second, row.unit)
        for name in peers:
            peer = row.peers.get(name)
            yield f"{peer.ratio:.3g}x ({shown_rate(peer.per_second, row.unit)})" if peer else ""
        for name in shares:
            yield f"{row.shares[name]:.0%}" if name in row.shares else ""

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
