"""Nearest codes under scikit-learn's conventions (extra `sklearn`).

`HammingNeighbors` answers as `sklearn.neighbors.NearestNeighbors` does, and
`HammingKNeighborsTransformer` as `KNeighborsTransformer`: in a pipeline it hands distances to
whatever takes a sparse graph of them, such as `TSNE(metric="precomputed")` or
`KNeighborsClassifier(metric="precomputed")`.

Distances are numbers of differing bits, as float64; scikit-learn's own `metric="hamming"` gives
shares of the bits. Hits are exact and come by ascending (distance, index).
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore._extras import needs
from hashcore.codes import pack
from hashcore.compat._neighbours import without_self
from hashcore.index import Index, IndexKind

with needs("sklearn"):
    from joblib import effective_n_jobs
    from scipy.sparse import csr_array, csr_matrix
    from sklearn import get_config
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data

GraphMode = Literal["connectivity", "distance"]


class _HammingBase(BaseEstimator):  # type: ignore[misc]
    """What both estimators do: take codes or values, hold an index, find neighbours.

    Attributes:
        n_features_in_: bytes of a code, or values a row.
        n_samples_fit_: rows that neighbours are found among.
    """

    n_neighbors: int
    threshold: float | None
    kind: IndexKind
    n_jobs: int | None
    n_features_in_: int
    n_samples_fit_: int
    _index: Index

    def fit(self, X: Any, y: object = None) -> Self:
        """Index the rows that neighbours are found among.

        Args:
            X: packed codes, uint8 `[N, B]`; values `[N, K]` where `threshold` is a number.
            y: not used.

        Raises:
            TypeError: codes of another dtype.
            ValueError: NaN, a wrong shape, or a parameter out of its range.
        """
        _check_count("n_neighbors", self.n_neighbors)
        codes = self._codes(X, fitting=True)
        bits = 8 * codes.shape[1] if self.threshold is None else self.n_features_in_
        self._index = Index.from_codes(codes, bits=bits, kind=self.kind)
        self.n_samples_fit_ = len(codes)
        return self

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest rows of each query.

        Args:
            X: queries, like the rows of `fit`; None for these rows themselves, of which none is
                its own neighbour.
            n_neighbors: how many; by default the estimator's.
            return_distance: also give distances.

        Returns:
            Distances, float64 `[Q, n_neighbors]`, and indices, int64 `[Q, n_neighbors]`; or the
            indices only.

        Raises:
            NotFittedError: before `fit`.
            TypeError: codes of another dtype.
            ValueError: a wrong shape, or more neighbours than there are.
        """
        queries = self._queries(X)
        wanted = self.n_neighbors if n_neighbors is None else n_neighbors
        _check_count("n_neighbors", wanted)
        k = wanted + (X is None)
        if k > self.n_samples_fit_:
            raise ValueError(
                f"n_neighbors: expected at most {self.n_samples_fit_ - (X is None)} of "
                f"n_samples_fit = {self.n_samples_fit_}; got {wanted} for n_samples = "
                f"{len(queries)}."
            )
        result = self._index.search(queries, k, threads=self._threads())
        distances, indices = without_self(result) if X is None else result
        return (distances.astype(np.float64), indices) if return_distance else indices

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: GraphMode = "connectivity"
    ) -> Any:
        """Give the nearest rows of each query as a sparse matrix.

        Args:
            X: as of `kneighbors`.
            n_neighbors: as of `kneighbors`.
            mode: what stands at a neighbour: `"connectivity"` 1, `"distance"` the distance, zeros
                included.

        Returns:
            float64 `[Q, N]` in CSR format.

        Raises:
            ValueError: an unknown mode, and as of `kneighbors`.
        """
        _check_mode(mode)
        distances, indices = self.kneighbors(X, n_neighbors)
        limits = np.arange(0, indices.size + 1, indices.shape[1])
        return self._graph(distances.ravel(), indices.ravel(), limits, mode)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_index")

    def __getstate__(self) -> dict[str, Any]:
        """The parameters and the codes, for pickle and copies."""
        state = {**super().__getstate__()}
        if (index := state.pop("_index", None)) is not None:
            state["_fitted"] = index.get(index.ids), index.bits
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        fitted = state.pop("_fitted", None)
        super().__setstate__(state)
        if fitted is not None:
            self._index = Index.from_codes(fitted[0], bits=fitted[1], kind=self.kind)

    def _codes(self, X: Any, *, fitting: bool = False) -> NDArray[np.uint8]:
        if self.threshold is not None and not _is_number(self.threshold):
            raise TypeError(
                f"threshold: expected None for packed codes, or a number; got {self.threshold!r}."
            )
        taken: tuple[type, ...] = (np.float64, np.float32)
        if self.threshold is None:
            taken = (np.uint8,)
        rows = X
        if fitting or not self._fits(X, taken):
            dtype = None if self.threshold is None else list(taken)  # no dtype is made to uint8
            rows = validate_data(self, X, dtype=dtype, order="C", reset=fitting)
        if self.threshold is not None:
            return pack(rows, threshold=float(self.threshold))
        if rows.dtype != np.uint8:
            raise TypeError(
                f"X: expected packed codes, uint8 [n, bytes]; got {describe(rows)}. "
                f"Values: {type(self).__name__}(threshold=0)."
            )
        codes: NDArray[np.uint8] = rows
        return codes

    def _fits(self, X: Any, dtypes: tuple[type, ...]) -> bool:
        """Whether queries are fit as they are, so that the slower checks of anything can wait."""
        return (
            type(X) is np.ndarray
            and X.dtype in dtypes
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and len(X) > 0
            and X.flags.c_contiguous
            and not hasattr(self, "feature_names_in_")
            and (X.dtype == np.uint8 or bool(np.isfinite(X).all()))
        )

    def _queries(self, X: Any) -> NDArray[np.uint8]:
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # raises
        if X is None:
            return self._index.get(np.arange(self.n_samples_fit_))
        return self._codes(X)

    def _threads(self) -> int | None:
        return None if self.n_jobs is None else int(effective_n_jobs(self.n_jobs))

    def _graph(
        self,
        distances: NDArray[np.float64],
        indices: NDArray[np.integer[Any]],
        limits: NDArray[np.integer[Any]],
        mode: GraphMode,
    ) -> Any:
        values = distances if mode == "distance" else np.ones(len(indices))
        if max(self.n_samples_fit_, len(indices)) <= np.iinfo(np.int32).max:
            indices, limits = indices.astype(np.int32), limits.astype(np.int32)
        # Older releases know one interface only.
        arrays = get_config().get("sparse_interface") == "sparray"
        made = csr_array if arrays else csr_matrix
        return made((values, indices, limits), shape=(len(limits) - 1, self.n_samples_fit_))


