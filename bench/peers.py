"""What hashcore is measured beside, and whether the answers agree."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import hashcore

if TYPE_CHECKING:
    import torch

Codes = NDArray[np.uint8]
Distances = NDArray[np.int32]
Ids = NDArray[np.int64]


def _module(name: str) -> Any:
    """A peer, loaded when it is wanted; its types are not ours to check."""
    return importlib.import_module(name)


def faiss_index(bits: int, codes: Codes) -> Any:
    """FAISS's exact binary index."""
    faiss = _module("faiss")
    index = faiss.IndexBinaryFlat(bits)
    index.add(codes)
    return index


@contextmanager
def faiss_level(name: str) -> Iterator[None]:
    """Run FAISS at a level that its build holds, such as ``AVX2``."""
    faiss = _module("faiss")
    before = faiss.SIMDConfig.get_level()
    faiss.SIMDConfig.set_level(faiss.to_simd_level(name))
    try:
        yield
    finally:
        faiss.SIMDConfig.set_level(before)


def faiss_hammings(a: Codes, b: Codes) -> Distances:
    """All distances, int32 [na, nb], by ``faiss.hammings``."""
    faiss = _module("faiss")
    out = np.empty((len(a), len(b)), np.int32)
    pointers = [faiss.swig_ptr(array) for array in (a, b)]
    faiss.hammings(*pointers, len(a), len(b), a.shape[1], faiss.swig_ptr(out))
    return out


def usearch_knn(database: Codes, queries: Codes, k: int) -> tuple[Distances, Ids]:
    """USearch's exact search on one thread; the order of ties is its own."""
    usearch = _module("usearch.index")
    hamming = usearch.MetricKind.Hamming
    matches = usearch.search(database, queries, k, hamming, exact=True, threads=1)
    return np.asarray(matches.distances).astype(np.int32), np.asarray(matches.keys).astype(np.int64)


def torch_knn(database: Codes, queries: Codes, k: int) -> tuple[Distances, Ids]:
    """The plain PyTorch reference."""
    import torch

    from hashcore.ops.hamming_knn import hamming_knn_reference

    distances, ids = hamming_knn_reference(torch.from_numpy(database), torch.from_numpy(queries), k)
    return distances.numpy(), ids.numpy()


def torch_mean_average_precision(
    query_codes: torch.Tensor,
    database_codes: torch.Tensor,
    query_labels: torch.Tensor,
    database_labels: torch.Tensor,
) -> float:
    """Mean average precision as cross-modal hashing papers compute it: a sort for every query.

    Args:
        query_codes: float32 [Q, K] of -1 and 1.
        database_codes: float32 [N, K] of -1 and 1.
        query_labels: float32 [Q, C] of 0 and 1.
        database_labels: float32 [N, C] of 0 and 1.

    Returns:
        The mean over the queries; one without a relevant code counts 0. Equal distances are taken
        in order of position.
    """
    import torch

    bits = query_codes.shape[1]
    total = 0.0
    for code, labels in zip(query_codes, query_labels, strict=True):
        relevant = database_labels @ labels > 0  # [N]
        distances = 0.5 * (bits - database_codes @ code)  # [N]
        ranked = relevant[torch.argsort(distances, stable=True)]
        positions = torch.nonzero(ranked).squeeze(1) + 1.0
        if len(positions) > 0:
            total += float((torch.arange(1, len(positions) + 1) / positions).mean())
    return total / len(query_codes)


def assert_same_neighbours(
    ours: hashcore.SearchResult, peer_distances: NDArray[Any], peer_ids: NDArray[Any]
) -> None:
    """Check a kNN answer: distances everywhere, ids where ties do not decide.

    A hit nearer than the last one of its row is in every exact answer, whatever the order of ties.
    """
    np.testing.assert_array_equal(ours.distances, peer_distances)
    if ours.distances.shape[1] == 0:
        return
    decided = ours.distances < ours.distances[:, -1:]
    undecided = np.iinfo(np.int64).max
    np.testing.assert_array_equal(
        np.sort(np.where(decided, ours.ids, undecided), axis=1),
        np.sort(np.where(decided, peer_ids, undecided), axis=1),
    )


def assert_same_range(
    ours: hashcore.RangeResult, lims: NDArray[Any], distances: NDArray[Any], ids: NDArray[Any]
) -> None:
    """Check a range search: the same hits, each row in (distance, id) order."""
    np.testing.assert_array_equal(ours.lims, lims.astype(np.int64))
    rows = np.repeat(np.arange(len(ours)), np.diff(ours.lims))
    order = np.lexsort((ids, distances, rows))
    np.testing.assert_array_equal(ours.distances, distances[order])
    np.testing.assert_array_equal(ours.ids, ids[order])


def faiss_chosen_level() -> str:
    """The level that FAISS runs at when nobody says."""
    name: str = _module("faiss").SIMDConfig.get_level_name()
    return name


def words_of(codes: Codes) -> NDArray[np.uint64]:
    """Codes as 64-bit words, [n, W]; the width is a multiple of 64 bits."""
    return codes.view(np.uint64)
