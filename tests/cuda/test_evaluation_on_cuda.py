"""Counts by distance and relevance, from which every metric follows, as the CPU counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_doubles import as_tensor
from hashcore import metrics
from hashcore._device import as_numpy
from reference import random_codes


def draw_labels(rng: np.random.Generator, rows: int, classes: int | None) -> NDArray[Any]:
    if classes is None:
        return rng.integers(-3, 4, rows)
    return rng.random((rows, classes)) < 2 / classes


COUNTS = ((0, 5), (300, 0), (1, 1), (300, 7))


@pytest.mark.parametrize("bits", [1, 64, 65, 300])
def test_counts(bits: int, device: str, way: str) -> None:
    rng = np.random.default_rng(bits)
    for count, asked in COUNTS:
        if way == "streamed" and count == 1:
            continue
        database, queries = (random_codes(rng, n, bits) for n in (count, asked))
        for classes in (None, 1, 24, 64, 65, 200):
            labels = [draw_labels(rng, n, classes) for n in (asked, count)]
            expected = metrics.relevance_counts(queries, database, *labels, bits=bits)
            found = metrics.relevance_counts(queries, database, *labels, bits=bits, device=device)
            assert found.dtype == np.int64
            assert np.array_equal(found, expected)


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("classes", [None, 70])
def test_nothing_leaves_the_device(classes: int | None) -> None:
    measure(classes, as_tensor)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs PyTorch with a GPU")
@pytest.mark.parametrize("classes", [None, 70])
def test_tensors_of_a_gpu(classes: int | None) -> None:
    measure(classes, lambda array: torch.from_numpy(array).cuda())


@pytest.mark.gpu
def test_arrays_of_cupy() -> None:
    cupy: Any = pytest.importorskip("cupy")
    measure(70, cupy.asarray)


def measure(classes: int | None, to_gpu: Callable[[NDArray[Any]], Any]) -> None:
    """Counts and what follows from them, in arrays that lie where the codes do."""
    rng = np.random.default_rng(0)
    database, queries = random_codes(rng, 200, 32), random_codes(rng, 9, 32)
    labels = [draw_labels(rng, n, classes) for n in (9, 200)]
    there = to_gpu(queries)
    found: Any = metrics.relevance_counts(there, *map(to_gpu, (database, *labels)), device="cuda")
    assert found.device == there.device
    expected = metrics.relevance_counts(queries, database, *labels)
    assert np.array_equal(as_numpy(found), expected)
    measured = metrics.tie_aware(found, topn=(3,), map_at=(5,))
    report = metrics.evaluate(queries, database, *labels, topn=(3,), map_at=(5,))
    for value, told in (
        (measured.map, report.map_tie_aware),
        (measured.chance, report.chance),
        (measured.map_at[5], report.map_at[5]["C_tie_aware"]),
        (measured.precision_at[3], report.precision_at[3]),
    ):
        assert value.device == there.device
        assert float(value) == pytest.approx(told, rel=1e-12)


def test_wrong_labels(on_host: None) -> None:
    codes, ids, sets = np.zeros((4, 8), np.uint8), np.zeros(4, np.int64), np.zeros((4, 3), bool)
    for query_labels, database_labels, error, said in (
        (ids.astype(np.int32), ids, TypeError, "query_labels: expected class ids int64"),
        (ids, sets.astype(float), TypeError, "database_labels: expected class ids int64"),
        (ids[:3], ids, ValueError, "query_labels: expected 4 rows"),
        (sets, ids, ValueError, "database_labels: expected 3 classes, as query_labels"),
        (sets, sets[:, :2].copy(), ValueError, "database_labels: expected 3 classes"),
    ):
        with pytest.raises(error, match=f"^{said}"):
            metrics.relevance_counts(codes, codes, query_labels, database_labels, device="cuda")
    with pytest.raises(ValueError, match=r"^threads: cuda has none to set; got 1"):
        metrics.relevance_counts(codes, codes, ids, ids, threads=1, device="cuda")
