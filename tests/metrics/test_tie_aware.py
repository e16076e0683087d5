"""Metrics from counts alone, in arrays of NumPy and of PyTorch, as the engine measures them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import reference
from hashcore import metrics

LIBRARIES: dict[str, Callable[[NDArray[Any]], Any]] = {"numpy": np.asarray, "torch": torch.asarray}


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=1e-12, atol=1e-15)


def compare(
    library: str, arrays: tuple[NDArray[Any], ...], bits: int, cutoffs: tuple[int, ...]
) -> None:
    report = metrics.evaluate(*arrays, bits=bits, topn=cutoffs, map_at=cutoffs, ndcg_at=())
    counts = LIBRARIES[library](metrics.relevance_counts(*arrays, bits=bits))
    found = metrics.tie_aware(counts, topn=cutoffs, map_at=cutoffs)
    assert report.per_query is not None
    close(found.relevant, report.per_query.relevant)
    close(found.ap, report.per_query.ap_tie_aware)
    close(found.map, report.map_tie_aware)
    close(found.chance, report.chance)
    assert found.precision_at.keys() == report.precision_at.keys()
    for cut, value in report.precision_at.items():
        close(found.precision_at[cut], value)
    assert found.map_at.keys() == report.map_at.keys()
    for cut, by_definition in report.map_at.items():
        close(found.map_at[cut], by_definition["C_tie_aware"])
    for name in ("pr_micro", "pr_macro"):
        for axis in ("recall", "precision"):
            close(getattr(getattr(found, name), axis), getattr(getattr(report, name), axis))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("bits", [1, 8, 65, 300])
@pytest.mark.parametrize("count", [0, 1, 2, 63, 3000])
def test_as_evaluate_measures(library: str, bits: int, count: int) -> None:
    rng = np.random.default_rng(bits + count)
    codes = reference.random_codes(rng, 9 + count, bits)
    ids = rng.integers(-2, 3, 9 + count)
    sets = rng.random((9 + count, 24)) < 0.04
    cutoffs = (1, 2, 7, max(1, count // 2), max(1, count), count + 3)
    for labels in (ids, sets):
        compare(library, (codes[:9], codes[9:], labels[:9], labels[9:]), bits, cutoffs)


@given(
    seed=st.integers(0, 2**32),
    bits=st.integers(1, 20),
    queries=st.integers(1, 12),
    count=st.integers(0, 60),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    library=st.sampled_from(sorted(LIBRARIES)),
)
def test_drawn_cases(
    seed: int, bits: int, queries: int, count: int, share: float, library: str
) -> None:
    rng = np.random.default_rng(seed)
    codes = reference.random_codes(rng, queries + count, bits)
    labels = rng.random((queries + count, 3)) < share
    arrays = (codes[:queries], codes[queries:], labels[:queries], labels[queries:])
    compare(library, arrays, bits, (1, 3, 20))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("before", [0, 1, 15, 16, 17, 1000, 200_000])
@pytest.mark.parametrize("tied", [1, 2, 3, 50])
def test_late_blocks_keep_their_precision(library: str, before: int, tied: int) -> None:
    """The closed form of a block cancels the more digits, the later and the smaller it is."""
    codes = np.zeros((before + tied, 1), np.uint8)
    codes[before:] = 1
    labels = np.zeros(before + tied, np.int64)
    labels[before:] = 1
    arrays = (codes[:1] * 0, codes, np.array([1]), labels)
    compare(library, arrays, 8, (before + 1, before + tied))


def test_tensors_stay_tensors() -> None:
    found = metrics.tie_aware(torch.ones(3, 9, 2, dtype=torch.int64))
    for value in (found.relevant, found.ap, found.map, found.chance, found.map_at[50]):
        assert isinstance(value, torch.Tensor)
    assert found.ap.dtype == found.pr_macro.recall.dtype == torch.float64
    assert found.map.shape == ()


COUNTS = np.ones((2, 9, 2), np.int64)


@pytest.mark.parametrize(
    ("counts", "options", "error", "said"),
    [
        (COUNTS.tolist(), {}, TypeError, r"counts: expected int64 \[Q, K \+ 1, 2\]; got list"),
        (COUNTS * 1.0, {}, TypeError, r"counts: expected int64 .*; got float64 \[2, 9, 2\]"),
        (torch.ones(2, 9, 2), {}, TypeError, r"counts: expected int64 .*; got torch.float32"),
        (COUNTS[0], {}, ValueError, r"counts: expected int64 .*; got int64 \[9, 2\]"),
        (COUNTS[..., :1], {}, ValueError, r"counts: expected int64 .*; got int64 \[2, 9, 1\]"),
        (COUNTS[:0], {}, ValueError, r"counts: expected at least one query to average over; got "),
        (COUNTS, {"topn": (0,)}, ValueError, r"topn: expected integers >= 1"),
        (COUNTS, {"map_at": "10"}, TypeError, r"map_at: expected integers >= 1"),
    ],
)
def test_errors(counts: Any, options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=f"^{said}"):
        metrics.tie_aware(counts, **options)
