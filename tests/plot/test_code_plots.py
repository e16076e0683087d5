"""Histograms, bits and maps of codes, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hashcore
from hashcore import plot
from hashcore.metrics import Protocol

BITS = 13


def axes() -> Axes:
    return Figure().add_subplot()


def unpack_bits(codes: np.ndarray) -> np.ndarray:
    return np.unpackbits(codes, axis=1)[:, :BITS]


def some_codes(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(hashcore.pack(rng.standard_normal((n, BITS)) + 0.3))


def test_distances_are_shared_out_by_relevance() -> None:
    queries, database = some_codes(9), some_codes(31, 1)
    labels = np.random.default_rng(2).random((40, 4)) < 0.3
    ax = plot.distance_histogram(
        queries, database, labels[:9], labels[9:], bits=BITS, protocol=Protocol("custom"), ax=axes()
    )
    distance = (unpack_bits(queries)[:, None] != unpack_bits(database)).sum(axis=2)
    relevant = (labels[:9, None] & labels[9:]).any(axis=2)
    for line, here in zip(ax.lines, (~relevant, relevant), strict=True):
        expected = np.bincount(distance[here], minlength=BITS + 1) / here.sum()
        assert np.asarray(line.get_ydata()) == pytest.approx(expected)
    assert [str(line.get_label()) for line in ax.lines] == ["shares no class", "shares a class"]
    assert "bits" in ax.get_xlabel()
    assert "custom database" in ax.get_title(loc="left")


def test_balance_is_the_mean_of_each_bit() -> None:
    codes = some_codes(50)
    codes[:, 0] |= 0x80  # the first bit is constant
    ax = plot.bit_balance(codes, bits=BITS, ax=axes())
    heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx(unpack_bits(codes).mean(axis=0))
    assert "1 constant" in ax.get_title(loc="left")


def test_correlation_is_numpys_and_empty_where_a_bit_is_constant() -> None:
    codes = some_codes(50)
    codes[:, 0] |= 0x80
    bits = unpack_bits(codes)
    ax = plot.bit_correlation(codes, bits=BITS, ax=axes())
    shown: Any = ax.images[0].get_array()  # masked where it is not a number
    assert shown.mask[0].all()
    assert shown.mask[:, 0].all()
    assert shown.data[1:, 1:] == pytest.approx(np.corrcoef(bits[:, 1:].T))
    apart = np.abs(np.corrcoef(bits[:, 1:].T)[~np.eye(BITS - 1, dtype=bool)])
    assert f"mean size {apart.mean():.3f}" in ax.get_title(loc="left")


def test_a_correlation_without_any_varying_bit_is_said() -> None:
    ax = plot.bit_correlation(np.zeros((4, 1), np.uint8), ax=axes())
    assert "no two bits vary" in ax.get_title(loc="left")


def clustered(n: int) -> tuple[np.ndarray, np.ndarray]:
    """n codes of 64 bits around each of three centres, and their classes."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 256, (3, 8), np.uint8)
    labels = np.repeat(np.arange(3), n)
    flips = np.packbits(rng.random((3 * n, 64)) < 0.04, axis=1)
    return centres[labels] ^ flips, labels


def test_the_map_keeps_clusters_apart_and_seeds_decide() -> None:
    codes, labels = clustered(20)
    ax = plot.tsne(codes, labels, class_names=("a", "b", "c"), perplexity=8, ax=axes())
    shown = [c for c in ax.collections if len(np.asarray(c.get_offsets()))]
    groups = [np.asarray(c.get_offsets(), dtype=float) for c in shown]
    assert [c.get_gid() for c in shown] == ["a", "b", "c"]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    assert [len(g) for g in groups] == [20, 20, 20]
    centres = np.stack([g.mean(axis=0) for g in groups])
    spread = max(float(np.linalg.norm(g - g.mean(axis=0), axis=1).max()) for g in groups)
    between = min(float(np.linalg.norm(centres[i] - centres[i - 1])) for i in range(3))
    assert between > spread
    again = plot.tsne(codes, labels, perplexity=8, ax=axes())
    assert np.array_equal(again.collections[0].get_offsets(), groups[0])


def test_the_map_of_several_labels_and_groups() -> None:
    codes, _ = clustered(4)
    labels = np.zeros((12, 8), dtype=bool)
    labels[np.arange(12), np.arange(12) % 6] = True
    labels[0, :2] = True  # several
    labels[1] = False  # none
    ax = plot.tsne(codes, labels, groups=["image", "text"] * 6, ax=axes())
    names = [str(c.get_gid()) for c in ax.collections]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][-2:] == ["image", "text"]
    assert sum(len(np.asarray(c.get_offsets())) for c in ax.collections) == 12
    assert "several classes, image" in names
    assert "other classes, text" in names


def test_wrong_input_says_what_is_expected() -> None:
    codes = some_codes(6)
    with pytest.raises(TypeError, match=r"codes: expected packed codes, uint8 .*; got float64"):
        plot.bit_balance(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="codes: expected at least 2; got 1"):
        plot.bit_correlation(codes[:1], bits=BITS)
    with pytest.raises(ValueError, match="codes"):
        plot.bit_balance(codes, bits=99)
    wrong: Any = (
        ({"groups": ["a"]}, "groups: expected a word for each of 6 codes; got 1"),
        ({"perplexity": 0}, "perplexity: expected above 0; got 0"),
        ({"labels": np.zeros(5, np.int64)}, r"labels: expected \[6\] or \[6, C\]; got int64 \[5\]"),
        (
            {"labels": np.zeros((6, 3), bool), "class_names": ["a"]},
            "class_names: expected 3; got 1",
        ),
    )
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            plot.tsne(codes, bits=BITS, **options)
