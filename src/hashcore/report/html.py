"""Pages as single files that need nothing beside them: templates, their filters, writing."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hashcore._files import replacing

_TEMPLATES = files("hashcore.report") / "templates"


def render(template: str, **values: Any) -> str:
    """The page of a template; what it shows is escaped.

    Args:
        template: name of a file in `templates`.
        values: what the template asks for.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["map_figure"] = figure
    environment.filters["duration"] = duration
    # The style sheet is a file of this package; nothing of the data goes through it.
    return environment.get_template(template).render(style=Markup(_read("base.css")), **values)


def write(html: str, path: Path) -> None:
    """Write the page; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(html.encode())


def figure(value: float) -> str:
    """A share of 1 with three digits: ".934"."""
    return f"{value:.3f}".removeprefix("0")


def duration(seconds: float) -> str:
    """A time with a unit that suits it: "3.2 s", "41 ms", "9 µs"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            value = seconds / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}\u00a0{unit}"
    raise AssertionError


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
