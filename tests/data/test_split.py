from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from hashcore.data import Draw, Split


def split_of(train: list[int], query: list[int], database: list[int]) -> Split:
    return Split(np.array(train), np.array(query), np.array(database))


def test_database_may_be_the_training_rows() -> None:
    split = split_of([2, 0, 1], [4, 3], [2, 0, 1])
    assert split.train.dtype == np.int64
    assert split.train.tolist() == [2, 0, 1]


@pytest.mark.parametrize("part", ["train", "database"])
def test_overlap_with_the_query_rows_tells_count_and_first_ids(part: str) -> None:
    rows = {"train": [10, 11], "database": [20, 21], part: [1, 7, 5, 9]}
    with pytest.raises(ValueError, match=rf"3 query rows are also {part} rows; first: \[1, 5, 9\]"):
        split_of(rows["train"], [9, 5, 1, 0], rows["database"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2]], "expected a 1-D integer array"),
        ([0.5], "expected a 1-D integer array"),
        ([3, -1], "must be >= 0; got -1"),
        ([3, 4, 3], r"1 row ids stand there twice; first: \[3\]"),
    ],
)
def test_wrong_rows(rows: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(np.array(rows), np.array([9]), np.array([8]))


def test_rows_are_a_read_only_copy() -> None:
    rows = np.array([0, 1])
    split = Split(rows, np.array([2]), rows)
    rows[0] = 2
    assert split.train.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        split.train[0] = 5


def test_hash_tells_parts_and_orders_apart() -> None:
    base = split_of([0, 1], [2], [3])
    assert base.hash == split_of([0, 1], [2], [3]).hash
    assert len(base.hash) == 64
    others = [
        split_of([1, 0], [2], [3]),
        split_of([0], [1, 2], [3]),
        split_of([0, 1], [3], [2]),
        split_of([0, 1, 3], [2], []),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 5
    assert base != others[0]
    assert base == split_of([0, 1], [2], [3])


def test_hash_is_of_the_canonical_bytes() -> None:
    eight = [i.to_bytes(8, "little") for i in range(4)]
    text = b"train:2\n" + eight[0] + eight[1] + b"query:1\n" + eight[2] + b"database:1\n" + eight[3]
    assert split_of([0, 1], [2], [3]).hash == hashlib.sha256(text).hexdigest()


def test_save_and_load(tmp_path: Path) -> None:
    split = split_of([5, 0], [2, 1], [5, 3])
    split.save(tmp_path / "split.json")
    back = Split.load(tmp_path / "split.json")
    assert back == split
    assert back.train.tolist() == [5, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["split.json"]


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split_of([5, 0], [2, 1], [5, 3]).save(path)
    document = json.loads(path.read_text())
    document["train"] = [5]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="do not match the hash"):
        Split.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other", "version": 1}', "\x00\x01"])
def test_a_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"split\.json: not a hashcore split file"):
        Split.load(path)


def test_a_draw_gives_queries_first_and_parts_in_order() -> None:
    order = np.random.RandomState(3).permutation(20)
    split = Draw(queries=4, train=6, seed=3).split(20)
    assert split.query.tolist() == sorted(order[:4].tolist())
    assert split.train.tolist() == sorted(order[4:10].tolist())
    assert split.database.tolist() == sorted(order[4:].tolist())
    of_train = Draw(queries=4, train=6, database="train", seed=3).split(20)
    assert of_train.database.tolist() == of_train.train.tolist() == split.train.tolist()
    rest = Draw(queries=4, seed=3).split(20)
    assert rest.train.tolist() == rest.database.tolist() == split.database.tolist()
    assert Draw(queries=4, train=6, seed=4).split(20) != split


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (Draw(0, 5), "got 0 queries and 5 training rows"),
        (Draw(5, 0), "got 5 queries and 0 training rows"),
        (Draw(20), "got 20 queries and 0 training rows"),
        (Draw(15, 6), "together at most the 20 rows there are; got 15 queries and 6 training"),
    ],
)
def test_a_draw_of_more_rows_than_there_are(draw: Draw, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw.split(20)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (
            Draw(2, 3, seed=7),
            "2 query and 3 training rows drawn by seed 7; database: all rows that",
        ),
        (Draw(2), "2 query and all other rows drawn by seed 0; database: all rows that are no"),
        (
            Draw(2, 3, "train"),
            "2 query and 3 training rows drawn by seed 0; database: the training",
        ),
    ],
)
def test_a_draw_says_what_it_does(draw: Draw, said: str) -> None:
    assert str(draw).startswith(said)
