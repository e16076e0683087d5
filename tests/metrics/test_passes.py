"""Results where the evaluation changes course: at tiles, spans, batches and held hits."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import reference
from hashcore import metrics
from metrics import reference_metrics as truth
from metrics.test_values import assert_close, check_everything, multi_hot

LARGEST_HELD = (32 << 20) // 128  # 16 queries, 8 bytes a hit


@pytest.mark.parametrize("kind", ["ids", "sets"])
@pytest.mark.parametrize("bits", [3, 64, 1000])
@pytest.mark.parametrize("count", [255, 257, 1024, 1031, 4097])
def test_around_tiles_and_spans(kind: str, bits: int, count: int) -> None:
    rng = np.random.default_rng(bits + count)
    codes = reference.random_codes(rng, 2 + count, bits)
    labels = rng.integers(0, 3, 2 + count) if kind == "ids" else multi_hot(rng, 2 + count, 9, 0.4)
    check_everything(codes[:2], codes[2:], labels[:2], labels[2:], bits)


@pytest.mark.parametrize("classes", [6, 80])
def test_few_best_grades_are_enough(classes: int) -> None:
    """The ideal order needs the best few of 9,000 items, which the first items do not hold."""
    rng = np.random.default_rng(classes)
    codes = reference.random_codes(rng, 9_003, 32)
    labels = multi_hot(rng, 9_003, classes, 0.2)
    labels[:3, :6] = True
    labels[-4:, :6] = True
    cutoffs = (1, 5, 300)
    report = metrics.evaluate(codes[:3], codes[3:], labels[:3], labels[3:], ndcg_at=cutoffs)
    t = truth.Truth(codes[:3], codes[3:], labels[:3], labels[3:], 32)
    for cut in cutoffs:
        tied = functools.partial(truth.expected_ndcg_at, cutoff=cut)
        assert_close(report.ndcg_at[cut], t.mean_tied(tied))
        by_id = functools.partial(truth.ndcg_at, cutoff=cut)
        assert_close(report.ndcg_at_by_id[cut], t.mean_by_id(by_id))


def evaluate(
    codes: NDArray[np.uint8], labels: NDArray[Any], queries: slice, count: int
) -> metrics.Report:
    return metrics.evaluate(
        codes[queries], codes[-count:], labels[queries], labels[-count:], ndcg_at=(7,), map_at=(5,)
    )


def test_queries_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(6)
    codes = reference.random_codes(rng, 1_300 + 130, 16)
    labels = multi_hot(rng, 1_300 + 130, 12, 0.15)
    together = evaluate(codes, labels, slice(1_300), 130).per_query
    assert together is not None
    for first in range(0, 1_300, 100):
        apart = evaluate(codes, labels, slice(first, first + 100), 130).per_query
        assert apart is not None
        for name in ("relevant", "ap_tie_aware", "ap_by_id"):
            np.testing.assert_array_equal(
                getattr(apart, name), getattr(together, name)[first : first + 100]
            )


@pytest.mark.parametrize(("count", "passes"), [(LARGEST_HELD, 1), (LARGEST_HELD + 1, 2)])
@pytest.mark.parametrize("kind", ["ids", "sets"])
def test_held_hits_and_hits_found_again(count: int, passes: int, kind: str) -> None:
    rng = np.random.default_rng(count)
    codes = reference.random_codes(rng, 2 + count, 16)
    labels = rng.integers(0, 4, 2 + count) if kind == "ids" else multi_hot(rng, 2 + count, 24, 0.1)
    calls: list[tuple[int, int]] = []
    report = metrics.evaluate(
        codes[:2],
        codes[2:],
        labels[:2],
        labels[2:],
        topn=(1_000,),
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (passes * 2 * count, passes * 2 * count)
    t = truth.Truth(codes[:2], codes[2:], labels[:2], labels[2:], 16)
    assert_close(report.map_by_id, t.mean_by_id(truth.average_precision))
    assert_close(report.map_tie_aware, t.mean_tied(truth.expected_ap))
    at = functools.partial(truth.precision_at, cutoff=1_000)
    assert_close(report.precision_at_by_id[1_000], t.mean_by_id(at))
    for cut in (10, 100):
        tied = functools.partial(truth.expected_ndcg_at, cutoff=cut)
        assert_close(report.ndcg_at[cut], t.mean_tied(tied))
        by_id = functools.partial(truth.ndcg_at, cutoff=cut)
        assert_close(report.ndcg_at_by_id[cut], t.mean_by_id(by_id))