class HammingNeighbors(_HammingBase):
    """The nearest codes, or those within a radius, as `NearestNeighbors` gives them.

    Args:
        n_neighbors: neighbours of a query, where the call says nothing else.
        radius: differing bits that neighbours may have, inclusive, where the call says nothing
            else.
        threshold: None: rows are packed codes, uint8 `[n, B]`, as `hashcore.pack` makes them. A
            number: rows are values, which are packed, `x > threshold` to 1; they are converted to
            floats as anywhere in scikit-learn.
        kind: of the index, as of `hashcore.Index`; every kind gives the same neighbours.
        n_jobs: threads of a search, as in joblib; None leaves it to `hashcore.set_num_threads`.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        radius: float = 1.0,
        threshold: float | None = None,
        kind: IndexKind = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.threshold = threshold
        self.kind = kind
        self.n_jobs = n_jobs

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find every row within a radius of each query.

        Args:
            X: as of `kneighbors`.
            radius: differing bits, inclusive; by default the estimator's.
            return_distance: also give distances.
            sort_results: asks for ascending distances, in which they come anyway.

        Returns:
            Distances and indices, object arrays `[Q]` of a float64 and an int64 array each; or the
            indices only.

        Raises:
            NotFittedError: before `fit`.
            TypeError: codes of another dtype.
            ValueError: a wrong shape, or a negative radius.
        """
        limits, distances, indices = self._within(X, radius)
        bounds = limits.tolist()
        rows = list(map(slice, bounds, bounds[1:]))
        found = _split(indices, rows)
        return (_split(distances, rows), found) if return_distance else found

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: GraphMode = "connectivity",
        sort_results: bool = False,
    ) -> Any:
        """Give every row within a radius of each query as a sparse matrix.

        Args:
            X: as of `kneighbors`.
            radius: as of `radius_neighbors`.
            mode: as of `kneighbors_graph`.
            sort_results: as of `radius_neighbors`.

        Returns:
            float64 `[Q, N]` in CSR format.

        Raises:
            ValueError: an unknown mode, and as of `radius_neighbors`.
        """
        _check_mode(mode)
        limits, distances, indices = self._within(X, radius)
        return self._graph(distances, indices, limits, mode)

    def _within(
        self, X: Any, radius: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        queries = self._queries(X)
        wanted = self.radius if radius is None else radius
        if not _is_number(wanted) or not 0 <= wanted < math.inf:
            raise ValueError(f"radius: expected a number of bits >= 0; got {wanted!r}.")
        result = self._index.range_search(queries, math.floor(wanted), threads=self._threads())
        limits, distances, indices = result
        if X is None:  # each row is within any radius of itself
            others = indices != np.repeat(np.arange(len(queries)), np.diff(limits))
            limits = limits - np.arange(len(limits))
            distances, indices = distances[others], indices[others]
        return limits, distances.astype(np.float64), indices


class HammingKNeighborsTransformer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    _HammingBase,
):
    """Rows to a sparse graph of their nearest codes, as `KNeighborsTransformer` makes it.

    Args:
        mode: `"distance"`: `n_neighbors + 1` distances a row, since a row that was fitted is its
            own nearest; `"connectivity"`: a 1 at each of `n_neighbors`.
        n_neighbors: neighbours of a row.
        threshold: as of `HammingNeighbors`.
        kind: as of `HammingNeighbors`.
        n_jobs: as of `HammingNeighbors`.
    """

    def __init__(
        self,
        *,
        mode: GraphMode = "distance",
        n_neighbors: int = 5,
        threshold: float | None = None,
        kind: IndexKind = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.mode = mode
        self.n_neighbors = n_neighbors
        self.threshold = threshold
        self.kind = kind
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: object = None) -> Self:
        """As of `HammingNeighbors`."""
        _check_mode(self.mode)
        super().fit(X, y)
        self._n_features_out = self.n_samples_fit_
        return self

    def transform(self, X: Any) -> Any:
        """Give the graph of the nearest fitted rows of each row.

        Args:
            X: packed codes or values, like the rows of `fit`.

        Returns:
            float64 `[Q, N]` in CSR format.

        Raises:
            NotFittedError: before `fit`.
            TypeError: codes of another dtype.
            ValueError: a wrong shape, or more neighbours than there are rows.
        """
        extra = self.mode == "distance"
        return self.kneighbors_graph(X, self.n_neighbors + extra, self.mode)

    def fit_transform(self, X: Any, y: object = None) -> Any:
        """`fit`, then `transform` of the same rows."""
        return self.fit(X).transform(X)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected a whole number; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name}: expected a number >= 1; got {value!r}.")


def _check_mode(mode: object) -> None:
    if mode not in ("connectivity", "distance"):
        raise ValueError(f"mode: expected 'connectivity' or 'distance'; got {mode!r}.")


def _split(values: NDArray[Any], rows: list[slice]) -> NDArray[np.object_]:
    """An array of arrays, one of each slice of the values."""
    return np.fromiter(map(values.__getitem__, rows), dtype=object, count=len(rows))
