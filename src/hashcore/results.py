"""What searches return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The k nearest codes of each query, ascending (distance, id).

    ``distances, ids = result`` works. Missing hits stand at the tail of a row with id -1 and
    distance bits + 1. A 1-D query gives 1-D arrays.

    Attributes:
        distances: int32 ``[Q, k]``.
        ids: int64 ``[Q, k]``.
        counts: int64 ``[Q]``, hits found.
    """

    distances: NDArray[np.int32]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.distances, self.ids))


@dataclass(frozen=True, eq=False)
class RangeResult:
    """All codes within a radius of each query, ascending (distance, id) inside a row.

    ``lims, distances, ids = result`` works. Row ``q`` is ``lims[q]:lims[q + 1]``.

    Attributes:
        lims: int64 ``[Q + 1]``.
        distances: int32 ``[lims[-1]]``.
        ids: int64 ``[lims[-1]]``.
    """

    lims: NDArray[np.int64]
    distances: NDArray[np.int32]
    ids: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.lims, self.distances, self.ids))

    def __len__(self) -> int:
        return len(self.lims) - 1

    def row(self, query: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Distances and ids of one query."""
        hits = slice(self.lims[query], self.lims[query + 1])
        return self.distances[hits], self.ids[hits]


def search_result(
    arrays: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]], one_query: bool
) -> SearchResult:
    """Distances, ids and counts as the engine returns them."""
    return SearchResult(*(array[0] for array in arrays)) if one_query else SearchResult(*arrays)
