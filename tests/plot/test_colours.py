"""Charts and pages can be read: contrast, and colours with every kind of colour vision."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray

from hashcore.plot._style import LIGHT, VARIABLES

# Severe colour-vision deficiency in linear RGB: G. M. Machado, M. M. Oliveira and L. A. F.
# Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009.
VISION = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(colour: str) -> NDArray[np.float64]:
    colour = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2's contrast ratio, 1 to 21."""
    light = sorted(float(np.dot([0.2126, 0.7152, 0.0722], linear(c))) for c in (a, b))
    return (light[1] + 0.05) / (light[0] + 0.05)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear RGB under D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def page_colours() -> dict[str, dict[str, str]]:
    """The variables of the pages' style sheet, in light and in dark."""
    css = (files("hashcore.report") / "templates" / "base.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[:2]
    found = [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{3,6});", part)) for part in (light, dark)]
    return {"light": found[0], "dark": found[0] | found[1]}


PAGES = page_colours()


@pytest.mark.parametrize("scheme", list(PAGES))
def test_text_and_lines_of_the_pages_stand_out(scheme: str) -> None:
    colours = PAGES[scheme]
    names = {"--text", "--muted", "--own", "--trained", "--untrained", "--miss", "--chance"}
    for behind in ("--page", "--card"):
        for name in names:
            assert contrast(colours[name], colours[behind]) >= 4.5, (name, behind)
        for i in range(len(LIGHT.series)):
            assert contrast(colours[f"--series-{i + 1}"], colours[behind]) >= 3, (i, behind)
    assert contrast(colours["--text"], colours["--mark"]) >= 4.5


def test_every_variable_of_a_chart_is_in_both_schemes() -> None:
    for scheme, colours in PAGES.items():
        assert set(VARIABLES.values()) <= colours.keys(), scheme
    light = [PAGES["light"][f"--series-{i + 1}"] for i in range(len(LIGHT.series))]
    assert tuple(light) == LIGHT.series


@pytest.mark.parametrize("vision", list(VISION))
@pytest.mark.parametrize("scheme", list(PAGES))
def test_any_two_series_are_told_apart(scheme: str, vision: str) -> None:
    """Ten units of CIELAB are seen at a glance; a just noticeable difference is about 2.3."""
    series = [PAGES[scheme][f"--series-{i + 1}"] for i in range(len(LIGHT.series))]
    seen = [lab(VISION[vision] @ linear(colour)) for colour in series]
    for a, b in itertools.combinations(range(len(seen)), 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 10, (series[a], series[b])
