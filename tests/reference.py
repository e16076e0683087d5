"""The obvious truth in NumPy that the engine is tested against, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = (1, 7, 8, 63, 64, 65, 128, 255, 256, 512, 1000, 1024)
COUNTS = (0, 1, 2, 63, 64, 65, 1000)

_ONES_OF_BYTE = np.array([value.bit_count() for value in range(256)], dtype=np.int32)


def random_codes(rng: np.random.Generator, count: int, bits: int) -> NDArray[np.uint8]:
    """Clustered codes [count, B] with many equal distances and duplicates."""
    centres = rng.random((3, bits)) < 0.5  # [3, K]
    flips = rng.random((count, bits)) < rng.choice([0.0, 0.02, 0.5], size=(count, 1))
    values = centres[rng.integers(0, 3, count)] ^ flips  # [count, K]
    return np.packbits(values, axis=1).reshape(count, (bits + 7) // 8)


def pairwise(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Distances [na, nb]."""
    rows = [_ONES_OF_BYTE[row ^ b].sum(axis=1, dtype=np.int32) for row in a]
    return np.array(rows, dtype=np.int32).reshape(len(a), len(b))


def knn(
    database: NDArray[np.uint8],
    queries: NDArray[np.uint8],
    k: int,
    bits: int,
    *,
    ids: NDArray[np.int64] | None = None,
    max_distance: int | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Distances [Q, k], ids [Q, k] and counts [Q] in (distance, id) order, padded at the tail."""
    ids = np.arange(len(database)) if ids is None else ids
    distances = np.full((len(queries), k), bits + 1, dtype=np.int32)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    counts = np.zeros(len(queries), dtype=np.int64)
    for q, row in enumerate(pairwise(queries, database)):
        order = np.lexsort((ids, row))
        if max_distance is not None:
            order = order[row[order] <= max_distance]
        order = order[:k]
        distances[q, : len(order)] = row[order]
        found[q, : len(order)] = ids[order]
        counts[q] = len(order)
    return distances, found, counts


def range_search(
    database: NDArray[np.uint8],
    queries: NDArray[np.uint8],
    radius: int,
    *,
    max_results: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """CSR rows (lims, distances, ids) in (distance, id) order."""
    lims = [0]
    distances: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for row in pairwise(queries, database):
        order = np.argsort(row, kind="stable")
        order = order[row[order] <= radius][:max_results]
        distances.append(row[order])
        ids.append(order.astype(np.int64))
        lims.append(lims[-1] + len(order))
    return np.array(lims, np.int64), np.concatenate(distances), np.concatenate(ids)


def distance_histogram(
    database: NDArray[np.uint8], queries: NDArray[np.uint8], bits: int
) -> NDArray[np.int64]:
    """Counts [Q, bits + 1]."""
    rows = [np.bincount(row, minlength=bits + 1) for row in pairwise(queries, database)]
    return np.array(rows, dtype=np.int64).reshape(len(queries), bits + 1)


def lane_sums(terms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums [n] of terms [n, D] in the engine's order of float32 additions.

    Term i is added to lane i % 32; then lane j takes lane j + 16, j + 8, 4, 2 and 1.
    """
    count, dims = terms.shape
    padded = np.zeros((count, -(-dims // 32) * 32), np.float32)
    padded[:, :dims] = terms
    lanes = np.zeros((count, 32), np.float32)
    for first in range(0, padded.shape[1], 32):
        lanes += padded[:, first : first + 32]
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes[:, 0]


def asymmetric_terms(query: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Terms [n, 8 B] of a query [D], in the order of bits from the low end of each byte."""
    bits = np.unpackbits(codes, axis=1, bitorder="little")
    padded = np.zeros(bits.shape[1], np.float32)
    padded[: len(query)] = query
    turned = padded.reshape(-1, 8)[:, ::-1].reshape(-1)
    return np.where(bits, turned, -turned)


def row_scores(query: NDArray[Any], rows: NDArray[Any], metric: str) -> NDArray[np.float32]:
    """Scores [n] of one query [D] and rows [n, D], as the engine rounds them."""
    if metric == "asymmetric":
        return lane_sums(asymmetric_terms(query, rows))
    exact = query.dtype == np.int8
    wide = np.int64 if exact else np.float32
    q: NDArray[Any] = query.astype(wide)
    v: NDArray[Any] = rows.astype(wide)

    def total(terms: NDArray[Any]) -> NDArray[np.float32]:
        return terms.sum(axis=1).astype(np.float32) if exact else lane_sums(terms)

    if metric == "l2":
        return total((q - v) ** 2)
    dot = total(q * v)
    if metric == "ip":
        return dot
    lengths = np.sqrt(total(q[None] * q[None])), np.sqrt(total(v * v))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((lengths[0] == 0) | (lengths[1] == 0), 0, dot / lengths[0] / lengths[1])


def rescore(
    queries: NDArray[Any], ids: NDArray[np.int64], vectors: NDArray[Any], k: int, metric: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores [Q, k] and ids [Q, k] by (score, best first; id), padded at the tail."""
    sign = np.float32(1 if metric == "l2" else -1)
    scores = np.full((len(queries), k), sign * np.float32(np.inf))
    kept = np.full((len(queries), k), -1, dtype=np.int64)
    for q, row in enumerate(ids):
        there = row[row != -1]
        found = row_scores(queries[q], vectors[there], metric)
        order = np.lexsort((there, sign * found))[:k]
        scores[q, : len(order)] = found[order]
        kept[q, : len(order)] = there[order]
    return scores, kept
