"""Rendered images of coloured shapes with a written caption each: the embedded data set.

Every pair is drawn from a seed: one to three shapes, no two alike in both colour and form, in
cells of a 2 x 2 grid with some jitter, rotation and pixel noise. The labels are the
colour-and-form combinations that are present ("red circle"), so that about one in ten
of random pairs is relevant and a person sees at once whether a caption found its images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashcore.data.dataset import CrossModalDataset
from hashcore.data.source import PairSource, generated
from hashcore.data.split import Split
from hashcore.data.vocabulary import Vocabulary

SIDE = 32
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 45, 48),
    "green": (46, 160, 67),
    "blue": (45, 108, 223),
    "yellow": (242, 196, 22),
    "purple": (142, 68, 190),
    "black": (38, 40, 46),
}
FORMS = ("circle", "square", "triangle", "star", "cross")
SIZES: dict[str, float] = {"small": 4.6, "large": 7.2}
RELATIONS = ("above", "below", "left of", "right of")
CLASS_NAMES = tuple(f"{colour} {form}" for colour in COLOURS for form in FORMS)

_MAX_SHAPES = 3
_SHARE_BY_COUNT = (0.4, 0.4, 0.2)
_ROWS_PER_CHUNK = 1024
_NOISE = 5.0
_JITTER = 1.0
_TILT = 0.25


@dataclass(frozen=True)
class _Scenes:
    """What the images show. n images of up to 3 shapes; shape 0 is the one the caption is about."""

    count: NDArray[np.int64]  # [n]
    colour: NDArray[np.int64]  # [n, 3]
    form: NDArray[np.int64]  # [n, 3]
    size: NDArray[np.int64]  # [n, 3]
    centre: NDArray[np.float32]  # [n, 3, 2], x right and y down
    tilt: NDArray[np.float32]  # [n, 3]
    ground: NDArray[np.float32]  # [n, 3], RGB
    relation: NDArray[np.int64]  # [n, 3], of shape 0 to shape j; column 0 unused


def _draw_scenes(n: int, rng: np.random.Generator) -> _Scenes:
    count = rng.choice(np.arange(1, _MAX_SHAPES + 1), n, p=_SHARE_BY_COUNT)
    combination = np.argsort(rng.random((n, len(CLASS_NAMES))), axis=1)[:, :_MAX_SHAPES]
    # Shape 0 stands in a corner cell. One neighbour shares its column and one its row; a coin
    # says which of the two is shape 1, so that every relation is met with two shapes too.
    corner = rng.integers(0, 2, (n, 2))  # [n, 2], column and row of shape 0
    vertical_first = rng.integers(0, 2, n)
    cell = np.repeat(corner[:, None, :], _MAX_SHAPES, axis=1)  # [n, 3, 2]
    relation = np.zeros((n, _MAX_SHAPES), dtype=np.int64)
    rows = np.arange(n)
    for j in (1, 2):
        axis = vertical_first if j == 1 else 1 - vertical_first
        cell[rows, j, axis] = 1 - cell[rows, j, axis]
        # RELATIONS: above, below (axis 1), left of, right of (axis 0).
        relation[:, j] = np.where(axis == 1, 0, 2) + corner[rows, axis]
    centre = 8.0 + 16.0 * cell.astype(np.float32)
    # One or two shapes leave room: centre them on the axes that they do not use.
    one = count == 1
    centre[one, 0] = 16.0 + rng.uniform(-6.0, 6.0, (int(one.sum()), 2))
    two = np.flatnonzero(count == 2)
    centre[two, :2, 1 - vertical_first[two]] = 16.0 + rng.uniform(-5.0, 5.0, (two.size, 1))
    centre += rng.uniform(-_JITTER, _JITTER, centre.shape)
    light = rng.uniform(222.0, 250.0, (n, 1)) + rng.uniform(-5.0, 5.0, (n, 3))
    return _Scenes(
        count=count,
        colour=combination // len(FORMS),
        form=combination % len(FORMS),
        size=rng.integers(0, len(SIZES), (n, _MAX_SHAPES)),
        centre=centre.astype(np.float32),
        tilt=rng.uniform(-_TILT, _TILT, (n, _MAX_SHAPES)).astype(np.float32),
        ground=light.astype(np.float32),
        relation=relation,
    )


Pixels = NDArray[np.float32]


def _distance(form: str, x: Pixels, y: Pixels, r: Pixels) -> Pixels:
    """Pixels from the edge of a form, negative inside; exact near the edge.

    Args:
        form: one of FORMS.
        x: float32 [m, S, S], pixel centres in the frame of the shape, to the right.
        y: float32 [m, S, S], the same, downwards.
        r: float32 [m, 1, 1], the radius.
    """
    ax, ay = np.abs(x), np.abs(y)
    if form == "circle":
        edge = np.hypot(x, y) - r
    elif form == "square":
        edge = np.maximum(ax, ay) - np.float32(0.84) * r
    elif form == "cross":
        short = np.float32(0.34) * r
        edge = np.minimum(np.maximum(ax - r, ay - short), np.maximum(ax - short, ay - r))
    elif form == "triangle":
        inner = np.float32(0.56) * r  # equilateral, hung so that its box is centred
        low = y - np.float32(0.5) * inner
        edge = np.maximum(low, np.float32(np.sqrt(0.75)) * ax - np.float32(0.5) * low) - inner
    else:
        edge = _star_distance(x, y, r)
    return np.asarray(edge, dtype=np.float32)


def _star_distance(x: Pixels, y: Pixels, r: Pixels) -> Pixels:
    """A five-pointed star with a tip upwards: fold the plane to one half point, then one edge."""
    sector = np.float32(np.pi / 5)
    angle = np.arctan2(x, -y)
    folded = np.abs(np.mod(angle + sector, 2 * sector) - sector)  # 0 at a tip, pi/5 at a notch
    radius = np.hypot(x, y)
    px, py = radius * np.sin(folded), radius * np.cos(folded)
    # The edge runs from the tip (0, 1) to a notch at 0.45, in units of the outer radius.
    nx, ny = 0.45 * np.sin(np.pi / 5), 0.45 * np.cos(np.pi / 5)
    length = np.hypot(nx, 1 - ny)
    across, along = np.float32((1 - ny) / length), np.float32(nx / length)
    return np.asarray(px * across + (py - np.float32(1.08) * r) * along, dtype=np.float32)


def _coverage(scenes: _Scenes, shape: int, rows: NDArray[np.int64]) -> Pixels:
    """How much of every pixel one shape covers, float32 [m, S, S] in 0..1."""
    grid = np.arange(SIDE, dtype=np.float32) + np.float32(0.5)
    centre = scenes.centre[rows, shape]
    dx = grid[None, None, :] - centre[:, 0, None, None]  # [m, 1, S]
    dy = grid[None, :, None] - centre[:, 1, None, None]  # [m, S, 1]
    cos = np.cos(scenes.tilt[rows, shape])[:, None, None]
    sin = np.sin(scenes.tilt[rows, shape])[:, None, None]
    x, y = cos * dx + sin * dy, cos * dy - sin * dx  # [m, S, S]
    radius = np.array(list(SIZES.values()), dtype=np.float32)[scenes.size[rows, shape]]
    radius = radius[:, None, None]
    edge = np.empty_like(x)
    for i, form in enumerate(FORMS):
        of_form = scenes.form[rows, shape] == i
        edge[of_form] = _distance(form, x[of_form], y[of_form], radius[of_form])
    return np.asarray(np.clip(np.float32(0.5) - edge, 0, 1), dtype=np.float32)


def _render(scenes: _Scenes, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The images, uint8 [n, 3, S, S]; a shape's edge is blended by the share it covers."""
    n = len(scenes.count)
    palette = np.array(list(COLOURS.values()), dtype=np.float32)
    images = np.empty((n, 3, SIDE, SIDE), dtype=np.uint8)
    for start in range(0, n, _ROWS_PER_CHUNK):
        rows = np.arange(start, min(n, start + _ROWS_PER_CHUNK))
        chunk = np.tile(scenes.ground[rows][:, :, None, None], (1, 1, SIDE, SIDE))
        for shape in range(_MAX_SHAPES):
            shown = np.flatnonzero(scenes.count[rows] > shape)
            cover = _coverage(scenes, shape, rows[shown])[:, None]  # [m, 1, S, S]
            colour = palette[scenes.colour[rows[shown], shape]][:, :, None, None]
            chunk[shown] += cover * (colour - chunk[shown])
        chunk += _NOISE * rng.standard_normal(chunk.shape, dtype=np.float32)
        images[rows] = np.clip(np.rint(chunk), 0, 255)
    return images


