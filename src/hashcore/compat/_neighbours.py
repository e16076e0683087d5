"""Neighbours of codes among themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashcore.results import SearchResult


def without_self(result: SearchResult) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Take from the hits of code i the code i itself.

    Args:
        result: of the codes 0..n-1, each searched with k + 1 hits, none missing.

    Returns:
        Distances and ids of the k others, `[n, k]`. Where k + 1 equal codes come before a code, it
        is not among its hits, and the last of them goes.
    """
    rows, hits = result.ids.shape
    others = result.ids != np.arange(rows)[:, None]
    others[others.all(axis=1), -1] = False
    shape = rows, hits - 1
    return result.distances[others].reshape(shape), result.ids[others].reshape(shape)
