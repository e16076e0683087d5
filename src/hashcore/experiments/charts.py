"""A chart for each data set: mAP@all of every method, a colour a database protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart
from matplotlib.lines import Line2D

from hashcore.experiments.measure import Figure
from hashcore.experiments.plan import CCA_SIGN, PROTOCOLS
from hashcore.experiments.results import DIRECTIONS, Row
from hashcore.experiments.tables import columns, spreads
from hashcore.plot._style import LIGHT, drawn_in
from hashcore.plot._svg import document
from hashcore.train.evaluate import Direction

_COLOURS = dict(zip(PROTOCOLS, (LIGHT.series[2], LIGHT.series[0], LIGHT.series[1]), strict=False))
_REFERENCES: dict[Figure, tuple[str, str, Any]] = {
    "map": ("CCA + sign, unseen", LIGHT.muted, "--"),
    "chance": ("chance, unseen", LIGHT.muted, ":"),
}
_STYLE: Any = {"font.size": 10, "axes.spines.left": False}


def retrieval(rows: Sequence[Row]) -> str:
    """mAP@all of the methods on one data set, both directions side by side, as SVG.

    The widest codes are filled dots with their standard deviation, narrower ones are rings; lines
    show CCA + sign (dashed) and chance (dotted) where the database is unseen.

    Args:
        rows: cells of one data set with all components on.
    """
    names = list(dict.fromkeys(row.name for row in rows if row.cell.first.method != CCA_SIGN))
    with drawn_in(LIGHT, **_STYLE):
        figure = Chart(figsize=(9.0, 1.3 + 0.27 * len(names)), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, direction in zip(panels, DIRECTIONS, strict=True):
            _panel(axes, rows, names, direction)
        figure.legend(handles=_legend(rows), loc="outside lower center", ncols=6)
        return document(figure)


def _panel(axes: Axes, rows: Sequence[Row], names: Sequence[str], direction: Direction) -> None:
    widest = max(row.cell.first.bits for row in rows)
    for row in rows:
        full = row.cell.first.bits == widest
        if full and row.cell.first.method == CCA_SIGN:
            _reference_lines(axes, row, direction)
        for (protocol, towards), spread in spreads(row, "map").items():
            if towards != direction:
                continue
            if row.cell.first.method == CCA_SIGN:
                continue
            axes.errorbar(
                spread.mean,
                names.index(row.name),
                xerr=None if math.isnan(spread.deviation) or not full else spread.deviation,
                fmt="o",
                markersize=6 if full else 5,
                color=_COLOURS[protocol],
                markerfacecolor=_COLOURS[protocol] if full else "none",
                elinewidth=1.2,
            )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"mAP@all, {DIRECTIONS[direction]}")
    axes.grid(visible=True, linewidth=0.6)
    axes.tick_params(length=0)


def _reference_lines(axes: Axes, row: Row, direction: Direction) -> None:
    for figure, (_, colour, style) in _REFERENCES.items():
        if spread := spreads(row, figure).get(("unseen", direction)):
            axes.axvline(spread.mean, color=colour, linestyle=style, linewidth=1.2, zorder=0)


def _legend(rows: Sequence[Row]) -> list[Line2D]:
    widths = sorted({row.cell.first.bits for row in rows}, reverse=True)
    shown = dict.fromkeys(protocol for protocol, _ in columns(rows))
    dots = [_dot(protocol, color=_COLOURS[protocol]) for protocol in shown]
    dots.append(_dot(f"{widths[0]} bits", color=LIGHT.muted))
    if widths[1:]:
        narrow = " and ".join(map(str, widths[1:]))
        dots.append(_dot(f"{narrow} bits", color=LIGHT.muted, markerfacecolor="none"))
    return dots + [
        Line2D([], [], color=colour, linestyle=style, label=label)
        for label, colour, style in _REFERENCES.values()
    ]


def _dot(label: str, **look: Any) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o", label=label, **look)
