"""Scores for the hits of a Hamming search from the vectors that the codes stand for.

Codes find a shortlist fast; the vectors, often on disk, put its best hits in their true order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array, describe
from hashcore.results import SearchResult

Metric = Literal["ip", "cosine", "l2", "asymmetric"]


def rescore(
    queries: Array,
    result: SearchResult,
    vectors: Array,
    k: int,
    *,
    metric: Metric = "ip",
    threads: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Score the hits of a search against the vectors themselves and keep the k best of each query.

    Only the rows that ``result`` names are read, so ``vectors`` may be a ``numpy.memmap`` larger
    than memory. Sums are taken in float32, in one order at every instruction-set level and thread
    count, which all give the same bytes; int8 with int8 is summed exactly and rounded once.

    Args:
        queries: float32 ``[Q, D]`` or ``[D]``, finite; also int8 where ``vectors`` are int8.
        result: a shortlist, whose ids are rows of ``vectors`` and whose distances are not used.
            Missing hits (id -1) stay missing; an id listed twice is scored and returned twice.
        vectors: float32, float16 or int8 ``[N, D]``, NumPy array, ``numpy.memmap`` or CPU torch
            tensor, C-contiguous; not copied. For ``"asymmetric"``, packed codes uint8
            ``[N, ceil(D / 8)]``.
        k: hits a query, >= 0; may exceed the shortlist.
        metric: how a query q and a row v are scored.
            ``"ip"``: the sum of ``q[i] * v[i]``; higher is better.
            ``"cosine"``: ip divided by both lengths, 0 where q or v is zero; higher is better.
            ``"l2"``: the squared Euclidean distance; lower is better.
            ``"asymmetric"``: the sum of ``q[i]`` where bit i of the code is 1 and of ``-q[i]``
            where it is 0; higher is better.
        threads: threads to use; default ``hashcore.num_threads()``.

    Returns:
        Scores float32 ``[Q, k]`` and ids int64 ``[Q, k]``, ordered by (score, best first; id,
        ascending). Missing hits stand at the tail with id -1 and score -inf, +inf for ``"l2"``.
        A 1-D query with a 1-D result gives 1-D arrays.

    Raises:
        TypeError: a ``result`` that is no SearchResult, or another dtype.
        ValueError: shapes that do not match, non-contiguous memory, an id that is no row of
            ``vectors``; a query or a scored row with NaN or infinity (the message names it), a
            scored code with pad bits set, or a score that float32 cannot hold.
    """
    if not isinstance(result, SearchResult):
        raise TypeError(
            "result: expected a SearchResult, as knn() and Index.search() give; "
            f"got {describe(result)}."
        )
    return _core.rescore(
        as_array(queries, "queries"),
        as_array(result.ids, "result"),
        as_array(vectors, "vectors"),
        k,
        metric,
        threads,
    )
