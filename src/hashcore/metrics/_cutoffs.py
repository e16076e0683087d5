"""Cutoffs of rankings."""

from __future__ import annotations

import operator
from collections.abc import Iterable


def read_cutoffs(values: Iterable[int], name: str) -> list[int]:
    """Cutoffs in the given order, each once."""
    expected = f"{name}: expected integers >= 1, such as (10, 100)"
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{expected}; got {values!r}.")
    cutoffs = []
    for value in values:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{expected}; got {value!r}.")
        cutoffs.append(operator.index(value))
        if cutoffs[-1] < 1:
            raise ValueError(f"{expected}; got {value}.")
    return list(dict.fromkeys(cutoffs))
