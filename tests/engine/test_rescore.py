from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hashcore
import reference

Metric = Literal["ip", "cosine", "l2", "asymmetric"]
DIMS = (1, 7, 15, 16, 17, 63, 64, 65, 100, 768, 1000)
NUMERIC: tuple[Metric, ...] = ("ip", "cosine", "l2")
PAIRS = [("float32", "float32"), ("float32", "float16"), ("float32", "int8"), ("int8", "int8")]
# metric, dtype of the queries, dtype of the vectors
KINDS: list[tuple[Metric, str, str]] = [
    *((metric, *pair) for metric in NUMERIC for pair in PAIRS),
    ("asymmetric", "float32", "uint8"),
]
EVERY_KIND = pytest.mark.parametrize(
    ("metric", "query_dtype", "dtype"), KINDS, ids=["-".join(kind) for kind in KINDS]
)


def random_rows(rng: np.random.Generator, count: int, dims: int, dtype: str) -> NDArray[Any]:
    if dtype == "int8":
        return rng.integers(-128, 128, (count, dims), np.int8)
    if dtype == "uint8":
        return np.packbits(rng.random((count, dims)) < 0.5, axis=1)
    return rng.standard_normal((count, dims)).astype(dtype)


def shortlist(ids: NDArray[Any]) -> hashcore.SearchResult:
    """A search result with these ids; its distances say nothing."""
    return hashcore.SearchResult(
        np.zeros(ids.shape, np.int32), ids, np.asarray((ids >= 0).sum(axis=-1))
    )


def random_shortlist(
    rng: np.random.Generator, queries: int, width: int, count: int
) -> NDArray[np.int64]:
    """Ids [Q, S], some of them twice and some missing."""
    ids = rng.integers(0, count, (queries, width))
    ids[rng.random(ids.shape) < 0.1] = -1
    return ids


