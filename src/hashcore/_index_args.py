"""Arguments that ways to make an index share."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import Array, as_array, describe
from hashcore._device import GpuArray, device_number, on_gpu

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


def whole_codes(
    codes: Array, kind: str, copy: bool, device: str
) -> tuple[NDArray[Any] | GpuArray, str]:
    """Codes ``[n, bytes]`` that an index is made of, and its device."""
    there = None if device_number(device) is None else on_gpu(codes, "codes")
    rows = as_array(codes, "codes") if there is None else there
    if not isinstance(rows, np.ndarray | GpuArray) or len(rows.shape) != 2:
        raise TypeError(f"codes: expected uint8 [n, bytes]; got {describe(rows)}.")
    if not copy and there is not None:
        raise ValueError(
            "copy: expected True for codes on a GPU; got False. The index holds a copy in the "
            "host's memory."
        )
    if not copy and kind not in {"flat", "auto"}:
        raise ValueError(
            f"kind: expected 'flat' or 'auto' with copy=False; got {kind!r}. Use copy=True."
        )
    if there is not None and device == "cuda":
        device = f"cuda:{there.device}"
    return rows, device
