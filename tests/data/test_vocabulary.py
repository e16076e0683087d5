from __future__ import annotations

import numpy as np
import pytest

from hashcore.data import Vocabulary


def test_encode_pads_cuts_and_marks_unknown_words() -> None:
    vocabulary = Vocabulary(("a", "red", "circle"), max_length=3)
    tokens = vocabulary.encode(["A red, circle!", "red hat", "", "a a a a"])
    assert tokens.dtype == np.int64
    assert tokens.tolist() == [[2, 3, 4], [3, 1, 0], [0, 0, 0], [2, 2, 2]]
    assert len(vocabulary) == 5
    assert vocabulary.unknown_words("a purple red Hat") == ["purple", "hat"]


def test_encode_no_texts() -> None:
    assert Vocabulary(("a",), max_length=4).encode([]).shape == (0, 4)


def test_encode_refuses_one_str() -> None:
    with pytest.raises(TypeError, match="a list of texts"):
        Vocabulary(("a",), max_length=4).encode("a")


def test_build_orders_by_count_then_alphabet() -> None:
    vocabulary = Vocabulary.build(["b a", "a c", "d"], min_count=1)
    assert vocabulary.words == ("a", "b", "c", "d")
    assert vocabulary.max_length == 2
    assert Vocabulary.build(["b a", "a c"], min_count=2, max_length=9) == Vocabulary(("a",), 9)


@pytest.mark.parametrize(
    ("words", "length", "message"),
    [
        (("a", "a"), 3, "twice"),
        (("a",), 0, "max_length"),
        (("Red",), 3, "single lower-case"),
        (("two words",), 3, "single lower-case"),
    ],
)
def test_wrong_vocabularies(words: tuple[str, ...], length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(words, length)


def test_json_round_trip() -> None:
    vocabulary = Vocabulary(("a", "grün", "b2"), max_length=7)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"words": ["a"], "max_length": 3}',
        '{"format": "hashcore.vocabulary", "words": [1], "max_length": 3}',
        '{"format": "hashcore.vocabulary", "words": ["a"], "max_length": "3"}',
    ],
)
def test_foreign_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a hashcore vocabulary"):
        Vocabulary.from_json(text)
