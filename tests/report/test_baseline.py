from __future__ import annotations

import numpy as np
import pytest

import hashcore.metrics
from hashcore.data import load
from hashcore.report.baseline import cca_sign


def linked_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two views of eight hidden numbers, with noise of their own."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((n, 8))
    views = [
        hidden @ rng.standard_normal((8, width)) + 0.1 * rng.standard_normal((n, width))
        for width in (20, 12)
    ]
    return views[0].astype(np.float32), views[1].astype(np.float32)


@pytest.mark.parametrize("bits", [8, 13, 64])
def test_pairs_meet_in_the_codes(bits: int) -> None:
    """64 bits is more than the 12 directions that there are."""
    image, text = linked_pairs(600)
    train = np.arange(500)
    a, b = cca_sign(image, text, train, bits)
    assert a.shape == b.shape == (600, (bits + 7) // 8)
    distance = hashcore.pairwise(a[500:], b[500:])
    others = distance[~np.eye(100, dtype=bool)]
    assert distance.diagonal().mean() < 0.5 * others.mean()
    if bits % 8:
        assert not np.unpackbits(a, axis=1)[:, bits:].any()


def test_rows_outside_the_training_rows_do_not_matter() -> None:
    image, text = linked_pairs(300)
    train = np.arange(200)
    a, _ = cca_sign(image, text, train, 16)
    image[250:] *= -3
    b, _ = cca_sign(image, text, train, 16)
    assert np.array_equal(a[:250], b[:250])


def test_shapes_are_above_chance() -> None:
    data = load("shapes", pairs=1500, seed=2)
    images, texts = cca_sign(data.image, data.text, data.split.train, 64)
    again, _ = cca_sign(data.image, data.text, data.split.train, 64)
    assert np.array_equal(images, again)
    query = data.split.query
    labels = data.labels[query]
    report = hashcore.metrics.evaluate(texts[query], images[query], labels, labels)
    assert report.chance < 0.16
    assert report.map_tie_aware > 1.2 * report.chance
