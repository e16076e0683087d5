"""Signs of tensors as packed codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashcore import pack
from hashcore.ops import pack_sign, pack_sign_reference

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [1, 7, 8, 9, 63, 64, 65, 300])
@pytest.mark.parametrize("rows", [0, 1, 33])
def test_bits_are_those_of_pack(rows: int, bits: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(bits)
    x = torch.randn(rows, bits, generator=generator).to(dtype)
    x.view(-1)[::5] = 0
    x.view(-1)[::11] = -0.0
    expected = pack(x.float().numpy())
    assert np.array_equal(pack_sign(x).numpy(), expected)
    assert np.array_equal(pack_sign_reference(x).numpy(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f", [pack_sign, pack_sign_reference])
def test_nan_gives_zero(f: object, dtype: torch.dtype) -> None:
    x = torch.ones(3, 10, dtype=dtype)
    x[1, 2] = float("nan")
    x[1, 3] = float("inf")
    assert callable(f)
    assert f(x).tolist() == [[0xFF, 0xC0], [0xDF, 0xC0], [0xFF, 0xC0]]


def test_columns_of_a_wider_tensor_and_no_gradient() -> None:
    x = torch.randn(8, 40, requires_grad=True)
    part = x[:, 3:20]
    assert torch.equal(pack_sign(part), pack_sign_reference(part))
    assert not pack_sign(part).requires_grad


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match="x: expected floats"):
        pack_sign(torch.zeros(3, 8, dtype=torch.int8))
    with pytest.raises(ValueError, match=r"x: expected floats \[B, K\]"):
        pack_sign(torch.zeros(8))
