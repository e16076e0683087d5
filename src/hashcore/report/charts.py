"""Charts as SVG that takes its colours from the page, and pictures as PNG data."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from hashcore.report.result import Direction

# Colours that stand for CSS variables of the page, so that a chart follows light and dark.
_VARIABLES = {
    "#010201": "--text",
    "#010202": "--muted",
    "#010203": "--line",
    "#010204": "--trained",
    "#010205": "--untrained",
    "#010206": "--chance",
    "#010207": "--miss",
}
_TEXT, _MUTED, _LINE, _TRAINED, _UNTRAINED, _CHANCE, _MISS = _VARIABLES
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hashcore",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.titlecolor": _TEXT,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "grid.color": _LINE,
    "text.color": _TEXT,
    "legend.frameon": False,
}


def png_data_uri(image: NDArray[np.uint8]) -> str:
    """An image uint8 [3, H, W] as the `data:` address of a PNG."""
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(image.transpose(1, 2, 0)), format="png", metadata={})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def precision_recall(direction: Direction) -> str:
    """Precision over recall by Hamming radius: trained, untrained, chance."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(f"Precision and recall, {_arrow(direction)}")
        for curve, colour, width in (
            (direction.untrained.curve, _UNTRAINED, 1.8),
            (direction.trained.curve, _TRAINED, 2.6),
        ):
            known = np.isfinite(curve.precision) & (curve.recall > 0.005)  # fewer pairs: noise
            axes.plot(curve.recall[known], curve.precision[known], color=colour, linewidth=width)
        base = float(direction.untrained.curve.precision[-1])
        axes.plot([0, 1], [base, base], color=_CHANCE, linewidth=1.5, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 1.005), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
        return _svg(figure, f"Precision over recall, {direction.name}")


def distance_shares(direction: Direction) -> str:
    """How far relevant, irrelevant and distractor codes lie from a query."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(f"Distance of a code, {_arrow(direction)}")
        bits = np.arange(len(direction.relevant))
        for shares, colour in (
            (direction.distractors, _CHANCE),
            (direction.irrelevant, _MISS),
            (direction.relevant, _TRAINED),
        ):
            axes.fill_between(bits, shares, color=colour, alpha=0.18, linewidth=0)
            axes.plot(bits, shares, color=colour, linewidth=2.0)
        axes.set(xlim=(0, bits[-1]), ylim=(0, None), xlabel="bits that differ")
        axes.set_ylabel("share of codes")
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        return _svg(figure, f"Hamming distances, {direction.name}")


def _arrow(direction: Direction) -> str:
    return direction.name.replace("->", "→")


def _axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, pad=12)
    axes.grid(visible=True, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    return figure, axes


def _svg(figure: Figure, label: str) -> str:
    """The figure as an inline element: no prologue, no fixed size, colours as variables."""
    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font-size: \1px", text)
