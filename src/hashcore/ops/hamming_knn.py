"""Exact k nearest codes in plain PyTorch: the readable truth that the engine is held to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hashcore._arrays import describe

_PAIRS_PER_CHUNK = 1 << 21
_POPCOUNT = [bin(byte).count("1") for byte in range(256)]


def _check(name: str, codes: Tensor) -> None:
    if codes.dtype != torch.uint8 or codes.ndim != 2:
        raise ValueError(f"{name}: expected uint8 [n, bytes]; got {describe(codes)}")


def hamming_distances_reference(database: Tensor, queries: Tensor) -> Tensor:
    """Hamming distance of every query to every database code.

    Args:
        database: uint8 [N, B] packed codes.
        queries: uint8 [Q, B] packed codes.

    Returns:
        int32 [Q, N].
    """
    popcount = torch.tensor(_POPCOUNT, dtype=torch.int32, device=database.device)
    distances = torch.zeros(
        len(queries), len(database), dtype=torch.int32, device=database.device
    )  # [Q, N]
    for column in range(database.shape[1]):
        differing = torch.bitwise_xor(queries[:, None, column], database[None, :, column])
        distances += popcount[differing.int()]
    return distances


def hamming_knn_reference(
    database: Tensor,
    queries: Tensor,
    k: int,
    *,
    bits: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The k nearest database codes of every query, in (distance, position) order.

    The database is taken a chunk at a time: XOR, a table of bit counts, and one sort key
    `distance * N + position` that makes the order total, so that equal distances have one
    answer. About 2 million pairs are held at once, whatever N is.

    Args:
        database: uint8 [N, B] packed codes.
        queries: uint8 [Q, B] packed codes.
        k: hits of a query; may exceed N.
        bits: width of the codes; 8 B when None. Used for the missing hits alone.
        progress: called with (database codes done, N).

    Returns:
        distances int32 [Q, k] and positions int64 [Q, k], ascending; hits that are missing
        because k > N stand at the tail as distance bits + 1 and position -1.

    Raises:
        ValueError: wrong dtype or shape, different widths, or k < 0.
    """
    _check("database", database)
    _check("queries", queries)
    if database.shape[1] != queries.shape[1]:
        raise ValueError(f"queries: expected {database.shape[1]} bytes; got {queries.shape[1]}")
    if k < 0:
        raise ValueError(f"k: expected >= 0; got {k}")
    n, device = len(database), database.device
    none = torch.iinfo(torch.int64).max
    best = torch.full((len(queries), k), none, dtype=torch.int64, device=device)  # [Q, k]
    step = max(1, _PAIRS_PER_CHUNK // max(1, len(queries)))
    for start in range(0, n, step):
        chunk = database[start : start + step]
        position = torch.arange(start, start + len(chunk), device=device)
        key = hamming_distances_reference(chunk, queries).long() * n + position  # [Q, chunk]
        nearest = key.topk(min(k, len(chunk)), dim=1, largest=False, sorted=False).values
        best = torch.cat([best, nearest], dim=1).sort(dim=1).values[:, :k]
        if progress is not None:
            progress(start + len(chunk), n)
    missing = best == none
    width = 8 * database.shape[1] if bits is None else bits
    distances = torch.where(missing, width + 1, best // max(n, 1)).int()
    return distances, torch.where(missing, -1, best % max(n, 1))
