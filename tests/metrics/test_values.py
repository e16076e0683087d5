from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

import hashcore
import reference
from hashcore import metrics
from metrics import reference_metrics as truth


def assert_close(got: ArrayLike, expected: ArrayLike) -> None:
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def check_cutoff(report: metrics.Report, t: truth.Truth, cut: int) -> None:
    for name in "ABC":
        expected = t.mean_by_id(functools.partial(truth.average_precision_at, cut, name))
        assert_close(report.map_at[cut][name], expected)
    for got, expected in (
        (report.map_at[cut]["C_tie_aware"], t.mean_tied(lambda b: truth.expected_ap(b, cut))),
        (report.precision_at[cut], t.mean_tied(lambda b: truth.expected_precision_at(b, cut))),
        (report.precision_at_by_id[cut], t.mean_by_id(lambda r: truth.precision_at(r, cut))),
        (report.ndcg_at[cut], t.mean_tied(lambda b: truth.expected_ndcg_at(b, cut, 0.25))),
        (report.ndcg_at_by_id[cut], t.mean_by_id(lambda r: truth.ndcg_at(r, cut, 0.25))),
    ):
        assert_close(got, expected)


def check_everything(
    query_codes: NDArray[np.uint8],
    database_codes: NDArray[np.uint8],
    query_labels: NDArray[Any],
    database_labels: NDArray[Any],
    bits: int,
) -> None:
    n = len(database_codes)
    cutoffs = sorted({1, 2, 5, max(1, n // 2), max(1, n), n + 3})
    report = metrics.evaluate(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        bits=bits,
        topn=cutoffs,
        ndcg_at=cutoffs,
        map_at=cutoffs,
        protocol=metrics.Protocol(ndcg_no_relevant=0.25),
    )
    t = truth.Truth(query_codes, database_codes, query_labels, database_labels, bits)
    assert_close(report.map_tie_aware, t.mean_tied(truth.expected_ap))
    assert_close(report.map_by_id, t.mean_by_id(truth.average_precision))
    assert_close(report.chance, t.chance())
    for cut in cutoffs:
        check_cutoff(report, t, cut)
    for curve, (recall, precision) in ((report.pr_micro, t.micro()), (report.pr_macro, t.macro())):
        assert_close(curve.recall, recall)
        assert_close(curve.precision, precision)
    counts = metrics.relevance_counts(
        query_codes, database_codes, query_labels, database_labels, bits=bits
    )
    np.testing.assert_array_equal(counts, t.counts())
    assert report.per_query is not None
    np.testing.assert_array_equal(report.per_query.relevant, (t.grades > 0).sum(axis=1))
    assert report.queries_without_relevant == int((~(t.grades > 0).any(axis=1)).sum())
    assert (report.queries, report.database, report.bits) == (len(query_codes), n, bits)


def multi_hot(rng: np.random.Generator, count: int, classes: int, share: float) -> NDArray[Any]:
    return rng.random((count, classes)) < share


@pytest.mark.parametrize("bits", [1, 7, 8, 63, 64, 65, 128, 300])
@pytest.mark.parametrize("count", [0, 1, 2, 63, 65, 200])
def test_everything_against_the_truth(bits: int, count: int) -> None:
    rng = np.random.default_rng(bits * 1000 + count)
    queries = reference.random_codes(rng, 9, bits)
    codes = reference.random_codes(rng, count, bits)
    check_everything(
        queries, codes, rng.integers(-2, 3, 9) * 10**18, rng.integers(-2, 3, count) * 10**18, bits
    )
    labels = multi_hot(rng, 9 + count, 70, 0.04)
    check_everything(queries, codes, labels[:9], labels[9:], bits)
    labels = multi_hot(rng, 9 + count, 5, 0.6)
    check_everything(queries, codes, labels[:9].astype(np.uint8), labels[9:], bits)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.integers(1, 20),
    queries=st.integers(1, 12),
    count=st.integers(0, 60),
    classes=st.integers(1, 9),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_drawn_cases_against_the_truth(
    seed: int, bits: int, queries: int, count: int, classes: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    codes = reference.random_codes(rng, queries + count, bits)
    labels = multi_hot(rng, queries + count, classes, share)
    check_everything(codes[:queries], codes[queries:], labels[:queries], labels[queries:], bits)


@pytest.mark.parametrize("seed", range(12))
def test_tie_aware_is_the_mean_over_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.packbits(rng.random((8, 2)) < 0.5, axis=1)
    labels = multi_hot(rng, 8, 3, 0.4)
    report = metrics.evaluate(
        codes[:1], codes[1:], labels[:1], labels[1:], bits=2, topn=(3,), ndcg_at=(3, 7), map_at=(3,)
    )
    t = truth.Truth(codes[:1], codes[1:], labels[:1], labels[1:], 2)
    blocks = t.blocks[0]
    for got, metric in (
        (report.map_tie_aware, truth.average_precision),
        (report.map_at[3]["C_tie_aware"], lambda r: truth.average_precision_at(3, "C", r)),
        (report.precision_at[3], lambda r: truth.precision_at(r, 3)),
        (report.ndcg_at[3], lambda r: truth.ndcg_at(r, 3)),
        (report.ndcg_at[7], lambda r: truth.ndcg_at(r, 7)),
    ):
        assert_close(got, truth.mean_over_orders(blocks, metric))
    assert_close(
        report.chance,
        truth.mean_over_orders([[g for b in blocks for g in b]], truth.average_precision),
    )


def test_hand_computed_case() -> None:
    """Distances 0 1 1 2, relevant: one of the tied pair (the later row) and the last."""
    query = np.array([[0b00000000]], np.uint8)
    codes = np.array([[0b11000000], [0b10000000], [0b00000000], [0b01000000]], np.uint8)
    labels = np.array([1, 0, 0, 1])
    report = metrics.evaluate(
        query, codes, np.array([1]), labels, topn=(2, 3), ndcg_at=(2,), map_at=(1, 2, 3)
    )
    by_id = (1 / 3 + 2 / 4) / 2
    other = (1 / 2 + 2 / 4) / 2
    assert report.map_by_id == pytest.approx(by_id, rel=1e-15)
    assert report.map_tie_aware == pytest.approx((by_id + other) / 2, rel=1e-15)
    assert report.map_at[1] == {"A": 0.0, "B": pytest.approx(1 / 3), "C": 0.0, "C_tie_aware": 0.0}
    assert report.map_at[3]["A"] == pytest.approx(1 / 3)
    assert report.map_at[3]["B"] == pytest.approx(by_id)
    assert report.map_at[3]["C"] == pytest.approx(1 / 6)
    assert report.map_at[2]["C_tie_aware"] == pytest.approx((1 / 2) / 2 / 2)
    assert report.precision_at == {2: 0.25, 3: pytest.approx(1 / 3)}
    assert report.precision_at_by_id[2] == 0.0
    ideal = 1 + 1 / math.log2(3)
    assert report.ndcg_at[2] == pytest.approx(0.5 / math.log2(3) / ideal)
    assert report.pr_micro.precision[:3].tolist() == [0.0, pytest.approx(1 / 3), 0.5]
    assert report.pr_micro.recall[:3].tolist() == [0.0, 0.5, 1.0]


def test_without_ties_both_orders_agree() -> None:
    codes = np.packbits(np.tri(65, 64, -1, dtype=bool), axis=1)  # distance to row 0 is the row
    order = np.random.default_rng(3).permutation(65)
    labels = np.random.default_rng(4).integers(0, 3, 65)
    report = metrics.evaluate(codes[:1], codes[order], labels[:1], labels[order])
    assert_close(report.map_tie_aware, report.map_by_id)
    assert_close(report.ndcg_at[10], report.ndcg_at_by_id[10])
    assert_close(report.map_at[50]["C_tie_aware"], report.map_at[50]["C"])


def test_all_tied_is_chance() -> None:
    rng = np.random.default_rng(0)
    codes = np.zeros((300, 2), np.uint8)
    labels = rng.integers(0, 7, 300)
    report = metrics.evaluate(codes[:40], codes, labels[:40], labels)
    assert report.map_tie_aware == report.chance


def test_a_late_small_block_keeps_its_precision() -> None:
    """One tied pair behind 200,000 irrelevant codes: the closed form cancels ten digits there."""
    codes = np.zeros((200_002, 1), np.uint8)
    codes[-2:] = 1
    labels = np.zeros(200_002, np.int64)
    labels[-2:] = 1
    report = metrics.evaluate(
        codes[:1], codes, np.array([1]), labels, ndcg_at=(200_002,), map_at=(200_001,)
    )
    n = 200_000
    precisions = 1 / (n + 1) + 2 / (n + 2)
    assert report.map_tie_aware == pytest.approx(precisions / 2, rel=1e-14)
    assert report.map_at[200_001]["C_tie_aware"] == pytest.approx(1 / (n + 1) / 2, rel=1e-14)
    gains = (1 / math.log2(n + 2) + 1 / math.log2(n + 3)) / (1 + 1 / math.log2(3))
    assert report.ndcg_at[200_002] == pytest.approx(gains, rel=1e-14)


def test_widest_grades() -> None:
    rng = np.random.default_rng(5)
    codes = reference.random_codes(rng, 20, 16)
    labels = np.ones((20, 1000), np.bool_)
    labels[3:, :10] = False
    report = metrics.evaluate(codes[:2], codes, labels[:2], labels, ndcg_at=(5,))
    t = truth.Truth(codes[:2], codes, labels[:2], labels, 16)
    assert_close(report.ndcg_at[5], t.mean_tied(lambda b: truth.expected_ndcg_at(b, 5)))


@pytest.mark.parametrize("kind", ["ids", "sets", "wide sets"])
def test_one_answer_at_every_level_and_thread_count(kind: str) -> None:
    rng = np.random.default_rng(11)
    queries, count, bits = 300, 3000, 72
    codes = reference.random_codes(rng, queries + count, bits)
    labels = {
        "ids": rng.integers(0, 9, queries + count),
        "sets": multi_hot(rng, queries + count, 24, 0.1),
        "wide sets": multi_hot(rng, queries + count, 200, 0.03),
    }[kind]
    arguments = (codes[:queries], codes[queries:], labels[:queries], labels[queries:])
    documents = set()
    try:
        for level in hashcore.isa_levels():
            hashcore._core.force_isa(level)
            for threads in (1, 2, 3, 4):
                report = metrics.evaluate(*arguments, threads=threads)
                documents.add(report.to_json(per_query=True))
    finally:
        hashcore._core.force_isa("")
    assert len(documents) == 1


def test_one_answer_for_any_order_of_the_queries() -> None:
    rng = np.random.default_rng(12)
    codes = reference.random_codes(rng, 250, 32)
    labels = rng.integers(0, 5, 250)
    order = rng.permutation(100)
    a = metrics.evaluate(codes[:100], codes[100:], labels[:100], labels[100:])
    b = metrics.evaluate(codes[order], codes[100:], labels[order], labels[100:])
    assert a.map_tie_aware == b.map_tie_aware
    assert a.ndcg_at_by_id == b.ndcg_at_by_id
    np.testing.assert_array_equal(a.pr_micro.precision, b.pr_micro.precision)
