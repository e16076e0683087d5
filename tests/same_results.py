"""Results that are one to the byte."""

from __future__ import annotations

from typing import Any


def same(found: Any, expected: Any) -> None:
    """Equal arrays, their dtypes and shapes too."""
    for name in vars(expected):
        a, b = getattr(found, name), getattr(expected, name)
        assert type(a) is type(b), name
        assert a.dtype == b.dtype, name
        assert a.shape == b.shape, name
        assert a.tobytes() == b.tobytes(), name
