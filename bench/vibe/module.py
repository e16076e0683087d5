"""hashcore for VIBE: copy this folder to ``vibe/algorithms/hashcore``.

Data of type "binary" come as packed rows, uint8, in the order that hashcore has too. Of "float",
signs are searched and the embeddings of a shortlist compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore

from ..base.module import BaseANN

Ids = NDArray[np.int64]


class HashcoreBinary(BaseANN):
    """Exact neighbours by Hamming distance: by a scan (flat) or multi-index hashing (mih)."""

    def __init__(self, metric: str, kind: Any) -> None:
        if metric != "hamming":
            raise NotImplementedError(f"metric: expected hamming; got {metric}")
        self._kind = kind

    def fit(self, X: NDArray[np.uint8]) -> None:
        self._index = hashcore.Index(8 * X.shape[1], self._kind, threads=1)
        self._index.add(X)

    def query(self, vector: NDArray[np.uint8], n: int) -> Ids:
        found = self._index.search(vector, n)
        return found.ids[: found.counts]

    def __str__(self) -> str:
        return f"HashcoreBinary(kind={self._kind})"


class HashcoreRescored(BaseANN):
    """The nearest by sign, ``oversample`` times as many as wanted, put in order by cosine."""

    def __init__(self, metric: str, vectors: str) -> None:
        if metric not in ("cosine", "normalized"):
            raise NotImplementedError(f"metric: expected cosine or normalized; got {metric}")
        if vectors not in ("float32", "int8"):
            raise ValueError(f"vectors: expected float32 or int8; got {vectors}")
        self._kept = vectors
        self._oversample = 1

    def fit(self, X: NDArray[np.float32]) -> None:
        self._index = hashcore.Index.from_codes(hashcore.pack(X), bits=X.shape[1], threads=1)
        self._vectors: NDArray[Any] = X
        if self._kept == "int8":  # a scale for each row, which a cosine does not see
            largest = np.abs(X).max(axis=1, keepdims=True)
            self._vectors = np.rint(X * (127 / np.maximum(largest, 1e-30))).astype(np.int8)

    def set_query_arguments(self, oversample: int) -> None:
        self._oversample = oversample

    def query(self, vector: NDArray[np.float32], n: int) -> Ids:
        near = self._index.search(hashcore.pack(vector), n * self._oversample)
        _, ids = hashcore.rescore(vector, near, self._vectors, n, metric="cosine", threads=1)
        return ids[: near.counts]

    def __str__(self) -> str:
        return f"HashcoreRescored(vectors={self._kept}, oversample={self._oversample})"
