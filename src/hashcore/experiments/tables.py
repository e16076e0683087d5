"""Figures as Markdown tables whose columns are aligned, so that a terminal shows them as well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hashcore.experiments.measure import Figure
from hashcore.experiments.plan import PROTOCOLS, Published
from hashcore.experiments.results import DIRECTIONS, Row, Spread
from hashcore.metrics.report import DatabaseProtocol
from hashcore.train.evaluate import Direction

Column = tuple[DatabaseProtocol, Direction]
ALL_ON = "all components"


@dataclass(frozen=True)
class Line:
    """One line of a table of figures.

    Attributes:
        name: what it is of.
        figures: by column; a column that is missing stays empty.
        contends: whether it may be the best of a column.
        others: texts of further columns.
    """

    name: str
    figures: dict[Column, Spread]
    contends: bool = False
    others: tuple[str, ...] = field(default=())


def columns(rows: Iterable[Row], published: Iterable[Published] = ()) -> list[Column]:
    """The databases that anything was measured on, `unseen` first, in both directions."""
    named = {protocol for row in rows for protocol in row.cell.first.protocols}
    named |= {row.protocol for row in published}
    return [(protocol, d) for protocol in PROTOCOLS if protocol in named for d in DIRECTIONS]


def spreads(row: Row, figure: Figure) -> dict[Column, Spread]:
    """A figure of a cell, in every column that it has."""
    found = {column: row.spread(*column, figure) for column in _COLUMNS}
    return {column: spread for column, spread in found.items() if spread is not None}


def cosines(row: Row) -> dict[Column, Spread]:
    """mAP@all by cosine of a cell, in every column that it has."""
    found = {column: row.cosine(*column) for column in _COLUMNS}
    return {column: spread for column, spread in found.items() if spread is not None}


def figure_table(
    head: str, lines: Sequence[Line], shown: Sequence[Column], others: Sequence[str] = ()
) -> list[str]:
    """A table of mean and standard deviation; the best mean of a column is bold."""
    body = [
        [
            line.name,
            *(_cell(line, column, lines) for column in shown),
            *(line.others or [""] * len(others)),
        ]
        for line in lines
    ]
    return markdown([head, *map(_title, shown), *others], body)


def ablation_table(base: Row, others: Sequence[Row]) -> list[str]:
    """What each component brings: mAP@all without it, and the difference to all components.

    Args:
        base: a cell with all components on.
        others: the same with one off each. Only seeds that all of them have come to count, and
            differences are taken seed by seed.
    """
    seeds = set(base.seeds).intersection(*(row.seeds for row in others))
    run, shown = base.cell.first, columns([base])
    body = []
    for row in (base, *others):
        cells = [f"without {row.cell.without}" if row.cell.without else ALL_ON]
        for column in shown:
            own, all_on = row.maps(*column), base.maps(*column)
            text = _text(Spread.of([own[seed] for seed in seeds]))
            if seeds and row is not base:
                change = Spread.of([own[seed] - all_on[seed] for seed in seeds])
                text = f"{text} ({_text(change, signed=True)})"
            cells.append(text)
        body.append(cells)
    return markdown([f"{run.method}, {run.bits} bits", *map(_title, shown)], body)


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; the first column is text, the others are figures."""
    rows = [header, *body]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return " | ".join([f"| {first}", *map(str.rjust, cells[1:], widths[1:])]) + " |"

    return [line(header), line(rule), *map(line, body)]


def number(value: float, *, signed: bool = False) -> str:
    """Three digits: .271, or with its sign, +.012."""
    text = f"{value:{'+' if signed else ''}.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text


_COLUMNS: tuple[Column, ...] = tuple((p, d) for p in PROTOCOLS for d in DIRECTIONS)


def _title(column: Column) -> str:
    return f"{column[0]} {DIRECTIONS[column[1]]}"


def _text(spread: Spread | None, *, signed: bool = False) -> str:
    if spread is None:
        return ""
    text = number(spread.mean, signed=signed)
    return text if math.isnan(spread.deviation) else f"{text} ± {number(spread.deviation)}"


def _cell(line: Line, column: Column, lines: Sequence[Line]) -> str:
    text = _text(line.figures.get(column))
    means = [n.figures[column].mean for n in lines if n.contends and column in n.figures]
    best = line.contends and text and line.figures[column].mean == max(means)
    return f"**{text}**" if best else text
