"""Arguments that ways to make an index share."""

from __future__ import annotations

import os
from typing import Literal

IndexKind = Literal["flat", "mih", "auto"]
Layout = Literal["fast", "compact"]
_MIH_PARAMS = ("layout", "tables", "radius", "memory_budget")


def encoded(path: str | os.PathLike[str]) -> bytes:
    """A path as the system takes it."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"path: expected no NUL character; got {os.fspath(path)!r}")
    return encoded


def mih_params(
    kind: str,
    layout: Layout | None,
    tables: int | None,
    radius: int | None,
    memory_budget: int | None,
) -> tuple[Layout | None, int | None, int | None, int | None]:
    """What mih is made with; refused of kind flat."""
    params = (layout, tables, radius, memory_budget)
    for name, value in zip(_MIH_PARAMS, params, strict=True):
        if kind == "flat" and value is not None:
            raise ValueError(f"{name}: kind 'flat' has none; got {value!r}. Use kind='mih'.")
    return params
