"""Colours, lines and type of every chart; light or as variables of a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

SIZE = (5.2, 3.6)  # inches


@dataclass(frozen=True)
class Theme:
    """The colours that a chart is drawn in.

    Attributes:
        text: titles.
        muted: labels, ticks and what serves for comparison, such as chance.
        line: grid and spines.
        series: what is compared, in order. Any two are told apart with any kind of colour vision;
            the dashes of `DASHES` tell them apart without colour.
    """

    text: str
    muted: str
    line: str
    series: tuple[str, ...]

    @property
    def relevant(self) -> str:
        """Colour of what shares a class with the query."""
        return self.series[2]

    @property
    def irrelevant(self) -> str:
        """Colour of what shares none."""
        return self.series[1]


LIGHT = Theme(
    text="#14181f",
    muted="#5b6472",
    line="#dfe3e8",
    series=("#0072b2", "#c04d00", "#00795c", "#b0478c", "#4a3aa7", "#30343b"),
)
# Colours that stand for CSS variables of a page, so that a chart follows light and dark.
VARIABLES = {
    "#010201": "--text",
    "#010202": "--muted",
    "#010203": "--line",
    **{f"#01030{i + 1}": f"--series-{i + 1}" for i in range(len(LIGHT.series))},
}
_TEXT, _MUTED, _LINE, *_SERIES = VARIABLES
PAGE = Theme(_TEXT, _MUTED, _LINE, tuple(_SERIES))
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.4, 1.4)),
    (0, (7, 1.6, 1.4, 1.6)),
    (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0, (9, 2)),
)
MARKERS = "osD^vP"

_theme: ContextVar[Theme] = ContextVar("theme", default=LIGHT)


def theme() -> Theme:
    """The theme that is drawn in."""
    return _theme.get()


def rc(colours: Theme) -> Any:
    """Matplotlib's parameters for a theme."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "hashcore",
        "font.family": "sans-serif",
        "font.size": 10.5,
        "text.color": colours.text,
        "axes.edgecolor": colours.line,
        "axes.labelcolor": colours.muted,
        "axes.titlecolor": colours.text,
        "axes.titlesize": 11.5,
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "xtick.color": colours.muted,
        "ytick.color": colours.muted,
        "grid.color": colours.line,
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
    }


@contextmanager
def drawn_in(colours: Theme, **changes: Any) -> Iterator[None]:
    """Draw in a theme for a while; `changes` are further parameters of matplotlib."""
    token = _theme.set(colours)
    try:
        with mpl.rc_context(rc(colours) | changes):
            yield
    finally:
        _theme.reset(token)


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or the axes of a new pyplot figure in this package's style."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    with mpl.rc_context(rc(theme())):
        return pyplot.subplots(figsize=SIZE, layout="constrained")[1]


def finish(ax: Axes, title: str, x: str, y: str, *, grid: bool = True) -> Axes:
    """Title, labels with units and, where several things have names, a legend."""
    ax.set_title(title, loc="left")
    ax.set(xlabel=x, ylabel=y)
    ax.tick_params(length=0)
    if grid:
        ax.grid(visible=True)
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend()
    return ax
