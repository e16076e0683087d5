"""The demo's result as one HTML file that needs nothing beside it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from hashcore._files import replacing
from hashcore.data import CrossModalDataset
from hashcore.report import charts
from hashcore.report.result import Answer, DemoResult, Hit


def render(result: DemoResult, dataset: CrossModalDataset) -> str:
    """The page, as HTML.

    Args:
        result: what the demo found.
        dataset: whose pictures and captions the answers name.
    """
    templates = files("hashcore.report") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["map_figure"] = lambda value: f"{value:.3f}".lstrip("0")
    environment.filters["duration"] = duration
    template = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        result=result,
        # The style sheet is a file of this package; nothing of the data goes through it.
        style=Markup((templates / "report.css").read_text(encoding="utf-8")),
        captions=[_caption_row(a, dataset) for a in result.captions_answered],
        images=[_image_row(a, dataset) for a in result.images_answered],
        charts=[_chart_pair(d) for d in result.directions],
        failures=result.failures(),
    )


def write(html: str, path: Path) -> None:
    """Write the page; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(html.encode())


def duration(seconds: float) -> str:
    """A time with a unit that suits it: "3.2 s", "41 ms", "9 µs"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            value = seconds / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}\u00a0{unit}"
    raise AssertionError


def marked(caption: str, shared: list[str]) -> list[tuple[str, bool]]:
    """The caption in pieces, true where a piece is one of the shared class names."""
    if not shared:
        return [(caption, False)]
    pattern = "|".join(re.escape(name) for name in shared)
    pieces = re.split(f"({pattern})", caption)
    return [(piece, piece in shared) for piece in pieces if piece]


def _shared(dataset: CrossModalDataset, row: int, other: int) -> list[str]:
    both = np.flatnonzero(dataset.labels[row] & dataset.labels[other]).tolist()
    return [dataset.class_names[c] for c in both]


def _hit(hit: Hit, query: int, dataset: CrossModalDataset) -> dict[str, Any]:
    entry: dict[str, Any] = {"distance": hit.distance, "kind": hit.kind}
    if hit.kind == "distractor":
        return {**entry, "state": "distractor"}
    shared = _shared(dataset, query, hit.row)
    return {
        **entry,
        "state": "own" if hit.own else "relevant" if hit.relevant else "miss",
        "image": charts.png_data_uri(dataset.image[hit.row]),
        "caption": dataset.captions[hit.row],
        "pieces": marked(dataset.captions[hit.row], shared),
    }


def _caption_row(answer: Answer, dataset: CrossModalDataset) -> dict[str, Any]:
    hits = [_hit(hit, answer.row, dataset) for hit in answer.hits]
    return {
        "caption": dataset.captions[answer.row],
        "hits": hits,
        "right": sum(hit["state"] in ("own", "relevant") for hit in hits),
    }


def _image_row(answer: Answer, dataset: CrossModalDataset) -> dict[str, Any]:
    return {
        **_caption_row(answer, dataset),
        "image": charts.png_data_uri(dataset.image[answer.row]),
    }


def _chart_pair(direction: Any) -> dict[str, Markup]:
    return {
        "curve": Markup(charts.precision_recall(direction)),
        "distances": Markup(charts.distance_shares(direction)),
    }
