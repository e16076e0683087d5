"""Small data sets that a few epochs learn."""

from __future__ import annotations

import numpy as np

from hashcore.data import CrossModalDataset, Split, Vocabulary


def make_features(seed: int = 0, rows: int = 160) -> CrossModalDataset:
    """Five classes around random centres: easy to learn in a few epochs."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, rows)
    image = rng.normal(size=(5, 12))[classes] + 0.5 * rng.normal(size=(rows, 12))
    text = rng.normal(size=(5, 9))[classes] + 0.5 * rng.normal(size=(rows, 9))
    train, query = np.arange(rows - 40), np.arange(rows - 40, rows)
    return CrossModalDataset(
        "centres",
        image.astype(np.float32),
        text.astype(np.float32),
        np.eye(5, dtype=bool)[classes],
        Split(train, query, train),
    )


def make_scenes(rows: int = 96) -> CrossModalDataset:
    """One coloured square in a corner and a caption of its colour, as pixels and tokens."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 3, rows)
    image = rng.integers(0, 60, (rows, 3, 8, 8)).astype(np.uint8)
    image[np.arange(rows), colour, :4, :4] = 230
    captions = tuple(f"a {('red', 'green', 'blue')[c]} square" for c in colour)
    vocabulary = Vocabulary.build(captions)
    train, query = np.arange(rows - 24), np.arange(rows - 24, rows)
    return CrossModalDataset(
        "corners",
        image,
        vocabulary.encode(captions),
        np.eye(3, dtype=bool)[colour],
        Split(train, query, train),
        captions=captions,
        vocabulary=vocabulary,
    )
