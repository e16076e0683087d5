"""What the Markdown pages of every bench share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from bench.kept import Outcome, Row

R = TypeVar("R", bound=Row)


def giga(rate: float) -> str:
    """A rate in billions, three digits."""
    return f"{rate / 1e9:.3g}" if rate < 1e12 else f"{rate / 1e9:,.0f}"


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are figures."""
    names = list(header)
    return [
        f"| {' | '.join(names)} |",
        "|---" + "|---:" * (len(names) - 1) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def verdict(outcome: Outcome) -> str:
    """Whether a target is met, as text."""
    asked = outcome.at_least
    shown = f"{asked:.0%}" if asked < 1 else f"{asked:g}x"
    return f"{'met' if outcome.met else 'MISSED'}: {outcome.measure} {shown}"


def sections(rows: Sequence[R], table_of: Callable[[list[R]], list[str]]) -> list[str]:
    """Lines that show all targets first, then the rows of one table after the other."""
    lines = targets_section(
        [(f"{row.table}: {row.workload}", outcome) for row in rows for outcome in row.targets]
    )
    for name in dict.fromkeys(row.table for row in rows):
        lines += [f"## {name}", "", *table_of([row for row in rows if row.table == name]), ""]
    return lines


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


def names_in(parts: Iterable[Iterable[str]]) -> list[str]:
    """Every name once, in the order of its first."""
    return list(dict.fromkeys(name for part in parts for name in part))


def shares_of(row: Row, names: Iterable[str]) -> Iterable[str]:
    """A cell for each share; empty where the row has it not."""
    return (f"{row.shares[name]:.0%}" if name in row.shares else "" for name in names)
