"""Outputs of a hash function to packed codes."""

from __future__ import annotations

import torch
from torch import Tensor

from hashcore import _core
from hashcore.ops import _on_cuda
from hashcore.ops._library import check_rows, has_kernel, register

_BYTE = 8


def pack_sign(x: Tensor) -> Tensor:
    """Pack `x > 0`, as `hashcore.pack` does, where the tensor is and inside of compiled graphs.

    Args:
        x: floats `[B, K]`, on any device. NaN gives 0: unlike `hashcore.pack`, which raises, this
            never waits to look at values.

    Returns:
        uint8 `[B, ceil(K / 8)]`, without gradient.

    Raises:
        TypeError: no floats.
        ValueError: another shape.
    """
    check_rows("x", x)
    if not has_kernel(x, float64_on_cuda=True):
        return pack_sign_reference(x)
    codes: Tensor = _pack_sign(x.detach())
    return codes


def pack_sign_reference(x: Tensor) -> Tensor:
    """`pack_sign` in plain PyTorch."""
    padded = torch.nn.functional.pad(x > 0, (0, -x.shape[1] % _BYTE))
    bits = padded.view(len(x), padded.shape[1] // _BYTE, _BYTE)  # [B, ceil(K / 8), 8]
    places = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=x.device)
    codes: Tensor = (bits * places).sum(dim=2, dtype=torch.uint8)
    return codes


def _on_cpu(x: Tensor) -> Tensor:
    if x.dtype == torch.bfloat16:
        x = x.float()
    try:
        return torch.from_numpy(_core.pack(x.contiguous().numpy(), 0.0))
    except ValueError:  # of a NaN
        return torch.from_numpy(_core.pack((x > 0).contiguous().numpy(), 0.0))


def _shapes(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], (x.shape[1] + _BYTE - 1) // _BYTE), dtype=torch.uint8)


_pack_sign = register(
    "pack_sign(Tensor x) -> Tensor", cpu=_on_cpu, cuda=_on_cuda.pack_sign, shapes=_shapes
)
