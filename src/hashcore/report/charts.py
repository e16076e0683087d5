"""The charts of the pages: those of `hashcore.plot`, in colours that the page decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hashcore.plot._style import PAGE, SIZE, drawn_in, finish
from hashcore.plot._svg import inline
from hashcore.plot.codes import distance_shares as draw_shares
from hashcore.plot.curves import arrow, precision_over_recall
from hashcore.report.result import Direction


def chart(
    label: str,
    draw: Callable[..., Axes],
    *args: Any,
    size: tuple[float, float] = SIZE,
    **options: Any,
) -> str:
    """A plot as an element of the page.

    Args:
        label: what a person who does not see it is told; unique on the page.
        draw: a function that takes `ax`, such as those of `hashcore.plot`.
        args: handed to `draw`.
        size: inches.
        options: handed to `draw`.
    """
    with drawn_in(PAGE):
        figure = Figure(figsize=size, layout="constrained")
        draw(*args, ax=figure.add_subplot(), **options)
        return inline(figure, label)


def precision_recall(direction: Direction) -> str:
    """Precision over recall by Hamming radius: trained, untrained, chance."""

    def draw(ax: Axes) -> Axes:
        for place, quality in ((1, direction.untrained), (2, direction.trained)):
            precision_over_recall(ax, quality.curve.recall, quality.curve.precision, place, "")
        base = float(direction.untrained.curve.precision[-1])
        ax.plot([0, 1], [base, base], color=PAGE.muted, linewidth=1.5, linestyle=":")
        ax.set(xlim=(0, 1.005), ylim=(0, 1.03))
        title = f"Precision and recall, {arrow(direction.name)}"
        return finish(ax, title, "recall, share of 1", "precision, share of 1")

    return chart(f"Precision over recall, {direction.name}", draw)


def distance_shares(direction: Direction) -> str:
    """How far relevant, irrelevant and distractor codes lie from a query."""
    shares = [
        ("", direction.distractors, PAGE.muted),
        ("", direction.irrelevant, PAGE.irrelevant),
        ("", direction.relevant, PAGE.relevant),
    ]
    title = f"Distance of a code, {arrow(direction.name)}"
    return chart(f"Hamming distances, {direction.name}", draw_shares, shares, title)