def _write(scenes: _Scenes) -> tuple[str, ...]:
    """A caption each: shape 0, then its relation to every other shape."""
    colours, sizes = list(COLOURS), list(SIZES)
    captions = []
    for i, count in enumerate(scenes.count.tolist()):
        names = [
            f"a {sizes[s]} {colours[c]} {FORMS[f]}"
            for s, c, f in zip(scenes.size[i], scenes.colour[i], scenes.form[i], strict=True)
        ]
        others = [f"{RELATIONS[scenes.relation[i, j]]} {names[j]}" for j in range(1, count)]
        captions.append(" ".join([names[0], " and ".join(others)]).strip())
    return tuple(captions)


def _vocabulary() -> Vocabulary:
    """Every word a caption can hold, whatever was drawn: tokens mean the same at every size."""
    words = ["a", *SIZES, *COLOURS, *FORMS, "above", "below", "left", "right", "of", "and"]
    return Vocabulary(tuple(words), max_length=4 * _MAX_SHAPES + 5)


def make_shapes(
    *, pairs: int = 6000, queries: int | None = None, seed: int = 0
) -> CrossModalDataset:
    """Draw the data set.

    Args:
        pairs: images, each with its caption.
        queries: pairs of the query split; a sixth of all when None. All others train and are
            the database.
        seed: the same seed gives the same bytes.

    Returns:
        image uint8 [pairs, 3, 32, 32]; text int64 [pairs, 17]; labels bool [pairs, 30], the
        colour-and-form combinations present; captions, vocabulary and class names.

    Raises:
        ValueError: fewer than 2 pairs, or no row left to train or to ask.
    """
    if queries is None:
        queries = pairs // 6 or 1
    if pairs < 2 or not 0 < queries < pairs:
        raise ValueError(
            f"shapes: expected pairs >= 2 and 0 < queries < pairs; "
            f"got pairs {pairs}, queries {queries}"
        )
    rng = np.random.default_rng(seed)
    scenes = _draw_scenes(pairs, rng)
    images = _render(scenes, rng)
    captions = _write(scenes)
    vocabulary = _vocabulary()
    labels = np.zeros((pairs, len(CLASS_NAMES)), dtype=np.bool_)
    for shape in range(_MAX_SHAPES):
        shown = np.flatnonzero(scenes.count > shape)
        labels[shown, scenes.colour[shown, shape] * len(FORMS) + scenes.form[shown, shape]] = True
    train = np.arange(pairs - queries)
    return CrossModalDataset(
        name="shapes",
        image=images,
        text=vocabulary.encode(captions),
        labels=labels,
        split=Split(train=train, query=np.arange(pairs - queries, pairs), database=train),
        class_names=CLASS_NAMES,
        captions=captions,
        vocabulary=vocabulary,
    )


def open_shapes(*, pairs: int = 6000, queries: int | None = None, seed: int = 0) -> PairSource:
    """`make_shapes`, as a source to prepare."""
    data = make_shapes(pairs=pairs, queries=queries, seed=seed)
    protocol = f"the last {data.split.query.size:,} rows are queries; database: the training rows"
    return generated(data, protocol)
