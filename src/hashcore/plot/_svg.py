"""Figures as SVG: a file of its own, or an element of a page whose colours it takes."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from hashcore.plot._style import VARIABLES


def document(figure: Figure) -> str:
    """The figure on white; the same figure gives the same bytes."""
    return _saved(figure, facecolor="white")


def inline(figure: Figure, label: str) -> str:
    """The figure as an element of a page: no prologue, no fixed size, colours as variables.

    Args:
        figure: drawn in the theme `PAGE`.
        label: what a person who does not see it is told; unique on the page.
    """
    with mpl.rc_context({"svg.hashsalt": label}):  # ids are to be unique on a page
        text = _saved(figure, transparent=True)
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # nothing refers to groups
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font-size: \1px", text)


def _saved(figure: Figure, **options: Any) -> str:
    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing, **options)
    return buffer.getvalue()
