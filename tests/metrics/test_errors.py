"""One line of the error contract a case."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from hashcore import metrics

CODES = np.zeros((3, 2), np.uint8)
QUERIES = np.zeros((2, 2), np.uint8)
IDS = np.array([1, 2, 3])
HOT = np.eye(3, 4, dtype=np.bool_)
GOOD: dict[str, Any] = {
    "query_codes": QUERIES,
    "database_codes": CODES,
    "query_labels": IDS[:2],
    "database_labels": IDS,
}
SETS = GOOD | {"query_labels": HOT[:2], "database_labels": HOT}
MANY = np.ones((3, 1200), np.bool_)
PADDED = np.ones((2, 2), np.uint8)

CASES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "codes are floats": (
        GOOD | {"query_codes": QUERIES.astype(np.float32)},
        TypeError,
        r"query_codes: expected uint8 \[Q, bytes\], C-contiguous; got float32 \[2, 2\]\. "
        r"Floats: use hashcore\.pack\(\)",
    ),
    "codes are a list": (GOOD | {"query_codes": [[0, 0]]}, TypeError, "query_codes: .* got list"),
    "codes of another width": (
        GOOD | {"database_codes": np.zeros((3, 3), np.uint8)},
        ValueError,
        r"database_codes: expected uint8 \[N, 2\], C-contiguous; got uint8 \[3, 3\]",
    ),
    "codes with strides": (
        GOOD | {"database_codes": np.zeros((6, 2), np.uint8)[::2]},
        ValueError,
        "database_codes: .*C-contiguous",
    ),
    "no queries": (
        GOOD | {"query_codes": QUERIES[:0], "query_labels": IDS[:0]},
        ValueError,
        r"query_codes: expected at least one query to average over; got uint8 \[0, 2\]",
    ),
    "bits do not fit the bytes": (
        GOOD | {"bits": 8},
        ValueError,
        r"query_codes: expected uint8 \[Q, 1\], C-contiguous; got uint8 \[2, 2\]",
    ),
    "pad bits set": (GOOD | {"query_codes": PADDED, "bits": 15}, ValueError, "row 0 has bits set"),
    "bits zero": (GOOD | {"bits": 0}, ValueError, r"bits: expected 1\.\.65536; got 0"),
    "bits float": (GOOD | {"bits": 16.0}, TypeError, "bits: expected an integer; got float"),
    "too few labels": (
        GOOD | {"query_labels": IDS},
        ValueError,
        "query_labels: expected 2 rows, one a code; got 3",
    ),
    "too few label sets": (
        SETS | {"database_labels": HOT[:1]},
        ValueError,
        "database_labels: expected 3 rows, one a code; got 1",
    ),
    "labels of two kinds": (
        GOOD | {"database_labels": HOT},
        ValueError,
        r"database_labels: expected class ids int64 \[N\], the kind of query_labels; "
        r"got bool \[3, 4\]",
    ),
    "labels of two kinds, turned": (
        SETS | {"database_labels": IDS},
        ValueError,
        r"database_labels: expected multi-hot .*the kind of query_labels; got int64 \[3\]",
    ),
    "labels of other classes": (
        SETS | {"database_labels": HOT[:, :3]},
        ValueError,
        r"database_labels: expected 4 classes, as query_labels; got bool \[3, 3\]",
    ),
    "no classes": (
        SETS | {"query_labels": HOT[:2, :0], "database_labels": HOT[:, :0]},
        ValueError,
        r"query_labels: .* with 1\.\.65536 classes; got bool \[2, 0\]",
    ),
    "ids are floats": (
        GOOD | {"query_labels": np.array([1.0, 2.0])},
        TypeError,
        r"query_labels: expected class ids int64 \[Q\] or multi-hot bool or uint8 \[Q, C\]; "
        r"got float64 \[2\]\.$",
    ),
    "ids are int32": (
        GOOD | {"query_labels": IDS[:2].astype(np.int32)},
        TypeError,
        r"got int32 \[2\]\. .*astype\(numpy\.int64\)",
    ),
    "ids are bytes": (
        GOOD | {"query_labels": IDS[:2].astype(np.uint8)},
        TypeError,
        r"got uint8 \[2\]\. .*astype\(numpy\.int64\)",
    ),
    "sets are floats": (
        SETS | {"query_labels": HOT[:2].astype(np.float32)},
        TypeError,
        r"got float32 \[2, 4\]\. .*astype\(bool\)",
    ),
    "sets count": (
        SETS | {"query_labels": HOT[:2].astype(np.uint8) * 2},
        ValueError,
        "query_labels: expected multi-hot 0 and 1; got the value 2",
    ),
    "labels are a list": (GOOD | {"query_labels": [1, 2]}, TypeError, "query_labels: .*got list"),
    "labels of three axes": (SETS | {"query_labels": HOT[None]}, TypeError, r"bool \[1, 3, 4\]"),
    "topn zero": (GOOD | {"topn": (0,)}, ValueError, r"topn: expected integers >= 1.*; got 0"),
    "topn negative": (GOOD | {"topn": (10, -1)}, ValueError, "topn: .*; got -1"),
    "topn one number": (GOOD | {"topn": 10}, TypeError, r"topn: .*such as \(10, 100\); got 10"),
    "topn text": (GOOD | {"topn": "10"}, TypeError, "topn: .*; got '10'"),
    "ndcg_at float": (GOOD | {"ndcg_at": (1.5,)}, TypeError, r"ndcg_at: .*; got 1\.5"),
    "map_at bool": (GOOD | {"map_at": (True,)}, TypeError, "map_at: .*; got True"),
    "map_at beyond int64": (GOOD | {"map_at": (2**64,)}, ValueError, "map_at: expected >= 1"),
    "threads zero": (GOOD | {"threads": 0}, ValueError, r"threads: expected 1\.\.4096; got 0"),
    "protocol text": (GOOD | {"protocol": "unseen"}, TypeError, "protocol: .*; got str"),
    "unknown argument": (GOOD | {"top_n": (1,)}, TypeError, "top_n"),
    "items share too many classes": (
        SETS
        | {"query_labels": np.ones((2, 1200), bool), "database_labels": np.ones((3, 1200), bool)},
        ValueError,
        "ndcg_at: expected items that share at most 1000 classes",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), CASES.values(), ids=CASES.keys())
def test_bad_input(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        metrics.evaluate(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"database": "train"}, ValueError),
        ({"ties": "optimistic"}, ValueError),
        ({"map_at_definition": "D"}, ValueError),
        ({"ndcg_no_relevant": -0.5}, ValueError),
        ({"ndcg_no_relevant": float("nan")}, ValueError),
        ({"ndcg_no_relevant": "0"}, TypeError),
        ({"direction": None}, TypeError),
    ],
)
def test_bad_protocol(arguments: dict[str, Any], error: type[Exception]) -> None:
    (name,) = arguments
    with pytest.raises(error, match=f"^{name}: expected"):
        metrics.Protocol(**arguments)


def test_counts_check_the_same_arguments() -> None:
    with pytest.raises(ValueError, match="database_labels: expected 3 rows"):
        metrics.relevance_counts(QUERIES, CODES, IDS[:2], IDS[:2])
    with pytest.raises(ValueError, match="query_codes: row 0 has bits set"):
        metrics.relevance_counts(PADDED, CODES, IDS[:2], IDS, bits=15)


def test_an_error_of_progress_is_raised() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyError((done, total))

    with pytest.raises(KeyError):
        metrics.evaluate(**GOOD, progress=stop)


def test_many_classes_are_legal_without_ndcg() -> None:
    report = metrics.evaluate(QUERIES, CODES, MANY[:2], MANY, ndcg_at=())
    assert report.map_tie_aware == 1.0
    assert report.ndcg_at == {}


class OnGpu:
    """An array that lies there, as far as anyone looks."""

    __cuda_array_interface__: ClassVar[dict[str, Any]] = {}
    dtype, shape = "uint8", (2, 2)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_lies_on_a_gpu_has_metrics_of_its_own(name: str) -> None:
    with pytest.raises(
        TypeError,
        match=rf"^{name}: expected an array of the host, for values by id and NDCG need more than "
        r"counts by distance; got uint8 \[2, 2\] on a GPU\. There, use "
        r"tie_aware\(relevance_counts\(\.\.\., device='cuda'\)\)\.$",
    ):
        metrics.evaluate(**GOOD | {name: OnGpu()})
