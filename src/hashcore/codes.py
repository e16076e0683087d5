"""Packed binary codes: how bits are laid, and the ways in and out.

A code of ``bits`` bits is a row of ``ceil(bits / 8)`` bytes. Bit ``i`` is ``0x80 >> (i % 8)`` of
byte ``i // 8``: the order of ``numpy.packbits`` and of sentence-transformers' ``"ubinary"``. Bits
past the width are zero. A value packs to 1 when it is greater than the threshold, so zero packs
to 0; ``sign(0)``, a third symbol, never arises.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array, describe

CodeSource = Literal["ubinary", "int8_offset", "int8_view", "little"]


def pack(x: Array, *, threshold: float = 0.0) -> NDArray[np.uint8]:
    """Pack real values, booleans or signs into binary codes: ``x > threshold`` gives 1.

    Args:
        x: ``[n, bits]`` or ``[bits]``; float16, float32, float64, bool, or int8 holding -1, 0, 1.
            C-contiguous NumPy array or CPU torch tensor; 1 <= bits <= 65,536.
        threshold: The value that a 1 must exceed.

    Returns:
        uint8 ``[n, ceil(bits / 8)]``, or ``[ceil(bits / 8)]`` for a 1-D ``x``.

    Raises:
        TypeError: another dtype.
        ValueError: NaN, a wrong shape, non-contiguous memory, or int8 outside -1..1.
    """
    return _core.pack(as_array(x, "x"), threshold)


def unpack(codes: Array, bits: int, *, signed: bool = False) -> NDArray[np.int8]:
    """Unpack codes into one int8 a bit.

    Args:
        codes: uint8 ``[n, ceil(bits / 8)]`` or ``[ceil(bits / 8)]``.
        bits: Width of a code, 1..65,536.
        signed: Give {-1, +1} instead of {0, 1}.

    Returns:
        int8 ``[n, bits]``, or ``[bits]`` for a 1-D ``codes``.

    Raises:
        TypeError: ``codes`` is not uint8.
        ValueError: a width that does not fit ``bits``, or pad bits that are set.
    """
    return _core.unpack(as_array(codes, "codes"), bits, signed)


def convert(codes: Array, *, source: CodeSource) -> NDArray[np.uint8]:
    """Bring packed codes of another convention into this library's.

    Args:
        codes: ``[n, B]`` or ``[B]``, packed eight bits to a byte.
        source: Where they come from.
            ``"ubinary"``: uint8, most significant bit first: ours already, returned as it is
            (``ubinary`` of sentence-transformers, Cohere and Voyage).
            ``"int8_offset"``: int8, byte minus 128 (``binary`` of the same).
            ``"int8_view"``: int8, the same bytes seen as signed (Vespa's ``pack_bits``).
            ``"little"``: uint8, least significant bit first (``packbits(bitorder="little")``).

    Returns:
        uint8 of the same shape.

    Raises:
        TypeError: a dtype other than the source's.
        ValueError: an unknown source, a shape that is not 1-D or 2-D, or non-contiguous memory.
    """
    if source not in get_args(CodeSource):
        names = ", ".join(repr(name) for name in get_args(CodeSource))
        raise ValueError(f"source: expected one of {names}; got {source!r}")
    array = as_array(codes, "codes")
    wanted = np.dtype(np.int8 if source.startswith("int8") else np.uint8)
    got = describe(array)
    if not isinstance(array, np.ndarray) or array.dtype != wanted:
        raise TypeError(f"codes: expected {wanted} [n, B] for source={source!r}; got {got}")
    if array.ndim not in (1, 2):
        raise ValueError(f"codes: expected {wanted} [n, B]; got {got}")
    if not array.flags.c_contiguous:
        raise ValueError(
            f"codes: expected {wanted} [n, B], C-contiguous; got {got} with other strides. "
            "Use numpy.ascontiguousarray()."
        )
    as_bytes = array.view(np.uint8)
    if source == "int8_offset":
        return as_bytes ^ np.uint8(0x80)
    if source == "little":
        return np.packbits(np.unpackbits(as_bytes, axis=-1, bitorder="little"), axis=-1)
    return as_bytes
