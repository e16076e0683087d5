"""Codes and queries on a device, the same in every run on it."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.gpu_search.workloads import GpuSearch

_AT_ONCE = 1 << 24  # codes
_CODES_A_CENTRE = 1_000
_DUPLICATES = 3  # one code of so many is a centre


def draw(search: GpuSearch, device: str) -> tuple[Tensor, Tensor]:
    """Database uint8 `[N, B]` and queries uint8 `[Q, B]`."""
    generator = torch.Generator(device).manual_seed(search.bits)
    centres = None
    if search.drawn == "clustered":
        count = max(1, search.codes // _CODES_A_CENTRE)
        centres = _uniform(count, search.code_bytes, generator)
    codes = torch.empty((search.codes, search.code_bytes), dtype=torch.uint8, device=device)
    for first in range(0, search.codes, _AT_ONCE):
        piece = codes[first : first + _AT_ONCE]
        piece.copy_(_rows(len(piece), search.code_bytes, centres, generator))
    return codes, _rows(search.queries, search.code_bytes, centres, generator)


def _uniform(count: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.randint(
        0, 256, (count, size), dtype=torch.uint8, device=generator.device, generator=generator
    )


def _rows(count: int, size: int, centres: Tensor | None, generator: torch.Generator) -> Tensor:
    """Uniform, or centres of which a bit in sixteen is flipped, in all but one of three."""
    rows = _uniform(count, size, generator)
    if centres is None:
        return rows
    for _ in range(3):
        rows &= _uniform(count, size, generator)
    kept = torch.randint(0, _DUPLICATES, (count, 1), device=generator.device, generator=generator)
    rows *= kept > 0
    chosen = torch.randint(0, len(centres), (count,), device=generator.device, generator=generator)
    return rows ^ centres[chosen]