def same_bytes(
    got: tuple[NDArray[Any], NDArray[Any]], truth: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    for array, expected in zip(got, truth, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
        assert array.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dims", DIMS)
@EVERY_KIND
def test_grid_against_numpy(
    isa_level: str, metric: Metric, query_dtype: str, dtype: str, dims: int
) -> None:
    rng = np.random.default_rng(dims)
    vectors = random_rows(rng, 120, dims, dtype)
    vectors[3] = 0
    vectors[5] = vectors[4]
    queries = random_rows(rng, 3, dims, query_dtype)
    queries[2] = 0
    for width in (0, 1, 10, 100):
        ids = random_shortlist(rng, len(queries), width, len(vectors))
        scores, kept = reference.rescore(queries, ids, vectors, width + 3, metric)
        for k in (1, width, width + 3):
            got = hashcore.rescore(queries, shortlist(ids), vectors, k, metric=metric)
            same_bytes(got, (scores[:, :k], kept[:, :k]))


@EVERY_KIND
def test_scores_are_close_to_exact_arithmetic(metric: Metric, query_dtype: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    vectors = random_rows(rng, 50, 768, dtype)
    queries = random_rows(rng, 4, 768, query_dtype)
    ids = np.tile(np.arange(50), (4, 1))
    scores, kept = hashcore.rescore(queries, shortlist(ids), vectors, 50, metric=metric)
    rows: NDArray[Any] = vectors.astype(np.float64)
    if metric == "asymmetric":
        rows = np.unpackbits(vectors, axis=1) * 2.0 - 1
    q = queries.astype(np.float64)
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
    exact: NDArray[Any] = q @ rows.T
    scale: NDArray[Any] = lengths
    if metric == "l2":
        exact = ((q[:, None] - rows) ** 2).sum(axis=2)
        scale = exact
    if metric == "cosine":
        exact, scale = exact / lengths, np.ones_like(exact)
    error = np.abs(scores - np.take_along_axis(exact, kept, axis=1))
    assert (error <= 2e-6 * np.take_along_axis(scale, kept, axis=1)).all()


@EVERY_KIND
def test_every_thread_count_and_a_split_shortlist_agree(
    metric: Metric, query_dtype: str, dtype: str
) -> None:
    """One query's shortlist is cut among the threads, many queries' are not."""
    rng = np.random.default_rng(0)
    vectors = random_rows(rng, 3_000, 200, dtype)
    for count, width in ((1, 12_000), (2, 3_000), (40, 60)):
        queries = random_rows(rng, count, 200, query_dtype)
        ids = random_shortlist(rng, count, width, len(vectors))
        truth = reference.rescore(queries, ids, vectors, 50, metric)
        result = shortlist(ids)
        for threads in range(1, 9):
            got = hashcore.rescore(queries, result, vectors, 50, metric=metric, threads=threads)
            same_bytes(got, truth)


@st.composite
def rescore_cases(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "kind": draw(st.sampled_from(KINDS)),
        "dims": draw(st.integers(1, 300)),
        "queries": draw(st.integers(0, 5)),
        "width": draw(st.integers(0, 60)),
        "count": draw(st.integers(1, 40)),
        "k": draw(st.integers(0, 70)),
        "threads": draw(st.integers(1, 4)),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "level": draw(st.sampled_from(hashcore.isa_levels())),
    }


@given(rescore_cases())
def test_any_case_against_numpy(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    metric, query_dtype, dtype = case["kind"]
    vectors = random_rows(rng, case["count"], case["dims"], dtype)
    queries = random_rows(rng, case["queries"], case["dims"], query_dtype)
    ids = random_shortlist(rng, case["queries"], case["width"], case["count"])
    hashcore._core.force_isa(case["level"])
    try:
        got = hashcore.rescore(
            queries, shortlist(ids), vectors, case["k"], metric=metric, threads=case["threads"]
        )
    finally:
        hashcore._core.force_isa("")
    same_bytes(got, reference.rescore(queries, ids, vectors, case["k"], metric))


def test_every_half_is_widened_exactly(isa_level: str) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    vectors = halves[np.isfinite(halves)][:, None]
    ids = np.arange(len(vectors))
    scores, kept = hashcore.rescore(np.ones(1, np.float32), shortlist(ids), vectors, len(ids))
    np.testing.assert_array_equal(scores, vectors[kept, 0].astype(np.float32))
    assert (np.diff(scores) <= 0).all()


def test_the_widest_int8_sums_are_exact(isa_level: str) -> None:
    dims = 65_536
    low, high = np.full(dims, -128, np.int8), np.full((1, dims), 127, np.int8)
    result = shortlist(np.zeros(1, np.int64))
    assert hashcore.rescore(low, result, high, 1, metric="l2")[0] == 255 * 255 * dims
    assert hashcore.rescore(low, result, low[None], 1)[0] == 128 * 128 * dims
    assert hashcore.rescore(low, result, high, 1)[0] == np.float32(-128 * 127 * dims)
    assert hashcore.rescore(low, result, low[None], 1, metric="cosine")[0] == 1


def test_integer_sums_are_rounded_once(isa_level: str) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.integers(100, 128, (20, 65_536), np.int8)
    exact = (vectors[0].astype(np.int64) * vectors).sum(axis=1).astype(np.float32)
    in_float32 = reference.lane_sums(vectors[0].astype(np.float32) * vectors)
    assert (exact != in_float32).any()
    scores, ids = hashcore.rescore(vectors[0], shortlist(np.arange(20)), vectors, 20)
    np.testing.assert_array_equal(scores, exact[ids])


def test_equal_scores_are_ordered_by_id_and_duplicates_stay() -> None:
    vectors = np.ones((9, 4), np.float32)
    vectors[2] = 2
    ids = np.array([[7, -1, 3, 8, 2, 3, -1, 0]])
    query = np.ones((1, 4), np.float32)
    scores, kept = hashcore.rescore(query, shortlist(ids), vectors, 9)
    assert kept.tolist() == [[2, 0, 3, 3, 7, 8, -1, -1, -1]]
    assert scores.tolist() == [[8, 4, 4, 4, 4, 4, -math.inf, -math.inf, -math.inf]]
    scores, kept = hashcore.rescore(query, shortlist(ids), vectors, 9, metric="l2")
    assert kept.tolist() == [[0, 3, 3, 7, 8, 2, -1, -1, -1]]
    assert scores.tolist() == [[0, 0, 0, 0, 0, 4, math.inf, math.inf, math.inf]]


def test_shapes() -> None:
    vectors = np.eye(5, 3, dtype=np.float32)
    query = np.array([1, 2, 3], np.float32)
    scores, ids = hashcore.rescore(query, shortlist(np.array([0, 1, 2])), vectors, 2)
    assert scores.tolist() == [3, 2]
    assert ids.tolist() == [2, 1]
    assert scores.dtype == np.float32
    assert ids.dtype == np.int64
    none = np.full((2, 4), -1)
    assert hashcore.rescore(vectors[:2], shortlist(none), vectors[:0], 1)[1].tolist() == [[-1]] * 2
    assert hashcore.rescore(vectors[:0], shortlist(none[:0]), vectors, 3)[0].shape == (0, 3)
    assert hashcore.rescore(vectors[:2], shortlist(none[:, :0]), vectors, 0)[0].shape == (2, 0)


def test_a_search_and_its_rescoring() -> None:
    """The way through the library: codes find, vectors decide."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2_000, 64)).astype(np.float32)
    queries = vectors[:20] + 0.3 * rng.standard_normal((20, 64)).astype(np.float32)
    index = hashcore.Index(bits=64)
    index.add(hashcore.pack(vectors))
    found = index.search(hashcore.pack(queries), 100)
    _, ids = hashcore.rescore(queries, found, vectors, 5, metric="l2")
    assert ids[:, 0].tolist() == list(range(20))
    one = hashcore.rescore(queries[3], index.search(hashcore.pack(queries[3]), 100), vectors, 5)
    many = hashcore.rescore(queries, found, vectors, 5)
    same_bytes(one, (many[0][3], many[1][3]))


def test_packed_codes_are_scored_by_their_signs() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((30, 100)).astype(np.float32)
    codes = hashcore.pack(values)
    queries = rng.integers(-50, 50, (2, 100)).astype(np.float32)
    ids = np.tile(np.arange(30), (2, 1))
    scores, kept = hashcore.rescore(queries, shortlist(ids), codes, 30, metric="asymmetric")
    exact = queries @ hashcore.unpack(codes, 100, signed=True).T
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, kept, axis=1))


def test_vectors_may_be_mapped_and_only_the_rows_named_are_read(tmp_path: Path) -> None:
    """The file is sparse and larger than the memory of most machines."""
    count, dims = 1 << 28, 128
    path = tmp_path / "vectors.f32"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(count * dims * 4)
    rows = np.array([[5, count // 2, count - 1]])
    writable = np.memmap(path, np.float32, "r+", shape=(count, dims))
    writable[rows[0]] = np.arange(3, dtype=np.float32)[:, None]
    writable.flush()
    query = np.ones((1, dims), np.float32)
    for vectors in (writable, np.memmap(path, np.float32, "r", shape=(count, dims))):
        scores, ids = hashcore.rescore(query, shortlist(rows), vectors, 3)
        assert ids.tolist() == [rows[0, ::-1].tolist()]
        assert scores.tolist() == [[2 * dims, dims, 0]]
    assert path.stat().st_blocks * 512 < 1 << 20


@EVERY_KIND
def test_torch_tensors_are_scored_like_arrays(metric: Metric, query_dtype: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    vectors = random_rows(rng, 20, 33, dtype)
    queries = random_rows(rng, 2, 33, query_dtype)
    ids = random_shortlist(rng, 2, 10, 20)
    tensors = torch.from_numpy(queries), torch.from_numpy(vectors)
    same_bytes(
        hashcore.rescore(tensors[0], shortlist(ids), tensors[1], 4, metric=metric),
        hashcore.rescore(queries, shortlist(ids), vectors, 4, metric=metric),
    )


def test_rows_that_are_not_named_may_hold_nan() -> None:
    vectors = np.full((4, 3), np.nan, np.float32)
    vectors[1] = 1
    query = np.ones(3, np.float32)
    assert hashcore.rescore(query, shortlist(np.array([1])), vectors, 1)[0] == 3


VECTORS = np.ones((5, 8), np.float32)
QUERIES = np.ones((2, 8), np.float32)
CODES = np.full((5, 1), 0xF0, np.uint8)
RESULT = shortlist(np.zeros((2, 3), np.int64))


def with_value(value: float, row: int = 0, dtype: str = "float32") -> NDArray[Any]:
    vectors = np.ones((5, 8), dtype)
    vectors[row, -1] = value
    return vectors


@pytest.mark.parametrize("metric", NUMERIC)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_row_that_is_not_finite_is_named(
    isa_level: str, metric: Metric, value: float, dtype: str
) -> None:
    vectors = with_value(value, 4, dtype)
    result = shortlist(np.array([[0, 1], [2, 4]]))
    message = "vectors: row 4 holds NaN or infinity; expected finite values"
    for queries in (QUERIES, np.zeros_like(QUERIES)):
        with pytest.raises(ValueError, match=message):
            hashcore.rescore(queries, result, vectors, 1, metric=metric)


CASES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "queries are float64": (
        {"queries": QUERIES.astype(np.float64)},
        TypeError,
        r"queries: expected float32 or int8 \[Q, D\]; got float64 \[2, 8\]\. .*astype\(numpy",
    ),
    "queries are a list": ({"queries": [[1.0]]}, TypeError, "queries: .*got list"),
    "queries of three axes": ({"queries": QUERIES[None]}, ValueError, r"got float32 \[1, 2, 8\]"),
    "queries with strides": (
        {"queries": np.ones((2, 16), np.float32)[:, ::2]},
        ValueError,
        r"queries: .*C-contiguous.*ascontiguousarray",
    ),
    "queries without columns": (
        {"queries": QUERIES[:, :0]},
        ValueError,
        r"with D in 1\.\.65536; got float32 \[2, 0\]",
    ),
    "queries too wide": (
        {"queries": np.ones((2, 65_537), np.float32)},
        ValueError,
        r"with D in 1\.\.65536; got float32 \[2, 65537\]",
    ),
    "int8 queries of floats": (
        {"queries": QUERIES.astype(np.int8)},
        TypeError,
        r"vectors: expected int8 \[N, 8\]; got float32 \[5, 8\]\. .*must be float32",
    ),
    "int8 queries of codes": (
        {"queries": QUERIES.astype(np.int8), "vectors": CODES, "metric": "asymmetric"},
        TypeError,
        r"queries: expected float32 \[Q, D\]; got int8",
    ),
    "a query with NaN": (
        {"queries": np.concatenate([QUERIES[:1], with_value(math.nan)[:1]])},
        ValueError,
        "queries: row 1 holds NaN or infinity; expected finite values",
    ),
    "a query with infinity and no shortlist": (
        {"queries": with_value(math.inf)[:2], "result": shortlist(np.full((2, 3), -1))},
        ValueError,
        "queries: row 0 holds NaN or infinity",
    ),
    "vectors are float64": (
        {"vectors": VECTORS.astype(np.float64)},
        TypeError,
        r"vectors: expected float32, float16 or int8 \[N, 8\]; got float64 \[5, 8\]\. "
        r"Packed codes: use metric='asymmetric'\. Other floats: use \.astype\(numpy\.float32\)",
    ),
    "vectors are codes": ({"vectors": CODES}, TypeError, r"uint8 \[5, 1\].*metric='asymmetric'"),
    "vectors are a list": ({"vectors": [[1.0] * 8]}, TypeError, "vectors: .*got list"),
    "vectors of one axis": ({"vectors": VECTORS[0]}, ValueError, r"vectors: .*got float32 \[8\]"),
    "vectors of another width": (
        {"vectors": VECTORS[:, :7].copy()},
        ValueError,
        r"vectors: expected float32, float16 or int8 \[N, 8\]; got float32 \[5, 7\]",
    ),
    "vectors with strides": ({"vectors": VECTORS[::2]}, ValueError, "vectors: .*ascontiguousarray"),
    "vectors of another byte order": (
        {"vectors": VECTORS.astype(">f4")},
        ValueError,
        "vectors: .*native byte order",
    ),
    "codes are floats": (
        {"metric": "asymmetric"},
        TypeError,
        r"vectors: expected uint8 \[N, 1\]; got float32 \[5, 8\]\. Floats: use hashcore\.pack",
    ),
    "codes of another width": (
        {"vectors": np.zeros((5, 2), np.uint8), "metric": "asymmetric"},
        ValueError,
        r"vectors: expected uint8 \[N, 1\]; got uint8 \[5, 2\]",
    ),
    "codes with pad bits set": (
        {"queries": QUERIES[:, :3].copy(), "vectors": CODES, "metric": "asymmetric"},
        ValueError,
        "vectors: row 0 has bits set past bit 2; the pad bits .* must be zero",
    ),
    "result is a tuple": ({"result": (1, 2)}, TypeError, "result: expected a SearchResult.*tuple"),
    "result of a range search": (
        {"result": hashcore.range_search(CODES, CODES, 8)},
        TypeError,
        "result: expected a SearchResult, .*; got RangeResult",
    ),
    "ids are int32": (
        {"result": shortlist(np.zeros((2, 3), np.int32))},
        TypeError,
        r"result: expected int64 ids \[2, S\]; got int32 \[2, 3\]",
    ),
    "ids of too many queries": (
        {"result": shortlist(np.zeros((3, 3), np.int64))},
        ValueError,
        r"result: expected int64 ids \[2, S\], the shape .*; got int64 \[3, 3\]",
    ),
    "ids of one query for many": (
        {"result": shortlist(np.zeros(3, np.int64))},
        ValueError,
        r"result: expected int64 ids \[2, S\], .*got int64 \[3\]",
    ),
    "ids of many queries for one": (
        {"queries": QUERIES[0]},
        ValueError,
        r"result: expected int64 ids \[S\], .*got int64 \[2, 3\]",
    ),
    "ids past the end": (
        {"result": shortlist(np.array([[0, 1], [5, 0]]))},
        ValueError,
        "result: expected ids below 5, the rows of vectors, or -1; got 5 for query 1. Map ids",
    ),
    "ids below -1": (
        {"result": shortlist(np.array([[0], [-2]]))},
        ValueError,
        "got -2 for query 1",
    ),
    "k negative": ({"k": -1}, ValueError, "k: expected >= 0; got -1"),
    "k float": ({"k": 1.0}, TypeError, "k: expected an integer; got float"),
    "metric unknown": (
        {"metric": "dot"},
        ValueError,
        "metric: expected 'ip', 'cosine', 'l2' or 'asymmetric'; got 'dot'",
    ),
    "metric none": ({"metric": None}, ValueError, "metric: expected .*; got None"),
    "threads zero": ({"threads": 0}, ValueError, r"threads: expected 1\.\.4096; got 0"),
    "a score too large": (
        {"vectors": with_value(3e38), "queries": with_value(3e38)[:2]},
        ValueError,
        "queries: row 0 with row 0 of vectors: the score leaves float32's range",
    ),
    "a query too long": (
        {"queries": with_value(3e38)[:2], "metric": "cosine"},
        ValueError,
        "queries: row 0 has a length outside 1e-19..1e19",
    ),
    "a vector too long": (
        {"vectors": with_value(1e30), "metric": "cosine"},
        ValueError,
        "vectors: row 0 has a length outside",
    ),
    "a vector too short": (
        {"vectors": VECTORS * np.float32(1e-30), "metric": "cosine"},
        ValueError,
        "vectors: row 0 has a length outside .*Normalise",
    ),
}


@pytest.mark.parametrize(("change", "error", "message"), CASES.values(), ids=CASES.keys())
def test_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    call: dict[str, Any] = {"queries": QUERIES, "result": RESULT, "vectors": VECTORS, "k": 1}
    with pytest.raises(error, match=message):
        hashcore.rescore(**(call | change))
