"""A hashcore index where a FAISS binary index is expected, and the way from one to the other.

`BinaryView` answers what `faiss.IndexBinaryFlat` and `IndexBinaryIDMap2` are asked, in their
dtypes, shapes and order of results. It needs no FAISS; selectors and conversions do (extra
`faiss`).

Where it differs: neighbours at one distance come by ascending id, and so do those of a radius
search; ids stay when others are removed; a repeated or unknown id raises instead of being stored
twice or read from beyond the end; arrays are neither cast nor copied.
"""

from __future__ import annotations

import operator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import Array, SupportsDLPack, as_array, describe
from hashcore._extras import require
from hashcore.index import Index, IndexKind
from hashcore.search import Filter

MISSING_DISTANCE = np.iinfo(np.int32).max
"""What FAISS returns as the distance of a hit that is missing; its label is -1."""

FaissKind = Literal["auto", "flat", "id_map", "id_map2"]
_ROWS_PER_COPY = 1 << 18


class BinaryView:
    """An index with the methods of FAISS's binary indexes.

    It goes where such an index does: `semantic_search_faiss(corpus_index=...,
    corpus_precision="ubinary")` of sentence-transformers, `add_faiss_index(custom_index=...,
    dtype=numpy.uint8)` of Hugging Face datasets.

    Args:
        index: the index, of any kind and width. The view holds nothing else: what is added or
            removed through either is seen by both.

    Raises:
        TypeError: `index` is no `hashcore.Index`.
    """

    def __init__(self, index: Index) -> None:
        if not isinstance(index, Index):
            raise TypeError(
                f"index: expected a hashcore.Index; got {describe(index)}. "
                "Of a FAISS index: BinaryView.from_faiss()."
            )
        self._index = index

    @classmethod
    def from_faiss(
        cls, index: Any, *, kind: IndexKind = "flat", threads: int | None = None
    ) -> BinaryView:
        """Copy the codes and ids of a FAISS index.

        Args:
            index: `IndexBinaryFlat`, or `IndexBinaryIDMap` or `IndexBinaryIDMap2` over one.
            kind: of the new index.
            threads: of its calls.

        Raises:
            MissingExtraError: FAISS is not installed.
            TypeError: another kind of index.
            ValueError: an id that is negative or there twice.
        """
        faiss = require("faiss", extra="faiss")
        is_binary = isinstance(index, faiss.IndexBinary)
        found = faiss.downcast_IndexBinary(index) if is_binary else index  # of a base class: read
        flat, ids = found, None
        if isinstance(found, faiss.IndexBinaryIDMap):
            ids = faiss.vector_to_array(found.id_map)
            flat = faiss.downcast_IndexBinary(found.index)
        if not isinstance(flat, faiss.IndexBinaryFlat):
            over = "" if flat is found else f"{type(found).__name__} over "
            raise TypeError(
                "index: expected IndexBinaryFlat, or IndexBinaryIDMap or IndexBinaryIDMap2 over "
                f"one; got {over}{type(flat).__name__}."
            )
        codes = faiss.vector_to_array(flat.xb).reshape(flat.ntotal, flat.code_size)
        return cls(Index.from_codes(codes, ids, kind=kind, threads=threads))

    def to_faiss(self, kind: FaissKind = "auto") -> Any:
        """Copy the codes and ids to a FAISS index.

        Args:
            kind: `"flat"`, `IndexBinaryFlat`, whose ids are 0..ntotal-1; `"id_map"` or
                `"id_map2"`, `IndexBinaryIDMap` or `IndexBinaryIDMap2` over one; `"auto"`, flat
                where the ids allow it and else `"id_map2"`.

        Returns:
            The FAISS index, of `d` bits: whole bytes.

        Raises:
            MissingExtraError: FAISS is not installed.
            ValueError: flat, and the ids are others; an unknown kind.
        """
        if kind not in ("auto", "flat", "id_map", "id_map2"):
            raise ValueError(f"kind: expected 'auto', 'flat', 'id_map' or 'id_map2'; got {kind!r}.")
        faiss = require("faiss", extra="faiss")
        ids = self._index.ids
        counted = len(ids) == 0 or int(ids[-1]) == len(ids) - 1  # they ascend from 0 or more
        if kind == "flat" and not counted:
            raise ValueError(
                f"kind: expected ids 0..{len(ids) - 1} for 'flat'; they go to {ids[-1]}. "
                "Use 'id_map2'."
            )
        made = faiss.IndexBinaryFlat(self.d)
        flat = kind == "flat" or (kind == "auto" and counted)
        if not flat:
            made = (faiss.IndexBinaryIDMap if kind == "id_map" else faiss.IndexBinaryIDMap2)(made)
        for first in range(0, len(ids), _ROWS_PER_COPY):
            some = ids[first : first + _ROWS_PER_COPY]
            codes = self._index.get(some)
            made.add(codes) if flat else made.add_with_ids(codes, some)
        return made

    @property
    def wrapped(self) -> Index:
        """The `hashcore.Index` itself."""
        return self._index

    @property
    def d(self) -> int:
        """Bits of a code in whole bytes, as FAISS counts them: `8 * code_size`."""
        return 8 * self.code_size

    @property
    def code_size(self) -> int:
        """Bytes of a code."""
        return (self._index.bits + 7) // 8

    @property
    def ntotal(self) -> int:
        """Number of codes."""
        return len(self._index)

    @property
    def is_trained(self) -> bool:
        """True: there is nothing to train."""
        return True

    @property
    def verbose(self) -> bool:
        """False: the view prints nothing."""
        return False

    @verbose.setter
    def verbose(self, value: bool) -> None:
        if value:
            raise ValueError(f"verbose: expected False, for a view prints nothing; got {value!r}.")

    def __repr__(self) -> str:
        return f"BinaryView({self._index!r})"

    def train(self, x: Array) -> None:
        """Do nothing to codes that fit: uint8 `[n, code_size]`."""
        rows = _rows("x", x)
        if rows.dtype != np.uint8 or rows.shape[1] != self.code_size:
            raise TypeError(f"x: expected uint8 [n, {self.code_size}]; got {describe(rows)}.")

    def add(self, x: Array) -> None:
        """Add codes, uint8 `[n, code_size]`; their ids count on from the highest there ever was.

        Raises:
            TypeError: another dtype.
            ValueError: another shape.
        """
        self._index.add(_rows("x", x))

    def add_with_ids(self, x: Array, ids: Array) -> None:
        """Add codes under ids of your own.

        Args:
            x: uint8 `[n, code_size]`.
            ids: int64 `[n]`, each >= 0 and not present.

        Raises:
            TypeError: another dtype.
            ValueError: another shape; an id that is negative, given twice or present already.
        """
        self._index.add(_rows("x", x), ids)

    def search(
        self, x: Array, k: int, *, params: Any = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Find the k nearest codes of each query.

        Args:
            x: uint8 `[n, code_size]`.
            k: hits a query, >= 1.
            params: `faiss.SearchParameters(sel=...)`: only selected ids are hits.

        Returns:
            Distances, int32 `[n, k]`, and labels, int64 `[n, k]`, by ascending (distance, label);
            where hits are missing, 2147483647 and -1.

        Raises:
            TypeError: another dtype; params of another class, which are for other indexes.
            ValueError: another shape; k < 1.
        """
        if k < 1:
            raise ValueError(f"k: expected a number >= 1; got {k}.")
        result = self._index.search(_rows("x", x), k, filter=self._filter(params))
        if result.counts.min(initial=k) < k:
            result.distances[result.ids == -1] = MISSING_DISTANCE
        return result.distances, result.ids

    def range_search(
        self, x: Array, thresh: int, *, params: Any = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.int64]]:
        """Find every code nearer to each query than `thresh`.

        Args:
            x: uint8 `[n, code_size]`.
            thresh: exclusive, as in FAISS: distances are `< thresh`.
            params: as of `search`.

        Returns:
            Limits, uint64 `[n + 1]`; distances, float32, and labels, int64, `[lims[-1]]`: those of
            query i at `lims[i]:lims[i + 1]`, by ascending (distance, label).

        Raises:
            TypeError: another dtype; thresh is no whole number; params of another class.
            ValueError: another shape.
        """
        x, radius = _rows("x", x), operator.index(thresh) - 1
        allowed = self._filter(params)
        if radius < 0:
            radius, allowed = 0, Filter.allow(np.empty(0, np.int64))
        result = self._index.range_search(x, radius, filter=allowed)
        return result.lims.view(np.uint64), result.distances.astype(np.float32), result.ids

    def reconstruct(self, key: int) -> NDArray[np.uint8]:
        """Return the code of an id: uint8 `[code_size]`.

        Raises:
            KeyError: an id that is not in the index.
        """
        codes = self._index.get(np.array([operator.index(key)]))  # [1, B]
        return codes.reshape(-1)

    def reconstruct_n(
        self, n0: int = 0, ni: int = -1, x: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Return the codes of the ids `n0 .. n0 + ni - 1`.

        Args:
            n0: first id.
            ni: how many; -1 for `ntotal - n0`.
            x: uint8 `[ni, code_size]`, which is filled and returned.

        Returns:
            uint8 `[ni, code_size]`.

        Raises:
            KeyError: an id that is not in the index.
            ValueError: ni below -1, n0 past the end, or `x` of another dtype or shape.
        """
        count = self.ntotal - n0 if ni == -1 else ni
        if count < 0:
            raise ValueError(
                f"ni: expected a number >= 0, or -1 and n0 <= {self.ntotal}; got n0 {n0}, ni {ni}."
            )
        if x is not None and (x.dtype != np.uint8 or x.shape != (count, self.code_size)):
            raise ValueError(f"x: expected uint8 [{count}, {self.code_size}]; got {describe(x)}.")
        codes = self._index.get(np.arange(n0, n0 + count, dtype=np.int64))
        if x is None:
            return codes
        x[:] = codes
        return x

    def remove_ids(self, x: Any) -> int:
        """Remove codes; the other ids stay as they are.

        Args:
            x: int64 `[n]` of ids, of which those that no code has change nothing, or any
                `faiss.IDSelector`.

        Returns:
            How many codes were removed.

        Raises:
            TypeError: another dtype or class.
            ValueError: a negative id.
        """
        return self._index.remove(x if isinstance(x, SupportsDLPack) else self._selected("x", x))

    def _filter(self, params: Any) -> Filter | None:
        if params is None:
            return None
        faiss = require("faiss", extra="faiss")
        if type(params) is not faiss.SearchParameters:
            raise TypeError(
                "params: expected faiss.SearchParameters(sel=...), the only ones that a scan has; "
                f"got {type(params).__name__}."
            )
        return None if params.sel is None else Filter.allow(self._selected("sel", params.sel))

    def _selected(self, name: str, selector: Any) -> NDArray[np.int64]:
        """The ids that a selector takes: those that are gone from an index when it removes them.

        One call of `is_member` an id takes several times as long; and `faiss.contrib.torch_utils`
        changes searches of other indexes than binary ones, so that they know no selectors.
        """
        faiss = require("faiss", extra="faiss")
        if not isinstance(selector, faiss.IDSelector):
            raise TypeError(
                f"{name}: expected int64 [n] or a faiss.IDSelector; got {describe(selector)}."
            )
        ids = self._index.ids
        points = faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(8))
        points.add_with_ids(np.zeros((len(ids), 1), np.uint8), ids)
        points.remove_ids(selector)
        return np.setdiff1d(ids, faiss.vector_to_array(points.id_map), assume_unique=True)


def _rows(name: str, x: Array) -> NDArray[Any]:
    """Codes as an array of rows; their dtype and width are the engine's to check."""
    rows = as_array(x, name)
    if getattr(rows, "ndim", None) != 2:
        raise ValueError(f"{name}: expected uint8 [n, code_size]; got {describe(rows)}.")
    return rows
