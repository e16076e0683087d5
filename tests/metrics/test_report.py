from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import reference
from hashcore import metrics


@pytest.fixture
def report() -> metrics.Report:
    rng = np.random.default_rng(1)
    codes = reference.random_codes(rng, 70, 12)
    labels = rng.random((70, 6)) < 0.2
    labels[0] = False
    return metrics.evaluate(
        codes[:20],
        codes[20:],
        labels[:20],
        labels[20:],
        bits=12,
        protocol=metrics.Protocol("unseen", "I->T", note="seed 1"),
    )


def test_table_has_every_number_and_the_protocol(report: metrics.Report) -> None:
    text = str(report)
    for part in (
        "20 queries, 50 codes of 12 bits, 6 classes, multi-label",
        "unseen database, I->T, ties expected, mAP@K by C",
        "no relevant: AP 0, NDCG 0",
        "seed 1",
        f"{report.map_tie_aware:.4f}",
        f"{report.map_by_id:.4f}",
        f"{report.chance:.4f}",
        "mAP@50 (C)",
        "P@100",
        "NDCG@10",
    ):
        assert part in text
    table = text.splitlines()[3:]
    assert len({len(line) for line in table}) == 1


def test_the_tie_rule_names_the_headline(report: metrics.Report) -> None:
    assert report.map == report.map_tie_aware
    by_id = dataclasses.replace(report, protocol=metrics.Protocol(ties="by_id"))
    assert by_id.map == report.map_by_id != report.map_tie_aware


def test_the_definition_names_the_printed_map_at(report: metrics.Report) -> None:
    for name in ("A", "B"):
        protocol = dataclasses.replace(report.protocol, map_at_definition=name)
        line = next(
            line
            for line in str(dataclasses.replace(report, protocol=protocol)).splitlines()
            if line.startswith(f"mAP@50 ({name})")
        )
        assert line.split()[-2:] == ["-", f"{report.map_at[50][name]:.4f}"]


@pytest.mark.parametrize("per_query", [False, True])
def test_json_round_trip(report: metrics.Report, per_query: bool) -> None:
    text = report.to_json(per_query=per_query)
    again = metrics.Report.from_json(text)
    assert again.to_json(per_query=per_query) == text
    assert again.protocol == report.protocol
    assert again.map_at == report.map_at
    np.testing.assert_array_equal(again.pr_micro.precision, report.pr_micro.precision)
    assert (again.per_query is not None) == per_query
    assert str(again) == str(report)
    document = json.loads(text)
    assert document["protocol"]["database"] == "unseen"
    assert document["map_tie_aware"] == report.map_tie_aware


def test_a_radius_that_retrieves_nothing_has_no_precision() -> None:
    codes = np.array([[0x00], [0xFF]], np.uint8)
    report = metrics.evaluate(codes[:1], codes[1:], np.array([1]), np.array([1]))
    assert [math.isnan(p) for p in report.pr_micro.precision] == [True] * 8 + [False]
    assert report.pr_macro.precision.tolist() == [0.0] * 8 + [1.0]
    assert json.loads(report.to_json())["pr_micro"]["precision"][0] is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "hashcore metrics 1"}', "null"])
def test_foreign_documents_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="text: expected"):
        metrics.Report.from_json(text)


def test_empty_database() -> None:
    codes = np.zeros((2, 8), np.uint8)
    report = metrics.evaluate(codes, codes[:0], np.array([1, 2]), np.empty(0, np.int64))
    assert (report.map_tie_aware, report.chance, report.precision_at[1]) == (0.0, 0.0, 0.0)
    assert (report.queries_without_relevant, report.database) == (2, 0)
    assert np.isnan(report.pr_micro.precision).all()
    assert not report.pr_macro.recall.any()
    assert metrics.Report.from_json(report.to_json()).database == 0


def test_one_query_as_a_single_row() -> None:
    codes = np.zeros((2, 8), np.uint8)
    report = metrics.evaluate(codes[0], codes, np.array([1]), np.array([1, 2]))
    assert report.queries == 1


def test_repeated_cutoffs_and_numpy_integers() -> None:
    codes = np.zeros((2, 8), np.uint8)
    ids = np.array([1, 2])
    report = metrics.evaluate(
        codes, codes, ids, ids, topn=np.array([5, 1, 5]), ndcg_at=[], map_at=()
    )
    assert list(report.precision_at) == [5, 1]
    assert report.precision_at[5] == 0.5  # of the two codes that there are


def test_progress_ends_at_its_total() -> None:
    calls: list[tuple[int, int]] = []
    codes = np.zeros((50, 8), np.uint8)
    ids = np.zeros(50, np.int64)
    metrics.evaluate(
        codes, codes, ids, ids, progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (50 * 50, 50 * 50)


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    codes = reference.random_codes(rng, 30, 16)
    hot = rng.random((30, 4)) < 0.4
    ids = rng.integers(0, 4, 30)
    for labels in (hot, hot.astype(np.uint8), ids):
        arrays = (codes[:5], codes[5:], labels[:5], labels[5:])
        expected = metrics.evaluate(*arrays).to_dict()
        assert metrics.evaluate(*(torch.from_numpy(a) for a in arrays)).to_dict() == expected


def test_counts_of_no_queries() -> None:
    codes = np.zeros((3, 2), np.uint8)
    ids = np.zeros(3, np.int64)
    assert metrics.relevance_counts(codes[:0], codes, ids[:0], ids).shape == (0, 17, 2)
