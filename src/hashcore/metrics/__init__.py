"""How good a ranking by Hamming distance is, measured on packed codes.

Every number exists in two orders: tie-aware, the expected value over all orders inside equal
distance (McSherry and Najork, "Computing information retrieval performance measures efficiently
in the presence of tied scores", ECIR 2008), and by id, the (distance, row) order that search
returns. Nothing is sorted and no ranking is held: memory does not grow with queries times codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array, describe
from hashcore.metrics._cutoffs import read_cutoffs
from hashcore.metrics.report import PerQuery, PrCurve, Protocol, Report
from hashcore.metrics.tie_aware import TieAware, tie_aware
from hashcore.search import Progress, gpu_number

__all__ = [
    "PerQuery",
    "PrCurve",
    "Protocol",
    "Report",
    "TieAware",
    "evaluate",
    "relevance_counts",
    "tie_aware",
]

_MAX_CLASSES = 65_536


def evaluate(
    query_codes: Array,
    database_codes: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    topn: Iterable[int] = (1, 10, 100),
    ndcg_at: Iterable[int] = (10, 100),
    map_at: Iterable[int] = (50,),
    protocol: Protocol | None = None,
    bits: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Rank the database for every query and measure the rankings.

    Items are relevant to a query when they share a class with it; their grade is the number of
    shared classes. A cutoff beyond the database counts the whole database. The result is the same
    to the last bit at every thread count and instruction-set level.

    Args:
        query_codes: packed codes, uint8 ``[Q, ceil(K / 8)]``, at least one query.
        database_codes: packed codes, uint8 ``[N, ceil(K / 8)]``.
        query_labels: class ids int64 ``[Q]`` (any values), or multi-hot bool or uint8 ``[Q, C]``.
        database_labels: the same kind, ``[N]`` or ``[N, C]``.
        topn: cutoffs of precision@N.
        ndcg_at: cutoffs of NDCG@K: gain ``2^grade - 1``, discount ``1 / log2(position + 1)``,
            ideal order over the whole database.
        map_at: cutoffs of mAP@K, see ``Report.map_at``.
        protocol: what the numbers depend on besides the arrays; printed with them.
        bits: the width K; whole bytes when not given. Set it where K is no multiple of 8.
        threads: ``hashcore.num_threads()`` when not given.
        progress: called with (done, total) pairs of codes, now and then.

    Raises:
        TypeError: a wrong kind or dtype of codes, labels or cutoffs; arrays on a GPU, of which
            :func:`tie_aware` gives what follows from counts.
        ValueError: no queries, widths or rows that do not match, pad bits set, labels of two
            kinds, a multi-hot value other than 0 and 1, a cutoff below 1.
    """
    protocol = Protocol() if protocol is None else protocol
    if not isinstance(protocol, Protocol):
        raise TypeError(f"protocol: expected a Protocol; got {type(protocol).__name__}.")
    _check_on_host(
        query_codes=query_codes,
        database_codes=database_codes,
        query_labels=query_labels,
        database_labels=database_labels,
    )
    cuts = _Cutoffs(
        read_cutoffs(map_at, "map_at"), read_cutoffs(topn, "topn"), read_cutoffs(ndcg_at, "ndcg_at")
    )
    labels = _Labels.read(query_labels, database_labels)
    queries = as_array(query_codes, "query_codes")
    database = as_array(database_codes, "database_codes")
    if isinstance(queries, np.ndarray) and queries.ndim == 2 and len(queries) == 0:
        raise ValueError(
            f"query_codes: expected at least one query to average over; got {describe(queries)}."
        )
    found = _core.evaluate(
        queries,
        database,
        labels.query,
        labels.database,
        bits,
        labels.bits,
        cuts.map_at,
        cuts.topn,
        cuts.ndcg_at,
        protocol.ndcg_no_relevant,
        threads,
        progress,
    )
    return _report(found, cuts, labels, protocol)


