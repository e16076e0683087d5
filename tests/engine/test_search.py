from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hashcore
import reference


@pytest.mark.parametrize("bits", reference.BITS)
def test_grid_against_numpy(isa_level: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    queries = reference.random_codes(rng, 5, bits)
    for count in reference.COUNTS:
        codes = np.concatenate([queries[:1], reference.random_codes(rng, count, bits)])[:count]
        index = hashcore.Index(bits, kind="flat")
        index.add(codes[: count // 3])
        index.add(codes[count // 3 :])
        for k in (1, 10, count, count + 5):
            expected = reference.knn(codes, queries, k, bits)
            for threads in (1, 2, 3):
                result = index.search(queries, k, threads=threads)
                for got, truth in zip((*result, result.counts), expected, strict=True):
                    np.testing.assert_array_equal(got, truth)
        for radius in (0, bits // 3, bits // 2, bits, bits + 9):
            expected_rows = reference.range_search(codes, queries, radius)
            for got, truth in zip(index.range_search(queries, radius), expected_rows, strict=True):
                np.testing.assert_array_equal(got, truth)


@pytest.mark.parametrize("byte_count", [1, 3, 8, 9, 16, 24, 32, 64, 100, 128, 300])
def test_row_major_calls_against_numpy(isa_level: str, byte_count: int) -> None:
    rng = np.random.default_rng(byte_count)
    bits = byte_count * 8
    codes = reference.random_codes(rng, 333, bits)
    queries = reference.random_codes(rng, 7, bits)
    np.testing.assert_array_equal(
        hashcore.pairwise(queries, codes), reference.pairwise(queries, codes)
    )
    np.testing.assert_array_equal(
        hashcore.distance_histogram(codes, queries, threads=2),
        reference.distance_histogram(codes, queries, bits),
    )
    for k in (1, 20, 333):
        result = hashcore.knn(codes, queries, k, max_distance=bits // 3, threads=2)
        expected = reference.knn(codes, queries, k, bits, max_distance=bits // 3)
        for got, truth in zip((*result, result.counts), expected, strict=True):
            np.testing.assert_array_equal(got, truth)
    rows = hashcore.range_search(codes, queries, bits // 2, max_results=11)
    expected_rows = reference.range_search(codes, queries, bits // 2, max_results=11)
    for got, truth in zip(rows, expected_rows, strict=True):
        np.testing.assert_array_equal(got, truth)


@pytest.mark.parametrize("bits", [2048, 8191, 65536])
def test_very_wide_codes(isa_level: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    codes = reference.random_codes(rng, 40, bits)
    codes[7] = np.packbits(np.arange((bits + 7) // 8 * 8) < bits)
    queries = np.concatenate([codes[:2], ~codes[7:8] & codes[7:8]])
    index = hashcore.Index(bits)
    index.add(codes)
    for got, truth in zip(
        index.search(queries, 40), reference.knn(codes, queries, 40, bits)[:2], strict=True
    ):
        np.testing.assert_array_equal(got, truth)
    assert index.search(queries[2], 40).distances.max() == bits


@st.composite
def search_cases(draw: st.DrawFn) -> dict[str, Any]:
    bits = draw(st.integers(1, 300))
    return {
        "bits": bits,
        "count": draw(st.integers(0, 400)),
        "queries": draw(st.integers(0, 9) | st.integers(20, 60)),
        "k": draw(st.integers(0, 450)),
        "max_distance": draw(st.none() | st.integers(0, bits + 2)),
        "threads": draw(st.integers(1, 4)),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "level": draw(st.sampled_from(hashcore.isa_levels())),
        "distinct": draw(st.integers(1, 50)),
    }


@given(search_cases())
def test_any_case_against_numpy(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    bits = case["bits"]
    few = reference.random_codes(rng, case["distinct"], bits)
    codes = few[rng.integers(0, len(few), case["count"])]
    queries = reference.random_codes(rng, case["queries"], bits)
    index = hashcore.Index(bits, threads=case["threads"])
    index.add(codes)
    hashcore._core.force_isa(case["level"])
    try:
        result = index.search(queries, case["k"], max_distance=case["max_distance"])
    finally:
        hashcore._core.force_isa("")
    expected = reference.knn(codes, queries, case["k"], bits, max_distance=case["max_distance"])
    for got, truth in zip((*result, result.counts), expected, strict=True):
        np.testing.assert_array_equal(got, truth)


def big_case() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (200_000, 8), np.uint8), rng.integers(0, 256, (90, 8), np.uint8)


def test_many_tiles_ranges_and_threads_agree(isa_level: str) -> None:
    codes, queries = big_case()
    index = hashcore.Index(64)
    index.add(codes)
    distances = reference.pairwise(queries[:3], codes)
    for k in (1, 100, 5_000):
        one = index.search(queries, k, threads=1)
        for q in range(3):
            order = np.argsort(distances[q], kind="stable")[:k]
            np.testing.assert_array_equal(one.ids[q], order)
        for threads in (2, 3, 8):
            many = index.search(queries, k, threads=threads)
            assert many.ids.tobytes() == one.ids.tobytes()
            assert many.distances.tobytes() == one.distances.tobytes()
            few = index.search(queries[:2], k, threads=threads)
            assert few.ids.tobytes() == one.ids[:2].tobytes()
        row_major = hashcore.knn(codes, queries, k, threads=2)
        assert row_major.ids.tobytes() == one.ids.tobytes()
    histogram = hashcore.distance_histogram(codes, queries, threads=2)
    assert (histogram.sum(axis=1) == len(codes)).all()
    for q in range(3):
        np.testing.assert_array_equal(histogram[q], np.bincount(distances[q], minlength=65))


def test_all_codes_equal_gives_the_lowest_ids() -> None:
    codes = np.full((70_000, 8), 170, np.uint8)
    result = hashcore.knn(codes, codes[:3], 1_000, threads=2)
    assert (result.ids == np.arange(1_000)).all()
    assert (result.distances == 0).all()


def test_descending_distances_are_the_worst_order() -> None:
    # Every code beats the ones before it, so the selection never settles.
    bits = 4096
    lengths = np.arange(bits, -1, -1)
    codes = np.packbits(np.arange(bits) < lengths[:, None], axis=1)
    query = np.zeros(bits // 8, np.uint8)
    distances, ids = hashcore.knn(codes, query, 37)
    assert distances.tolist() == list(range(37))
    assert ids.tolist() == [bits - d for d in range(37)]


def test_a_sample_that_misleads_costs_time_not_hits(isa_level: str) -> None:
    """Near codes stand exactly where a sample of evenly spread blocks looks, and nowhere else."""
    count = 32_768
    codes = np.full((count, 8), 255, np.uint8)
    sampled = np.arange(count) % 256 < 8
    codes[sampled] = 0
    queries = np.zeros((3, 8), np.uint8)
    for k in (600, 1024, 1025, 8_000):
        result = hashcore.knn(codes, queries, k, threads=1)
        expected = np.concatenate([np.flatnonzero(sampled), np.flatnonzero(~sampled)])[:k]
        for row in result.ids:
            np.testing.assert_array_equal(row, expected)


def test_shapes_and_dtypes_of_results() -> None:
    codes = np.zeros((5, 8), np.uint8)
    result = hashcore.knn(codes, codes[0], 7)
    assert result.distances.shape == result.ids.shape == (7,)
    assert result.distances.dtype == np.int32
    assert result.ids.dtype == np.int64
    assert result.counts == 5
    assert result.ids.tolist() == [0, 1, 2, 3, 4, -1, -1]
    assert result.distances.tolist() == [0] * 5 + [65, 65]
    assert hashcore.knn(codes, codes, 0).ids.shape == (5, 0)
    assert hashcore.knn(codes, codes[:0], 3).ids.shape == (0, 3)
    assert hashcore.knn(codes[:0], codes, 3).ids.tolist() == [[-1] * 3] * 5
    rows = hashcore.range_search(codes, codes[:2], 0)
    assert len(rows) == 2
    assert rows.lims.tolist() == [0, 5, 10]
    assert rows.row(1)[1].tolist() == [0, 1, 2, 3, 4]
    assert hashcore.range_search(codes, codes[:0], 0).lims.tolist() == [0]
    assert hashcore.range_search(codes, codes[0], 0, max_results=0).lims.tolist() == [0, 0]
    assert hashcore.pairwise(codes[:0], codes).shape == (0, 5)
    assert hashcore.distance_histogram(codes[:0], codes[:2]).tolist() == [[0] * 65] * 2


def test_torch_tensors_search_like_arrays() -> None:
    torch = pytest.importorskip("torch")
    codes = reference.random_codes(np.random.default_rng(0), 50, 64)
    result = hashcore.knn(torch.from_numpy(codes), torch.from_numpy(codes[:4]), 5)
    np.testing.assert_array_equal(result.ids, hashcore.knn(codes, codes[:4], 5).ids)


def test_radius_is_inclusive() -> None:
    codes = np.array([[0b0000_0000], [0b0000_0001], [0b0000_0011]], np.uint8)
    query = np.zeros(1, np.uint8)
    assert hashcore.range_search(codes, query, 1).ids.tolist() == [0, 1]
    assert hashcore.knn(codes, query, 3, max_distance=1).ids.tolist() == [0, 1, -1]


GOOD = np.zeros((3, 8), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: hashcore.knn(GOOD, np.zeros((10, 64), np.float32), 1),
            TypeError,
            r"queries: expected uint8 \[Q, 8\], C-contiguous; got float32 \[10, 64\]\. "
            r"Floats: use hashcore\.pack\(\); int8 from an embedding API: use hashcore\.convert",
        ),
        (lambda: hashcore.knn(GOOD, GOOD.view(np.int8), 1), TypeError, r"int8 \[3, 8\].*convert"),
        (lambda: hashcore.knn(GOOD.astype(np.uint16), GOOD, 1), TypeError, "database: .*uint16"),
        (
            lambda: hashcore.knn(GOOD, GOOD[:, :4].copy(), 1),
            ValueError,
            r"queries: .*got uint8 \[3, 4",
        ),
        (lambda: hashcore.knn(GOOD, GOOD[:, ::2], 1), ValueError, r"queries: .*got uint8 \[3, 4\]"),
        (
            lambda: hashcore.knn(GOOD[:, ::2], GOOD[:, :4].copy(), 1),
            ValueError,
            "ascontiguousarray",
        ),
        (lambda: hashcore.knn(GOOD[:, :0], GOOD, 1), ValueError, r"1\.\.8192 bytes"),
        (lambda: hashcore.knn(GOOD, GOOD[None], 1), ValueError, r"got uint8 \[1, 3, 8\]"),
        (lambda: hashcore.knn(GOOD, "x", 1), TypeError, "queries: .*got str"),  # type: ignore[arg-type]
        (lambda: hashcore.knn(GOOD[0], GOOD, 1), ValueError, r"database: .*got uint8 \[8\]"),
        (lambda: hashcore.knn(GOOD, np.ma.masked_array(GOOD), 1), TypeError, "MaskedArray"),
        (lambda: hashcore.knn(GOOD, GOOD, -1), ValueError, "k: expected >= 0; got -1"),
        (lambda: hashcore.knn(GOOD, GOOD, 2**80), ValueError, "k: expected >= 0; got 1208925"),
        (lambda: hashcore.knn(GOOD, GOOD, 1.5), TypeError, "k: expected an integer; got float"),  # type: ignore[arg-type]
        (
            lambda: hashcore.knn(GOOD, GOOD, 1, max_distance=-1),
            ValueError,
            "max_distance: expected",
        ),
        (
            lambda: hashcore.knn(GOOD, GOOD, 1, threads=0),
            ValueError,
            r"threads: expected 1\.\.4096",
        ),
        (lambda: hashcore.knn(GOOD, GOOD, 1, metric="l2"), TypeError, "metric"),  # type: ignore[call-arg]
        (lambda: hashcore.range_search(GOOD, GOOD, -1), ValueError, "radius: expected >= 0"),
        (lambda: hashcore.range_search(GOOD, GOOD, 1, max_results=-1), ValueError, "max_results"),
        (lambda: hashcore.pairwise(GOOD, GOOD.astype(bool)), TypeError, r"b: .*got bool \[3, 8\]"),
        (lambda: hashcore.distance_histogram(GOOD, [[0] * 8]), TypeError, "queries: .*got list"),  # type: ignore[arg-type]
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
