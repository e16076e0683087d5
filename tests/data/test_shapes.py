from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from hashcore.data import PADDING, UNKNOWN, load
from hashcore.data.shapes import CLASS_NAMES, COLOURS, FORMS, RELATIONS, make_shapes


def test_kinds_and_split() -> None:
    data = make_shapes(pairs=60)
    assert data.image.shape == (60, 3, 32, 32)
    assert (data.image_kind, data.text_kind) == ("pixels", "tokens")
    assert data.split.train.tolist() == list(range(50))
    assert data.split.query.tolist() == list(range(50, 60))
    assert data.split.database.tolist() == data.split.train.tolist()


def test_the_seed_decides_every_byte() -> None:
    one, same, other = make_shapes(pairs=30), make_shapes(pairs=30), make_shapes(pairs=30, seed=1)
    assert one.image.tobytes() == same.image.tobytes()
    assert one.captions == same.captions
    assert one.captions != other.captions
    assert one.split.hash == same.split.hash


def test_captions_say_what_the_labels_say() -> None:
    data = make_shapes(pairs=400, seed=3)
    for caption, row in zip(data.captions, data.labels, strict=True):
        words = caption.split()
        found = {f"{words[i - 1]} {w}" for i, w in enumerate(words) if w in FORMS}
        assert found == {CLASS_NAMES[c] for c in np.flatnonzero(row)}
        assert 1 <= len(found) <= 3


def test_every_word_is_known_and_fits() -> None:
    data = make_shapes(pairs=1200, seed=3)
    assert data.vocabulary is not None
    assert not (data.text == UNKNOWN).any()
    lengths = (data.text != PADDING).sum(axis=1)
    assert lengths.tolist() == [len(caption.split()) for caption in data.captions]
    assert set(np.unique(data.text)) == set(range(len(data.vocabulary))) - {UNKNOWN}


def nearest_colour(image: np.ndarray) -> np.ndarray:
    """Index of the nearest colour of each pixel, or -1 where the pixel is background."""
    palette = np.array(list(COLOURS.values()), dtype=np.float64)  # [C, 3]
    pixels = image.transpose(1, 2, 0).astype(np.float64)
    gap = np.abs(pixels[:, :, None, :] - palette).max(axis=-1)  # [S, S, C]
    return np.where(gap.min(axis=-1) < 25, gap.argmin(axis=-1), -1)


def test_relations_hold_in_the_pixels() -> None:
    """Centres of gravity of the colours, in images of two shapes with different colours."""
    data = make_shapes(pairs=600, seed=5)
    met = dict.fromkeys(RELATIONS, 0)
    for image, caption in zip(data.image, data.captions, strict=True):
        relation = next((r for r in RELATIONS if f" {r} " in caption), None)
        words = [w for w in caption.split() if w in COLOURS]
        if relation is None or " and " in caption or words[0] == words[1]:
            continue
        colours = nearest_colour(image)
        first, second = (
            np.argwhere(colours == list(COLOURS).index(word)).mean(axis=0) for word in words
        )
        down, right = second - first
        gap = {"above": down, "below": -down, "left of": right, "right of": -right}[relation]
        assert gap > 6, caption
        met[relation] += 1
    assert min(met.values()) >= 20


def test_large_is_larger_than_small() -> None:
    data = make_shapes(pairs=900, seed=6)
    areas: dict[tuple[str, str], list[int]] = {}
    for image, caption in zip(data.image, data.captions, strict=True):
        words = caption.split()
        if len(words) == 4:
            areas.setdefault((words[3], words[1]), []).append(
                int((nearest_colour(image) >= 0).sum())
            )
    for form in FORMS:
        assert min(areas[form, "large"]) > 1.5 * max(areas[form, "small"])


def test_chance_is_low_and_classes_are_even() -> None:
    data = make_shapes(pairs=2000, seed=1)
    labels = data.labels.astype(np.float32)
    assert 0.07 < float((labels @ labels.T > 0).mean()) < 0.13
    assert data.labels.any(axis=1).all()
    share = labels.mean(axis=0)
    assert 0.04 < share.min() <= share.max() < 0.08


def test_edges_are_smooth() -> None:
    """A lone black circle: some pixels lie between the background and black."""
    data = make_shapes(pairs=900, seed=6)
    row = next(i for i, c in enumerate(data.captions) if c == "a large black circle")
    grey = data.image[row].mean(axis=0)
    assert ((grey > 80) & (grey < 180)).sum() >= 8
    assert abs(int((grey < 130).sum()) - np.pi * 7.2**2) < 12


def test_six_thousand_pairs_are_quick() -> None:
    start = time.process_time()
    make_shapes()
    assert time.process_time() - start < 6


@pytest.mark.parametrize("options", [{"pairs": 1}, {"pairs": 5, "queries": 5}, {"queries": 0}])
def test_wrong_sizes(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0 < queries < pairs"):
        load("shapes", **options)
