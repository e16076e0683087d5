from __future__ import annotations

import numpy as np
import pytest
import torch

from hashcore.methods import InputSpec
from hashcore.train.preprocess import Preparation

RNG = np.random.default_rng(0)
POSITIVE = RNG.random((50, 4)).astype(np.float32)


@pytest.mark.parametrize("transform", ["none", "sqrt", "log"])
def test_features_are_transformed_then_standardised(transform: str) -> None:
    x = POSITIVE.copy()
    x[0, 0] = 0.0
    expected = x.astype(np.float64)
    if transform == "sqrt":
        expected = np.sqrt(expected)
    elif transform == "log":
        expected = np.log(np.maximum(expected, 1e-4))
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
    np.testing.assert_allclose(Preparation.fit(x, transform)(x), expected, atol=2e-5)


def test_columns_may_share_one_scale() -> None:
    x = (RNG.standard_normal((50, 3)) * [9, 3, 1] + 5).astype(np.float32)
    x[:, 2] = 7.0
    centred = x.astype(np.float64) - x.astype(np.float64).mean(axis=0)
    expected = centred / np.sqrt((centred**2).mean())
    np.testing.assert_allclose(Preparation.fit(x, "isotropic")(x), expected, atol=2e-5)


def test_a_shared_scale_passes_over_a_column_that_is_constant_up_to_rounding() -> None:
    x = RNG.standard_normal((50, 2)).astype(np.float32)
    x[:, 1] = 1e8
    x[0, 1] += 8
    prepare = Preparation.fit(x, "isotropic")
    torch.testing.assert_close(prepare.scale, torch.full((2,), float(x[:, 0].std() / 2**0.5)))


def test_statistics_are_those_of_the_fitted_rows() -> None:
    prepare = Preparation.fit(POSITIVE[:20])
    assert prepare(POSITIVE[:20]).mean(dim=0).abs().max() < 1e-5
    assert prepare(POSITIVE[20:]).mean(dim=0).abs().max() > 1e-2


def test_a_constant_column_stays_finite() -> None:
    x = np.full((9, 2), 0.1, dtype=np.float32)
    assert torch.equal(Preparation.fit(x)(x), torch.zeros(9, 2))


def test_pixels_are_standardised_by_channel() -> None:
    x = RNG.integers(0, 256, (10, 3, 4, 5)).astype(np.uint8)
    out = Preparation.fit(x)(x)
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(dim=(0, 2, 3), correction=0), torch.ones(3))


def test_tokens_pass_and_the_vocabulary_covers_them() -> None:
    x = np.array([[3, 1, 0], [2, 0, 0]])
    prepare = Preparation.fit(x)
    assert prepare.spec == InputSpec("tokens", (3,), 4)
    assert Preparation.fit(x, vocabulary=9).spec.vocabulary == 9
    assert prepare(x).tolist() == x.tolist()


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="transform: expected one of"):
        Preparation.fit(POSITIVE, "cube")
    with pytest.raises(ValueError, match="is for features"):
        Preparation.fit(np.zeros((3, 4), dtype=np.int64), "log")
    with pytest.raises(TypeError, match=r"got int32 \[3, 4\]"):
        Preparation.fit(np.zeros((3, 4), dtype=np.int32))
