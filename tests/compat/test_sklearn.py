"""scikit-learn's estimator checks, and its brute force over unpacked bits."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import sklearn
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.manifold import TSNE
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import hashcore
import reference
from hashcore._extras import MissingExtraError
from hashcore.compat.sklearn import HammingKNeighborsTransformer, HammingNeighbors

BITS = 64
COUNT = 200
FLOATS = "it fits floats, and packed codes are uint8"
CANNOT_TAKE_CODES = dict.fromkeys(
    (
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_dtype_object",
        "check_estimators_dtypes",
        "check_estimators_fit_returns_self",
        "check_estimators_nan_inf",
        "check_estimators_overwrite_params",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_pipeline_consistency",
        "check_positive_only_tag_during_fit",
        "check_readonly_memmap_input",
        "check_transformer_data_not_an_array",
        "check_transformer_general",
        "check_transformer_preserve_dtypes",
    ),
    FLOATS,
)


def expected_failures(estimator: Any) -> dict[str, str]:
    return CANNOT_TAKE_CODES if estimator.threshold is None else {}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        HammingNeighbors(threshold=0.0),
        HammingKNeighborsTransformer(threshold=0.0),
        HammingKNeighborsTransformer(threshold=0.5, mode="connectivity", kind="mih", n_jobs=1),
        HammingNeighbors(),
        HammingKNeighborsTransformer(),
    ],
    expected_failed_checks=expected_failures,
)
def test_estimator_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    return reference.random_codes(np.random.default_rng(1), COUNT, BITS)


@pytest.fixture(scope="module")
def queries(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    strangers = np.random.default_rng(2).integers(0, 256, (20, BITS // 8), np.uint8)
    return np.concatenate([codes[::9], strangers])


def unpacked(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.unpackbits(codes, axis=1).astype(bool)


@pytest.fixture(scope="module")
def theirs(codes: NDArray[np.uint8]) -> Any:
    return NearestNeighbors(metric="hamming", algorithm="brute").fit(unpacked(codes))


@pytest.fixture(params=["flat", "mih"])
def ours(request: pytest.FixtureRequest, codes: NDArray[np.uint8]) -> HammingNeighbors:
    return HammingNeighbors(kind=request.param, n_jobs=1).fit(codes)


def in_order(distances: NDArray[Any], indices: NDArray[Any]) -> tuple[Any, Any]:
    """One row of theirs as it stands in ours: whole bits, by (distance, index)."""
    bits = np.rint(distances * BITS)
    order = np.lexsort((indices, bits))
    return bits[order], indices[order]


@pytest.mark.parametrize("among_themselves", [False, True])
def test_every_neighbour_in_order(
    ours: HammingNeighbors, theirs: Any, queries: NDArray[np.uint8], among_themselves: bool
) -> None:
    X = None if among_themselves else queries
    k = COUNT - among_themselves
    distances, indices = ours.kneighbors(X, k)
    expected = theirs.kneighbors(None if X is None else unpacked(X), k)
    assert (distances.dtype, indices.dtype) == (expected[0].dtype, expected[1].dtype)
    for row in range(len(distances)):
        truth = in_order(expected[0][row], expected[1][row])
        np.testing.assert_array_equal(distances[row], truth[0])
        np.testing.assert_array_equal(indices[row], truth[1])
    np.testing.assert_array_equal(ours.kneighbors(X, k, return_distance=False), indices)


@pytest.mark.parametrize("among_themselves", [False, True])
@pytest.mark.parametrize("k", [None, 1, 17])
def test_the_nearest_are_the_first_of_all(
    ours: HammingNeighbors, queries: NDArray[np.uint8], k: int | None, among_themselves: bool
) -> None:
    X = None if among_themselves else queries
    distances, indices = ours.kneighbors(X, COUNT - among_themselves)
    some = ours.kneighbors(X, k)
    np.testing.assert_array_equal(some[0], distances[:, : k or 5])
    np.testing.assert_array_equal(some[1], indices[:, : k or 5])


def test_a_code_that_many_equal_ones_come_before() -> None:
    codes = np.zeros((6, 1), np.uint8)
    codes[0] = 255
    _, indices = HammingNeighbors(n_neighbors=2).fit(codes).kneighbors()
    assert indices.tolist() == [[1, 2], [2, 3], [1, 3], [1, 2], [1, 2], [1, 2]]


@pytest.mark.parametrize("among_themselves", [False, True])
@pytest.mark.parametrize("radius", [0, 1, 3.9, 20, BITS])
def test_within_a_radius(
    ours: HammingNeighbors,
    theirs: Any,
    queries: NDArray[np.uint8],
    radius: float,
    among_themselves: bool,
) -> None:
    X = None if among_themselves else queries
    asked = None if X is None else unpacked(X)
    expected = theirs.radius_neighbors(asked, radius / BITS)
    distances, indices = ours.radius_neighbors(X, radius, sort_results=True)
    assert indices.dtype == expected[1].dtype == object
    assert indices.shape == expected[1].shape
    for row in range(len(indices)):
        truth = in_order(expected[0][row], expected[1][row])
        assert (distances[row].dtype, indices[row].dtype) == (np.float64, np.int64)
        np.testing.assert_array_equal(distances[row], truth[0])
        np.testing.assert_array_equal(indices[row], truth[1])
    only = ours.radius_neighbors(X, radius, return_distance=False)
    assert all(map(np.array_equal, only, indices))
    for mode, scale in (("connectivity", 1), ("distance", BITS)):
        graph = ours.radius_neighbors_graph(X, radius, mode)  # type: ignore[arg-type]
        truth = theirs.radius_neighbors_graph(asked, radius / BITS, mode)
        assert graph.nnz == truth.nnz
        np.testing.assert_array_equal(graph.toarray(), np.rint(truth.toarray() * scale))


def test_the_radius_of_the_estimator(codes: NDArray[np.uint8]) -> None:
    ours = HammingNeighbors(radius=20).fit(codes)
    np.testing.assert_array_equal(
        ours.radius_neighbors_graph(codes[:9]).toarray(),
        reference.pairwise(codes[:9], codes) <= 20,
    )


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_graphs(ours: HammingNeighbors, theirs: Any, queries: NDArray[np.uint8], mode: Any) -> None:
    for X in (None, queries):
        k = COUNT - (X is None)  # every one, so that ties decide nothing
        graph = ours.kneighbors_graph(X, k, mode)
        truth = theirs.kneighbors_graph(None if X is None else unpacked(X), k, mode)
        assert (type(graph), graph.shape, graph.nnz) == (type(truth), truth.shape, truth.nnz)
        scale = BITS if mode == "distance" else 1
        np.testing.assert_array_equal(graph.toarray(), np.rint(truth.toarray() * scale))
    assert ours.kneighbors_graph(queries, 3, mode).nnz == 3 * len(queries)


def test_the_kind_of_matrix_is_the_configured_one(codes: NDArray[np.uint8]) -> None:
    ours = HammingNeighbors().fit(codes)
    assert type(ours.kneighbors_graph()) is csr_matrix
    with sklearn.config_context(sparse_interface="sparray"):
        assert type(ours.kneighbors_graph()) is csr_array


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_the_transformer_is_theirs(
    codes: NDArray[np.uint8], queries: NDArray[np.uint8], mode: Any
) -> None:
    k = COUNT - 1  # with the row itself: every one
    ours = HammingKNeighborsTransformer(n_neighbors=k, mode=mode)
    theirs = KNeighborsTransformer(n_neighbors=k, mode=mode, metric="hamming", algorithm="brute")
    scale = BITS if mode == "distance" else 1
    for made, truth in (
        (ours.fit_transform(codes), theirs.fit_transform(unpacked(codes))),
        (ours.transform(queries), theirs.transform(unpacked(queries))),
    ):
        assert made.nnz == truth.nnz
        if mode == "distance":  # else the farthest is left out, and ties decide which
            np.testing.assert_array_equal(made.toarray(), np.rint(truth.toarray() * scale))
    assert len(ours.get_feature_names_out()) == len(theirs.get_feature_names_out())


def test_values_are_packed_by_the_threshold() -> None:
    values = np.random.default_rng(4).standard_normal((50, 13))
    packed = hashcore.pack(values, threshold=0.25)
    ours = HammingNeighbors(threshold=0.25).fit(values)
    assert ours.n_features_in_ == 13
    np.testing.assert_array_equal(
        ours.kneighbors(values)[1], HammingNeighbors().fit(packed).kneighbors(packed)[1]
    )


@pytest.mark.parametrize("kind", ["flat", "mih"])
def test_copies_answer_alike(codes: NDArray[np.uint8], kind: Any) -> None:
    values = hashcore.unpack(codes, BITS)[:, :50].astype(float)
    fitted = HammingNeighbors(kind=kind, n_neighbors=7, threshold=0).fit(values)
    expected = fitted.kneighbors()
    for made in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        for ours, truth in zip(made.kneighbors(), expected, strict=True):
            np.testing.assert_array_equal(ours, truth)
        assert made.kneighbors(values)[0].max() <= 50
    with pytest.raises(NotFittedError):
        clone(fitted).kneighbors()


def clusters() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows [240, 32] around 4 corners, and which."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 4, 240)
    centres = rng.choice([-1.0, 1.0], (4, 32))
    return (centres[labels] + 0.7 * rng.standard_normal((240, 32))).astype(np.float32), labels


def test_in_a_pipeline_before_a_classifier() -> None:
    values, labels = clusters()
    ours = make_pipeline(
        StandardScaler(),
        HammingKNeighborsTransformer(threshold=0, n_neighbors=30),
        KNeighborsClassifier(n_neighbors=9, metric="precomputed", weights="distance"),
    ).fit(values[:160], labels[:160])
    bits = StandardScaler().fit(values[:160])
    theirs = KNeighborsClassifier(n_neighbors=9, metric="hamming", weights="distance")
    theirs.fit(bits.transform(values[:160]) > 0, labels[:160])
    predicted = ours.predict(values[160:])
    assert (predicted == theirs.predict(bits.transform(values[160:]) > 0)).mean() > 0.95
    assert ours.score(values[160:], labels[160:]) > 0.9


def test_before_tsne() -> None:
    values, labels = clusters()
    picture = make_pipeline(
        HammingKNeighborsTransformer(n_neighbors=61),
        TSNE(metric="precomputed", init="random", perplexity=20, max_iter=300, random_state=0),
    ).fit_transform(hashcore.pack(values))
    assert picture.shape == (240, 2)
    nearest = NearestNeighbors(n_neighbors=1).fit(picture).kneighbors(return_distance=False)[:, 0]
    assert (labels[nearest] == labels).mean() > 0.9


def test_n_jobs_are_threads(codes: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    search = hashcore.Index.search

    def spy(self: Any, *args: Any, **options: Any) -> Any:
        asked.append(options["threads"])
        return search(self, *args, **options)

    monkeypatch.setattr(hashcore.Index, "search", spy)
    for n_jobs in (None, 1, 3):
        HammingNeighbors(n_jobs=n_jobs).fit(codes).kneighbors(codes)
    assert asked == [None, 1, 3]
    with pytest.raises(ValueError, match="n_jobs"):
        HammingNeighbors(n_jobs=0).fit(codes).kneighbors(codes)


BAD_CALLS: dict[str, tuple[type[Exception], str, Any]] = {
    "floats": (TypeError, r"^X: expected packed codes, uint8 \[n, bytes\]; got float64 "
               r"\[200, 8\]\. Values: HammingNeighbors\(threshold=0\)",
               lambda made, x: HammingNeighbors().fit(x + 0.5)),
    "int8": (TypeError, "got int8", lambda made, x: made.kneighbors(x.view(np.int8))),
    "width": (ValueError, "features", lambda made, x: made.kneighbors(x[:, :4])),
    "a row": (ValueError, "1D", lambda made, x: made.kneighbors(x[0])),
    "no rows": (ValueError, "0 sample", lambda made, x: made.kneighbors(x[:0])),
    "not fitted": (NotFittedError, "", lambda made, x: HammingNeighbors().kneighbors(x)),
    "zero": (ValueError, "^n_neighbors: expected a number >= 1; got 0",
             lambda made, x: made.kneighbors(x, 0)),
    "half": (TypeError, "^n_neighbors: expected a whole number; got 1.5",
             lambda made, x: HammingNeighbors(n_neighbors=1.5).fit(x)),  # type: ignore[arg-type]
    "too many": (ValueError, "^n_neighbors: expected at most 200 .* got 201",
                 lambda made, x: made.kneighbors(x, 201)),
    "too many others": (ValueError, "^n_neighbors: expected at most 199 .* got 200",
                        lambda made, x: made.kneighbors(None, 200)),
    "radius": (ValueError, "^radius: expected a number of bits >= 0; got -1",
               lambda made, x: made.radius_neighbors(x, -1)),
    "nan": (ValueError, "^radius", lambda made, x: made.radius_neighbors(x, float("nan"))),
    "mode": (ValueError, "^mode: expected 'connectivity' or 'distance'; got 'weights'",
             lambda made, x: made.kneighbors_graph(x, mode="weights")),
    "mode of a radius": (ValueError, "^mode", lambda made, x: made.radius_neighbors_graph(mode=1)),
    "mode of the transformer": (
        ValueError, "^mode",
        lambda made, x: HammingKNeighborsTransformer(mode="x").fit(x)),  # type: ignore[arg-type]
    "threshold": (TypeError, "^threshold: expected None for packed codes, or a number; got '0'",
                  lambda made, x: HammingNeighbors(threshold="0").fit(x)),  # type: ignore[arg-type]
    "kind": (ValueError, "kind",
             lambda made, x: HammingNeighbors(kind="tree").fit(x)),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_errors(codes: NDArray[np.uint8], name: str) -> None:
    error, message, call = BAD_CALLS[name]
    fitted = HammingNeighbors().fit(codes)
    with pytest.raises(error, match=message or None):
        call(fitted, codes)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, HammingNeighbors.__module__)
    with pytest.raises(MissingExtraError) as caught:
        importlib.import_module(HammingNeighbors.__module__)
    assert str(caught.value) == (
        'the package sklearn is missing; pip install "hashcore-search[sklearn]"'
    )
