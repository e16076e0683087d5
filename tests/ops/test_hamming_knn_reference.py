from __future__ import annotations

import numpy as np
import pytest
import torch

from hashcore.ops import hamming_knn
from hashcore.ops.hamming_knn import hamming_distances_reference, hamming_knn_reference


def draw(n: int, width: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, width), np.uint8))


def loop_truth(
    database: torch.Tensor, queries: torch.Tensor, k: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Big integers and Python's sort, one query at a time."""
    far = 8 * database.shape[1] + 1
    rows = [int.from_bytes(bytes(row.tolist())) for row in database]
    distances, positions = [], []
    for query in queries:
        word = int.from_bytes(bytes(query.tolist()))
        hits = sorted(((word ^ row).bit_count(), i) for i, row in enumerate(rows))[:k]
        hits += [(far, -1)] * (k - len(hits))
        distances.append([d for d, _ in hits])
        positions.append([i for _, i in hits])
    return distances, positions


@pytest.mark.parametrize("n", [0, 1, 63, 300])
@pytest.mark.parametrize("width", [1, 8, 13])
@pytest.mark.parametrize("k", [0, 1, 10, 400])
@pytest.mark.parametrize("pairs", [1 << 21, 64, 1])
def test_against_a_loop(
    n: int, width: int, k: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte and 300 rows: nearly every distance is shared, so the order by position shows."""
    monkeypatch.setattr(hamming_knn, "_PAIRS_PER_CHUNK", pairs)
    database, queries = draw(n, width, 0), draw(5, width, 1)
    distances, positions = hamming_knn_reference(database, queries, k)
    assert (distances.dtype, positions.dtype) == (torch.int32, torch.int64)
    assert (distances.tolist(), positions.tolist()) == loop_truth(database, queries, k)


def test_distances() -> None:
    codes = torch.tensor([[0b0000_0001, 0xFF], [0b1000_0001, 0x00]], dtype=torch.uint8)
    assert hamming_distances_reference(codes, codes).tolist() == [[0, 9], [9, 0]]


def test_no_queries_and_missing_hits() -> None:
    distances, positions = hamming_knn_reference(draw(3, 2, 0), draw(0, 2, 1), 4)
    assert distances.shape == positions.shape == (0, 4)
    distances, positions = hamming_knn_reference(draw(1, 2, 0), draw(1, 2, 1), 2, bits=12)
    assert distances[0, 1] == 13
    assert positions[0].tolist() == [0, -1]


def test_progress_ends_at_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming_knn, "_PAIRS_PER_CHUNK", 8)
    seen: list[tuple[int, int]] = []
    hamming_knn_reference(draw(10, 2, 0), draw(2, 2, 1), 1, progress=lambda *at: seen.append(at))
    assert seen == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize(
    ("database", "queries", "k", "message"),
    [
        (draw(3, 2, 0).float(), draw(3, 2, 0), 1, r"database: expected uint8 .* torch.float32"),
        (draw(3, 2, 0), draw(3, 2, 0)[0], 1, r"queries: expected uint8 .*\[2\]"),
        (draw(3, 2, 0), draw(3, 3, 0), 1, "queries: expected 2 bytes; got 3"),
        (draw(3, 2, 0), draw(3, 2, 0), -1, "k: expected >= 0; got -1"),
    ],
)
def test_wrong_arguments(
    database: torch.Tensor, queries: torch.Tensor, k: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hamming_knn_reference(database, queries, k)
