"""What a careful user writes in Numba: one thread, the population count of the CPU, real top-k.

Distances of a block of codes are counted first, in a loop that vectorises, and compared after.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.uint64]
BLOCK = 2048


def _popcount(typing_context: Any, word: Any) -> Any:
    """The number of set bits of a uint64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return numba.types.uint64(numba.types.uint64), emit


popcount: Any = intrinsic(_popcount)


@numba.njit(cache=True)
def count_block(block: Words, query: Words, distances: Words) -> None:
    """Distances of a block's codes to one query: block [n, W], query [W], distances [>= n]."""
    distances[: len(block)] = 0
    for w in range(block.shape[1]):
        for i in range(len(block)):
            distances[i] += popcount(block[i, w] ^ query[w])


@numba.njit(cache=True)
def knn(database: Words, queries: Words, k: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The k nearest codes of each query, ascending (distance, id); k <= N."""
    none = 64 * database.shape[1] + 1
    best = np.full((len(queries), k), none, np.int32)
    ids = np.full((len(queries), k), -1, np.int64)
    distances = np.empty(BLOCK, np.uint64)
    for q in range(len(queries)):
        for start in range(0, len(database), BLOCK):
            block = database[start : start + BLOCK]
            count_block(block, queries[q], distances)
            for i in range(len(block)):
                distance = np.int32(distances[i])
                if distance >= best[q, k - 1]:
                    continue
                place = k - 1
                while place > 0 and best[q, place - 1] > distance:
                    best[q, place] = best[q, place - 1]
                    ids[q, place] = ids[q, place - 1]
                    place -= 1
                best[q, place] = distance
                ids[q, place] = start + i
    return best, ids


@numba.njit(cache=True)
def histogram(database: Words, queries: Words) -> NDArray[np.int64]:
    """Codes at each distance from each query, int64 [Q, 64 W + 1]."""
    counts = np.zeros((len(queries), 64 * database.shape[1] + 1), np.int64)
    distances = np.empty(BLOCK, np.uint64)
    for q in range(len(queries)):
        for start in range(0, len(database), BLOCK):
            block = database[start : start + BLOCK]
            count_block(block, queries[q], distances)
            for i in range(len(block)):
                counts[q, distances[i]] += 1
    return counts
