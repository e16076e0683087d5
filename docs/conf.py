"""How Sphinx builds the documentation: `make docs`. Nothing is downloaded."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))  # for generated_pages

project = "hashcore"
author = "The hashcore authors"
project_copyright = "The hashcore authors"
release = metadata.version("hashcore-search")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hashcore {release}"
html_theme_options = {"navigation_with_keys": True}

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def read_as_markdown(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Docstrings mark code by single backticks, and a bar is a bar, such as of |x|."""
    parts = re.split(r"(``.+?``|`[^`]+`)", "\n".join(lines), flags=re.DOTALL)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = part.replace("|", "\\|")
            if i > 0 and part[:1].isalnum():  # such as of `code`s
                parts[i] = "\\ " + parts[i]
        elif not part.startswith("``"):
            parts[i] = f"`{part}`"
    lines[:] = "".join(parts).split("\n")


def write_pages(_app: Sphinx) -> None:
    """Write the pages that are made anew before Sphinx reads its sources."""
    import generated_pages

    generated_pages.write_benchmarks(DOCS.parent / "bench" / "results", DOCS / "benchmarks")
    generated_pages.write_command_line(DOCS / "reference" / "command-line.md")


def setup(app: Sphinx) -> None:
    """What Sphinx calls first."""
    app.connect("autodoc-process-docstring", read_as_markdown, priority=400)
    app.connect("builder-inited", write_pages)
