"""The demo's result as one HTML file that needs nothing beside it."""

from __future__ import annotations

from markupsafe import Markup

from hashcore.data import CrossModalDataset
from hashcore.report import charts, html
from hashcore.report.answers import image_row, text_row
from hashcore.report.result import DemoResult, Direction


def render(result: DemoResult, dataset: CrossModalDataset) -> str:
    """The page, as HTML.

    Args:
        result: what the demo found.
        dataset: whose pictures and captions the answers name.
    """
    return html.render(
        "demo.html.j2",
        result=result,
        captions=[text_row(answer, dataset) for answer in result.captions_answered],
        images=[image_row(answer, dataset) for answer in result.images_answered],
        charts=[_chart_pair(direction) for direction in result.directions],
        failures=result.failures(),
    )


def _chart_pair(direction: Direction) -> dict[str, Markup]:
    return {
        "curve": Markup(charts.precision_recall(direction)),
        "distances": Markup(charts.distance_shares(direction)),
    }
