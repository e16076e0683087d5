"""hashcore for ann-benchmarks: copy this folder to ``ann_benchmarks/algorithms/hashcore``.

Data of type "bit" come as rows of booleans and are packed here. Every answer is exact, so that
there is nothing to tune by query arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore

from ..base.module import BaseANN


class Hashcore(BaseANN):
    """Exact neighbours by Hamming distance: by a scan (flat) or multi-index hashing (mih)."""

    def __init__(self, metric: str, kind: Any) -> None:
        if metric != "hamming":
            raise NotImplementedError(f"metric: expected hamming; got {metric}")
        self.name = f"hashcore(kind={kind})"
        self._kind = kind
        self._results: hashcore.SearchResult | None = None

    def fit(self, X: NDArray[np.bool_]) -> None:
        self._index = hashcore.Index(X.shape[1], self._kind)
        self._index.add(hashcore.pack(X))

    def query(self, q: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
        found = self._index.search(hashcore.pack(q), n, threads=1)
        return found.ids[: found.counts]

    def batch_query(self, X: NDArray[np.bool_], n: int) -> None:
        """All queries at once, on all threads."""
        self._results = self._index.search(hashcore.pack(X), n)

    def get_batch_results(self) -> list[NDArray[np.int64]]:
        if self._results is None:
            raise RuntimeError(
                "get_batch_results: expected batch_query() before; got no call of it"
            )
        pairs = zip(self._results.ids, self._results.counts, strict=True)
        return [ids[:count] for ids, count in pairs]
