"""The obvious truth about rankings, one query and one position at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import reference

Grades = Sequence[int]
Metric = Callable[[Grades], float]


def grades(query_labels: NDArray[Any], database_labels: NDArray[Any]) -> NDArray[np.int64]:
    """Shared classes [Q, N]."""
    if query_labels.ndim == 1:
        same: NDArray[np.int64] = (query_labels[:, None] == database_labels).astype(np.int64)
        return same
    shared: NDArray[np.int64] = query_labels.astype(np.int64) @ database_labels.astype(np.int64).T
    return shared


def average_precision(ranked: Grades) -> float:
    hits = [i for i, grade in enumerate(ranked, start=1) if grade > 0]
    if not hits:
        return 0.0
    return math.fsum(n / position for n, position in enumerate(hits, start=1)) / len(hits)


def average_precision_at(cutoff: int, definition: str, ranked: Grades) -> float:
    positions = [i for i, grade in enumerate(ranked, start=1) if grade > 0]
    precisions = [n / position for n, position in enumerate(positions, start=1)]
    kept = min(cutoff, len(positions))
    inside = [p for p, position in zip(precisions, positions, strict=True) if position <= cutoff]
    if kept == 0:
        return 0.0
    if definition == "A":
        return math.fsum(inside) / len(inside) if inside else 0.0
    if definition == "B":
        return math.fsum(precisions[:kept]) / kept
    return math.fsum(inside) / kept


def precision_at(ranked: Grades, cutoff: int) -> float:
    top = ranked[:cutoff]
    return sum(grade > 0 for grade in top) / len(top) if top else 0.0


def dcg(ranked: Grades, cutoff: int) -> float:
    return math.fsum(
        (2.0**grade - 1) / math.log2(position + 1)
        for position, grade in enumerate(ranked[:cutoff], start=1)
    )


def ndcg_at(ranked: Grades, cutoff: int, no_relevant: float = 0.0) -> float:
    if not any(ranked):
        return no_relevant
    return dcg(ranked, cutoff) / dcg(sorted(ranked, reverse=True), cutoff)


def ranked_by_id(distances: NDArray[np.int32], row_grades: NDArray[np.int64]) -> list[int]:
    order = np.lexsort((np.arange(len(distances)), distances))
    ranked: list[int] = row_grades[order].tolist()
    return ranked


def tied_blocks(distances: NDArray[np.int32], row_grades: NDArray[np.int64]) -> list[list[int]]:
    return [row_grades[distances == d].tolist() for d in sorted(set(distances.tolist()))]


def mean_over_orders(blocks: list[list[int]], metric: Metric) -> float:
    """The mean of `metric` over every order of the items inside their blocks."""
    orders = itertools.product(*(itertools.permutations(block) for block in blocks))
    values = [metric(list(itertools.chain.from_iterable(order))) for order in orders]
    return math.fsum(values) / len(values)


def expected_precision_sum(blocks: list[list[int]], cutoff: int) -> float:
    """Position by position: P(relevant) times the expected precision there."""
    terms = []
    items = hits = 0
    for block in blocks:
        n, r = len(block), sum(grade > 0 for grade in block)
        inner = (r - 1) / (n - 1) if n > 1 else 0.0
        terms += [
            r / n * (hits + 1 + (i - 1) * inner) / (items + i)
            for i in range(1, min(n, cutoff - items) + 1)
        ]
        items, hits = items + n, hits + r
    return math.fsum(terms)


def expected_ap(blocks: list[list[int]], cutoff: int | None = None) -> float:
    relevant = sum(grade > 0 for block in blocks for grade in block)
    items = sum(map(len, blocks))
    kept = relevant if cutoff is None else min(cutoff, relevant)
    return expected_precision_sum(blocks, cutoff or items) / kept if kept else 0.0


def expected_ranking(blocks: list[list[int]], gain: Callable[[int], float]) -> list[float]:
    """The mean gain at each position."""
    means = [(sum(map(gain, block)) / len(block), len(block)) for block in blocks]
    return [mean for mean, size in means for _ in range(size)]


def expected_precision_at(blocks: list[list[int]], cutoff: int) -> float:
    top = expected_ranking(blocks, lambda grade: float(grade > 0))[:cutoff]
    return math.fsum(top) / len(top) if top else 0.0


def expected_ndcg_at(blocks: list[list[int]], cutoff: int, no_relevant: float = 0.0) -> float:
    everything = [grade for block in blocks for grade in block]
    if not any(everything):
        return no_relevant
    gains = expected_ranking(blocks, lambda grade: 2.0**grade - 1)[:cutoff]
    expected = math.fsum(gain / math.log2(i + 2) for i, gain in enumerate(gains))
    return expected / dcg(sorted(everything, reverse=True), cutoff)


class Truth:
    """Every metric of one evaluation."""

    def __init__(
        self,
        query_codes: NDArray[np.uint8],
        database_codes: NDArray[np.uint8],
        query_labels: NDArray[Any],
        database_labels: NDArray[Any],
        bits: int,
    ) -> None:
        self.distances = reference.pairwise(query_codes, database_codes)
        self.grades = grades(query_labels, database_labels)
        self.bits = bits
        rows = list(zip(self.distances, self.grades, strict=True))
        self.by_id = [ranked_by_id(*row) for row in rows]
        self.blocks = [tied_blocks(*row) for row in rows]

    def mean_by_id(self, metric: Metric) -> float:
        return math.fsum(map(metric, self.by_id)) / len(self.by_id)

    def mean_tied(self, metric: Callable[[list[list[int]]], float]) -> float:
        return math.fsum(map(metric, self.blocks)) / len(self.blocks)

    def counts(self) -> NDArray[np.int64]:
        """By distance and relevance [Q, K + 1, 2]."""
        out = np.zeros((len(self.distances), self.bits + 1, 2), dtype=np.int64)
        for q, (row, row_grades) in enumerate(zip(self.distances, self.grades, strict=True)):
            for distance, grade in zip(row.tolist(), row_grades.tolist(), strict=True):
                out[q, distance, int(grade > 0)] += 1
        return out

    def chance(self) -> float:
        return self.mean_tied(lambda blocks: expected_ap([[g for b in blocks for g in b]]))

    def micro(self) -> tuple[list[float], list[float]]:
        """Recall and precision by radius; NaN where nothing is retrieved."""
        relevant = self.grades > 0
        recall, precision = [], []
        for radius in range(self.bits + 1):
            near = self.distances <= radius
            hits = int((near & relevant).sum())
            recall.append(hits / max(1, int(relevant.sum())))
            precision.append(hits / int(near.sum()) if near.any() else math.nan)
        return recall, precision

    def macro(self) -> tuple[list[float], list[float]]:
        relevant = self.grades > 0
        recall, precision = [], []
        for radius in range(self.bits + 1):
            near = self.distances <= radius
            hits = (near & relevant).sum(axis=1)
            recall.append(float(np.mean(hits / np.maximum(1, relevant.sum(axis=1)))))
            precision.append(float(np.mean(hits / np.maximum(1, near.sum(axis=1)))))
        return recall, precision
