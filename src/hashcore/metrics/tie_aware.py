"""What follows from counts by distance and relevance alone, where they lie.

The same code runs on arrays of NumPy, tensors of PyTorch and arrays of CuPy: operations on whole
arrays that these libraries name alike. Nothing is read on the host, so that nothing waits.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hashcore._arrays import describe
from hashcore.metrics._cutoffs import read_cutoffs
from hashcore.metrics.report import PrCurve

_FEW = 16  # below, harmonic numbers are summed; from there on, their series is exact to a double
_SERIES = (1 / 24, -7 / 960, 31 / 8064, -127 / 30720, 511 / 67584)  # of (n + 1/2)^-2, -4, ...
_SMALL = 0.1  # y - log1p(y) cancels below
_ATANH_TERMS = 9  # of s^3 / 3 + s^5 / 5 + ..., s < _SMALL / 2


@dataclass(frozen=True, eq=False)
class TieAware:
    """The tie-aware metrics of one evaluation, as :class:`Report` names and defines them.

    Scalars and arrays are of the library of the counts, and where those are: ``float()`` brings a
    scalar from a GPU, and waits.

    Attributes:
        relevant: int64 ``[Q]``, relevant items in the database.
        ap: float64 ``[Q]``, average precision over the whole ranking; 0 of a query without relevant
            items.
        map: float64 scalar, its mean.
        chance: float64 scalar, expected mAP of a random order.
        map_at: by K, float64 scalars: definition C.
        precision_at: by N, float64 scalars.
        pr_micro: pairs of all queries pooled.
        pr_macro: mean over queries.
    """

    relevant: Any
    ap: Any
    map: Any
    chance: Any
    map_at: dict[int, Any]
    precision_at: dict[int, Any]
    pr_micro: PrCurve
    pr_macro: PrCurve


def tie_aware(
    counts: Any, *, topn: Iterable[int] = (1, 10, 100), map_at: Iterable[int] = (50,)
) -> TieAware:
    """Compute the metrics that follow from :func:`relevance_counts` alone.

    They equal those of :func:`evaluate` to a relative 1e-12. What else it tells needs more than
    counts: values by id the order of rows, NDCG the grades.

    Args:
        counts: int64 ``[Q, K + 1, 2]`` of :func:`relevance_counts`, with at least one query: an
            array of NumPy, or a tensor of PyTorch or an array of CuPy on any device.
        topn: cutoffs of precision@N.
        map_at: cutoffs of mAP@K.

    Raises:
        TypeError: another dtype or library; cutoffs that are no integers.
        ValueError: another shape, no queries, a cutoff below 1.
    """
    ties = _Ties.read(counts)
    xp, relevant = ties.xp, ties.relevant
    tops, cuts = read_cutoffs(topn, "topn"), read_cutoffs(map_at, "map_at")
    ap = _ratio(xp, ties.precision_sum(None), relevant)
    chance = _ratio(xp, ties.all_tied().precision_sum(None), relevant)
    return TieAware(
        relevant=relevant,
        ap=ap,
        map=ap.mean(),
        chance=chance.mean(),
        map_at={
            cut: _ratio(xp, ties.precision_sum(cut), xp.clip(relevant, 0, cut)).mean()
            for cut in cuts
        },
        precision_at={cut: ties.precision_within(cut).mean() for cut in tops},
        pr_micro=ties.pooled(),
        pr_macro=ties.averaged(),
    )


class _Ties:
    """Blocks of equal distance, by query and distance.

    Attributes:
        items: int64 ``[Q, K + 1]``, those of each block.
        hits: The relevant ones.
        before: Items of nearer blocks.
        hits_before: The relevant ones.
        relevant: int64 ``[Q]``, in all blocks.
    """

    def __init__(self, xp: Any, counts: Any) -> None:
        self.xp, self._counts = xp, counts
        self.hits = counts[..., 1]
        self.items = counts.sum(axis=2)
        self.before = xp.cumsum(self.items, axis=1) - self.items
        self.hits_before = xp.cumsum(self.hits, axis=1) - self.hits
        self.relevant = self.hits.sum(axis=1)

    @classmethod
    def read(cls, counts: Any) -> _Ties:
        """Of checked counts, with the library that they are of."""
        xp = next((sys.modules[name] for name in _libraries_of(counts)), None)
        expected = "counts: expected int64 [Q, K + 1, 2]"
        if xp is None or str(counts.dtype).removeprefix("torch.") != "int64":
            raise TypeError(f"{expected}; got {describe(counts)}.")
        if len(counts.shape) != 3 or counts.shape[1] < 2 or counts.shape[2] != 2:
            raise ValueError(f"{expected}; got {describe(counts)}.")
        if counts.shape[0] == 0:
            raise ValueError(
                f"counts: expected at least one query to average over; got {describe(counts)}."
            )
        return cls(xp, counts)

    def all_tied(self) -> _Ties:
        """As if all items were at one distance."""
        return _Ties(self.xp, self._counts.sum(axis=1)[:, None])

    def precision_sum(self, cutoff: int | None) -> Any:
        """Expected sum ``[Q]`` of the precisions at hits in the first ``cutoff`` positions.

        After N0 items with R0 hits, a block of n items holds r relevant ones. Its i-th position is
        relevant with probability r / n, and then (i - 1)(r - 1) / (n - 1) hits are expected before
        it inside of the block.
        """
        xp = self.xp
        reciprocals, weighted = _range_sums(xp, self.before, self._positions(cutoff))
        density = _ratio(xp, self.hits - 1, self.items - 1)
        hits = (self.hits_before + 1) * reciprocals + density * weighted
        return (_ratio(xp, self.hits, self.items) * hits).sum(axis=1)

    def precision_within(self, cutoff: int) -> Any:
        """Expected share ``[Q]`` of relevant items in the first ``cutoff`` positions."""
        xp, positions = self.xp, self._positions(cutoff)
        expected = (_ratio(xp, self.hits, self.items) * positions).sum(axis=1)
        return _ratio(xp, expected, positions.sum(axis=1))

    def pooled(self) -> PrCurve:
        """Over pairs of all queries."""
        xp = self.xp
        hits, items = self._within()
        hits, items = hits.sum(axis=0), items.sum(axis=0)
        precision = xp.where(items > 0, _ratio(xp, hits, items), math.nan)
        return PrCurve(_ratio(xp, hits, self.relevant.sum()), precision)

    def averaged(self) -> PrCurve:
        """Over queries."""
        hits, items = self._within()
        recall = _ratio(self.xp, hits, self.relevant[:, None]).mean(axis=0)
        return PrCurve(recall, _ratio(self.xp, hits, items).mean(axis=0))

    def _within(self) -> tuple[Any, Any]:
        """Hits and items within each distance."""
        return self.hits_before + self.hits, self.before + self.items

    def _positions(self, cutoff: int | None) -> Any:
        """How many positions of each block are among the first ``cutoff``."""
        if cutoff is None:
            return self.items
        return self.xp.minimum(self.xp.clip(cutoff - self.before, 0, None), self.items)


def _libraries_of(x: object) -> Iterator[str]:
    for base in type(x).__mro__:
        library = base.__module__.partition(".")[0]
        if library in {"numpy", "torch", "cupy"}:
            yield library


def _real(xp: Any, x: Any) -> Any:
    return xp.asarray(x, dtype=xp.float64)


def _ratio(xp: Any, part: Any, whole: Any) -> Any:
    """float64; 0 where the whole is."""
    part, whole = _real(xp, part), _real(xp, whole)
    empty = whole == 0
    return xp.where(empty, 0.0, part / xp.where(empty, 1.0, whole))


def _range_sums(xp: Any, before: Any, count: Any) -> tuple[Any, Any]:
    """Sums over i = 1..count of 1 / (before + i) and of (i - 1) / (before + i).

    The first is a difference of harmonic numbers, H(n) = log(n + 1/2) + gamma + a series in
    (n + 1/2)^-2, of which log1p takes the logarithms at once. The second is
    count - (before + 1) * the first, which cancels where the count is small beside ``before``: with
    x = before + 1/2 and y = count / x it is x (y - log1p(y)) - log1p(y) / 2, less the series' part.
    """
    before, count = _real(xp, before), _real(xp, count)
    few = before * 0
    for i in range(1, _FEW + 1):
        few = few + _real(xp, (before < i) & (before + count >= i)) / i
    first, last = (xp.clip(n, _FEW, None) for n in (before, before + count))
    middle = first + 0.5
    y = (last - first) / middle
    log = xp.log1p(y)
    series = _series(last) - _series(first)
    reciprocals = few + log + series
    stable = middle * _without_linear(xp, y, log) - log / 2 - (before + 1) * series
    return reciprocals, xp.where(before < _FEW, count - (before + 1) * reciprocals, stable)


def _series(n: Any) -> Any:
    square = (n + 0.5) ** -2
    total = square * 0
    for coefficient in reversed(_SERIES):
        total = (total + coefficient) * square
    return total


def _without_linear(xp: Any, y: Any, log: Any) -> Any:
    """``y - log1p(y)``: for small y, s y - 2 (s^3 / 3 + s^5 / 5 + ...) with s = y / (2 + y)."""
    s = y / (2 + y)
    tail = s * 0
    for k in range(_ATANH_TERMS, 0, -1):
        tail = (tail + 1 / (2 * k + 1)) * s * s
    return xp.where(y < _SMALL, s * y - 2 * s * tail, y - log)