def relevance_counts(
    query_codes: Array,
    database_codes: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    bits: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> NDArray[np.int64]:
    """Count database codes by distance and relevance, from which :func:`tie_aware` measures.

    Args:
        query_codes: as for :func:`evaluate`; no queries are legal here.
        database_codes: as for :func:`evaluate`.
        query_labels: as for :func:`evaluate`.
        database_labels: as for :func:`evaluate`.
        bits: the width K; whole bytes when not given.
        threads: ``hashcore.num_threads()`` when not given.
        device: as of :func:`hashcore.knn`; on a GPU the labels may lie there too, class ids int64
            ``[n]`` or multi-hot bool ``[n, C]``, and the counts come where the query codes are.

    Returns:
        int64 ``[Q, K + 1, 2]``: how many codes lie at each distance, ``[..., 0]`` irrelevant and
        ``[..., 1]`` relevant ones.

    Raises:
        TypeError: as :func:`evaluate`.
        ValueError: as :func:`evaluate`.
    """
    gpu = gpu_number(device, threads)
    if gpu is not None:
        from hashcore import _gpu_arrays

        counts: NDArray[np.int64] = _gpu_arrays.relevance_counts(
            gpu, database_codes, query_codes, database_labels, query_labels, bits
        )
        return counts
    labels = _Labels.read(query_labels, database_labels)
    return _core.relevance_counts(
        as_array(query_codes, "query_codes"),
        as_array(database_codes, "database_codes"),
        labels.query,
        labels.database,
        bits,
        labels.bits,
        threads,
    )


def _check_on_host(**arrays: Array) -> None:
    for name, array in arrays.items():
        if hasattr(array, "__cuda_array_interface__"):
            raise TypeError(
                f"{name}: expected an array of the host, for values by id and NDCG need more than "
                f"counts by distance; got {describe(array)} on a GPU. There, use "
                "tie_aware(relevance_counts(..., device='cuda'))."
            )


@dataclass(frozen=True)
class _Labels:
    """Labels as the engine takes them."""

    query: NDArray[Any]  # uint32 [Q] dense ids, or uint8 [Q, ceil(C / 8)] packed sets
    database: NDArray[Any]
    bits: int | None  # C of packed sets
    classes: int

    @staticmethod
    def read(query_labels: Array, database_labels: Array) -> _Labels:
        query = _label_array(query_labels, "query_labels", "Q")
        database = _label_array(database_labels, "database_labels", "N")
        if query.ndim != database.ndim:
            kind = "class ids int64 [N]" if query.ndim == 1 else "multi-hot bool or uint8 [N, C]"
            raise ValueError(
                f"database_labels: expected {kind}, the kind of query_labels; "
                f"got {describe(database)}."
            )
        if query.ndim == 1:
            known, dense = np.unique(np.concatenate([query, database]), return_inverse=True)
            ids = dense.reshape(-1).astype(np.uint32)
            return _Labels(ids[: len(query)], ids[len(query) :], None, len(known))
        classes = query.shape[1]
        if database.shape[1] != classes:
            raise ValueError(
                f"database_labels: expected {classes} classes, as query_labels; "
                f"got {describe(database)}."
            )
        packed = [np.packbits(side, axis=1) for side in (query, database)]
        return _Labels(packed[0], packed[1], classes, classes)


def _label_array(x: Array, name: str, rows: str) -> NDArray[Any]:
    expected = f"class ids int64 [{rows}] or multi-hot bool or uint8 [{rows}, C]"
    labels = as_array(x, name)
    if not isinstance(labels, np.ndarray):
        raise TypeError(f"{name}: expected {expected}; got {describe(labels)}.")
    multi_hot = labels.dtype in (np.bool_, np.uint8)
    if labels.ndim == 2 and multi_hot:
        if not 1 <= labels.shape[1] <= _MAX_CLASSES:
            raise ValueError(
                f"{name}: expected {expected} with 1..{_MAX_CLASSES} classes; "
                f"got {describe(labels)}."
            )
        if labels.dtype == np.uint8 and labels.size and labels.max() > 1:
            raise ValueError(f"{name}: expected multi-hot 0 and 1; got the value {labels.max()}.")
        return labels
    if labels.ndim == 1 and labels.dtype == np.int64:
        return labels
    hint = ""
    if labels.dtype.kind in "iu" and labels.ndim == 1:
        hint = " Class ids of another integer type: use .astype(numpy.int64)."
    elif labels.dtype.kind in "iuf" and labels.ndim == 2:
        hint = " Multi-hot of another type: use .astype(bool)."
    raise TypeError(f"{name}: expected {expected}; got {describe(labels)}.{hint}")


@dataclass(frozen=True)
class _Cutoffs:
    map_at: list[int]
    topn: list[int]
    ndcg_at: list[int]


def _mean(values: NDArray[np.float64]) -> float:
    """Exact before its one rounding, so that no order of queries can change it."""
    return math.fsum(values.tolist()) / len(values)


def _report(
    found: dict[str, NDArray[Any]], cuts: _Cutoffs, labels: _Labels, protocol: Protocol
) -> Report:
    relevant = found["relevant"]
    queries, database = len(relevant), int(found["retrieved"][-1]) // len(relevant)

    def means(key: str, cutoffs: list[int]) -> dict[int, float]:
        table = found[key].reshape(queries, len(cutoffs))
        return {cut: _mean(table[:, i]) for i, cut in enumerate(cutoffs)}

    definitions = {
        "A": means("map_at_a", cuts.map_at),
        "B": means("map_at_b", cuts.map_at),
        "C": means("map_at_c", cuts.map_at),
        "C_tie_aware": means("map_at_c_tie_aware", cuts.map_at),
    }
    retrieved, hits, total = found["retrieved"], found["hits"], int(relevant.sum())
    precision = np.full(len(hits), np.nan)
    np.divide(hits, retrieved, out=precision, where=retrieved > 0)
    return Report(
        protocol=protocol,
        queries=queries,
        database=database,
        bits=len(hits) - 1,
        classes=labels.classes,
        multi_label=labels.bits is not None,
        queries_without_relevant=int((relevant == 0).sum()),
        map_tie_aware=_mean(found["ap_tie_aware"]),
        map_by_id=_mean(found["ap_by_id"]),
        chance=_mean(found["ap_chance"]),
        map_at={cut: {name: at[cut] for name, at in definitions.items()} for cut in cuts.map_at},
        precision_at=means("precision_tie_aware", cuts.topn),
        precision_at_by_id=means("precision_by_id", cuts.topn),
        ndcg_at=means("ndcg_tie_aware", cuts.ndcg_at),
        ndcg_at_by_id=means("ndcg_by_id", cuts.ndcg_at),
        pr_micro=PrCurve(hits / max(total, 1), precision),
        pr_macro=PrCurve(found["macro_recall"], found["macro_precision"]),
        per_query=PerQuery(relevant, found["ap_tie_aware"], found["ap_by_id"]),
    )
