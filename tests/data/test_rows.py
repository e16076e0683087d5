from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashcore.data._files import FileRows, Place, features
from hashcore.data._rows import Joined, first_bad, row_blocks, value_error

MATRIX = np.arange(60, dtype=np.float32).reshape(20, 3)


def file_rows(array: np.ndarray) -> FileRows:
    place = Place(Path("file.mat"), "X", "Expected another.")
    dtype = np.dtype(np.float32)
    return FileRows(place, array.shape, dtype, lambda start, stop: array[start:stop], features)


@pytest.mark.parametrize("size", [1, 11, 12, 13, 50, 239, 240, 10**9])
def test_blocks_cover_all_rows_once_and_keep_to_their_size(size: int) -> None:
    parts = list(row_blocks(MATRIX, size))
    assert np.array_equal(np.concatenate([MATRIX[part] for part in parts]), MATRIX)
    assert all(part.start < part.stop for part in parts)
    assert max(MATRIX[part].nbytes for part in parts) <= max(size, MATRIX[0].nbytes)
    assert list(row_blocks(MATRIX[:0], size)) == []


def test_joined_rows_are_those_of_a_concatenation() -> None:
    for border in (0, 1, 7, 20):
        joined = Joined("text", MATRIX[:border], file_rows(MATRIX[border:]))
        assert len(joined) == 20
        assert joined.shape == MATRIX.shape
        for start in range(21):
            for stop in range(start, 21):
                assert np.array_equal(joined[start:stop], MATRIX[start:stop])
        assert np.array_equal(joined[:], MATRIX)
        assert np.array_equal(joined[-3:], MATRIX[-3:])


@pytest.mark.parametrize("other", [MATRIX.astype(np.float64), MATRIX[:, :2]])
def test_parts_that_do_not_go_together(other: np.ndarray) -> None:
    with pytest.raises(ValueError, match="text: the parts do not go together: float32"):
        Joined("text", MATRIX, other)


def test_rows_of_a_file_are_read_in_their_order() -> None:
    for rows in (file_rows(MATRIX), Joined("text", MATRIX[:4], MATRIX[4:])):
        with pytest.raises(IndexError, match="in their order"):
            rows[::2]


def test_the_first_bad_entry() -> None:
    wrong = np.zeros((4, 3, 2), np.bool_)
    wrong[2, 1, 0] = wrong[3] = True
    assert first_bad(wrong) == "row 2, column 1, 0"
    assert first_bad(wrong, first_row=100) == "row 102, column 1, 0"
    assert first_bad(wrong[:, 0, 0]) == "row 3"


@pytest.mark.parametrize(
    ("block", "transform", "tokens", "message"),
    [
        (MATRIX, "log", None, None),
        (MATRIX - 1, "none", None, None),
        (MATRIX - 1, "log", None, "row 10, column 0 is -1.0; expected values >= 0 for the tran"),
        (
            np.array([[1, np.inf]], np.float32),
            "none",
            None,
            "row 10, column 1 is inf; expected fin",
        ),
        (np.array([[0, 5]]), "none", 6, None),
        (np.array([[0, 5]]), "none", 5, "row 10, column 1 is 5; expected token ids in 0..4"),
        (np.array([[0, -5]]), "none", None, "row 10, column 1 is -5; expected token ids >= 0"),
        (np.full((1, 3, 2, 2), 255, np.uint8), "none", None, None),
    ],
)
def test_values(block: np.ndarray, transform: str, tokens: int | None, message: str | None) -> None:
    found = value_error(block, transform, first_row=10, tokens=tokens)
    assert (found or "").startswith(message or "")
    assert (found is None) == (message is None)
