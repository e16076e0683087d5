from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import hashcore
import reference


@pytest.mark.parametrize("bits", reference.BITS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pack_equals_packbits_of_the_comparison(isa_level: str, bits: int, dtype: type) -> None:
    rng = np.random.default_rng(bits)
    x: NDArray[Any] = rng.standard_normal((37, bits)).astype(dtype)
    x[rng.random(x.shape) < 0.2] = 0
    x[rng.random(x.shape) < 0.05] = -0.0
    for threshold in (0.0, 0.25, -1.5):
        packed = hashcore.pack(x, threshold=threshold)
        assert packed.dtype == np.uint8
        np.testing.assert_array_equal(packed, np.packbits(x > threshold, axis=1))


def test_bit_order_and_zero() -> None:
    x = np.array([1, -1, 0.0, -0.0, 1e-30, -1e-30, 5, 0, 2], dtype=np.float64)
    assert hashcore.pack(x).tolist() == [0b1000_1010, 0b1000_0000]


def test_pack_of_every_half(isa_level: str) -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[~np.isnan(halves)]
    halves = np.stack([halves[: 2**15], halves[-(2**15) :]])
    places = (0.0, -0.0, 6e-8, -6e-8, 3e-8, -3e-8, 1.5, -1.5003, 65504.0, 65505.0, -1e9, np.inf)
    for threshold in (*places, -np.inf):
        expected = np.packbits(halves.astype(np.float64) > threshold, axis=1)
        np.testing.assert_array_equal(hashcore.pack(halves, threshold=threshold), expected)


@pytest.mark.parametrize("bits", [1, 63, 64, 70, 192])
def test_pack_of_signs_and_booleans(isa_level: str, bits: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((20, bits)) < 0.5
    signs = np.where(truth, 1, -1).astype(np.int8)
    np.testing.assert_array_equal(hashcore.pack(truth), np.packbits(truth, axis=1))
    np.testing.assert_array_equal(hashcore.pack(signs), np.packbits(truth, axis=1))
    np.testing.assert_array_equal(hashcore.pack(truth.astype(np.int8)), hashcore.pack(truth))
    for threshold in (-7.5, -1.0, -0.5, 0.9, 1.0, 300.0):
        expected = np.packbits(signs > threshold, axis=1)
        np.testing.assert_array_equal(hashcore.pack(signs, threshold=threshold), expected)


@given(
    hnp.arrays(np.bool_, st.tuples(st.integers(0, 5), st.integers(1, 200))),
    st.booleans(),
)
def test_unpack_inverts_pack(values: NDArray[np.bool_], signed: bool) -> None:
    bits = values.shape[1]
    unpacked = hashcore.unpack(hashcore.pack(values), bits, signed=signed)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, np.where(values, 1, -1 if signed else 0))


def test_one_dimension_in_one_dimension_out() -> None:
    codes = hashcore.pack(np.ones(12))
    assert codes.tolist() == [255, 240]
    assert hashcore.unpack(codes, 12).tolist() == [1] * 12


def test_torch_tensors_pack_like_arrays() -> None:
    torch = pytest.importorskip("torch")
    x = torch.randn(9, 33)
    np.testing.assert_array_equal(hashcore.pack(x), np.packbits(x.numpy() > 0, axis=1))
    tracked = x.clone().requires_grad_()
    np.testing.assert_array_equal(hashcore.pack(tracked), hashcore.pack(x))
    with pytest.raises(TypeError, match=r"bfloat16.*\.float\(\)"):
        hashcore.pack(x.bfloat16())


def test_convert_from_each_convention() -> None:
    rng = np.random.default_rng(1)
    bits = rng.random((11, 64)) < 0.5
    ours = np.packbits(bits, axis=1)
    as_int8 = (ours.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_array_equal(hashcore.convert(as_int8, source="int8_offset"), ours)
    np.testing.assert_array_equal(hashcore.convert(ours.view(np.int8), source="int8_view"), ours)
    np.testing.assert_array_equal(hashcore.convert(ours, source="ubinary"), ours)
    little = np.packbits(bits, axis=1, bitorder="little")
    np.testing.assert_array_equal(hashcore.convert(little, source="little"), ours)
    np.testing.assert_array_equal(hashcore.convert(little[0], source="little"), ours[0])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 8), np.int32), TypeError, r"x: expected float16.*got int32 \[2, 8\]"),
        (np.zeros((2, 8), np.uint8), TypeError, r"x: .*got uint8.*hashcore\.convert\(\)"),
        (np.full((2, 8), 7, np.int8), ValueError, r"int8 values -1, 0 or 1; got 7"),
        (np.zeros((2, 8))[:, ::2], ValueError, r"C-contiguous.*ascontiguousarray"),
        (np.zeros((2, 3, 4)), ValueError, r"got float64 \[2, 3, 4\]"),
        (np.zeros((2, 0)), ValueError, r"1\.\.65536 bits"),
        (np.zeros((1, 65537), np.float32), ValueError, r"1\.\.65536 bits"),
        (np.zeros((2, 8)).astype(">f8"), ValueError, "native byte order"),
        (np.frombuffer(bytes(65), np.float32, offset=1), ValueError, "aligned memory"),
        ([[1.0, 2.0]], TypeError, r"got list"),
        (None, TypeError, r"got NoneType"),
    ],
)
def test_pack_refuses(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hashcore.pack(x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pack_names_the_place_of_a_nan(isa_level: str, dtype: type) -> None:
    for column in (0, 17, 40, 63, 64, 127, 128, 149):
        for nan in (np.nan, -np.nan):
            x: NDArray[Any] = np.ones((5, 150), dtype)
            x[3, column] = nan
            with pytest.raises(ValueError, match=f"row 3, column {column} is NaN"):
                hashcore.pack(x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pack_refuses_a_threshold_that_is_no_number(dtype: type) -> None:
    with pytest.raises(TypeError, match="threshold: expected a number; got str"):
        hashcore.pack(np.ones((5, 20), dtype), threshold="0")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold: expected a number; got NaN"):
        hashcore.pack(np.ones((5, 20), dtype), threshold=float("nan"))


@pytest.mark.parametrize(
    ("codes", "bits", "error", "message"),
    [
        (np.zeros((1, 2), np.int8), 16, TypeError, r"codes: expected uint8 \[n, 2\]"),
        (
            np.zeros((1, 3), np.uint8),
            16,
            ValueError,
            r"expected uint8 \[n, 2\].*got uint8 \[1, 3\]",
        ),
        (np.ones((1, 1), np.uint8), 7, ValueError, "row 0 has bits set past bit 6"),
        (np.ones((1, 1), np.uint8), 0, ValueError, r"bits: expected 1\.\.65536; got 0"),
        (np.ones((1, 1), np.uint8), 8.0, TypeError, "bits: expected an integer; got float"),
        (np.ones((1, 1), np.uint8), True, TypeError, "bits: expected an integer; got bool"),
    ],
)
def test_unpack_refuses(codes: Any, bits: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hashcore.unpack(codes, bits)


def test_convert_refuses() -> None:
    codes = np.zeros((1, 8), np.uint8)
    with pytest.raises(ValueError, match=r"C-contiguous.*ascontiguousarray"):
        hashcore.convert(codes[:, ::2], source="ubinary")
    with pytest.raises(ValueError, match=r"source: expected one of 'ubinary'.*got 'big'"):
        hashcore.convert(codes, source="big")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"codes: expected int8 .*got uint8 \[1, 8\]"):
        hashcore.convert(codes, source="int8_offset")
    with pytest.raises(TypeError, match="codes: expected uint8"):
        hashcore.convert([1, 2], source="little")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got uint8 \[1, 1, 8\]"):
        hashcore.convert(codes[None], source="little")
