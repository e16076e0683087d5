from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hashcore import FormatError, pack
from hashcore.data import CrossModalDataset
from hashcore.methods import BranchConfig, DRHCConfig, DTHConfig
from hashcore.train import Hasher, TrainConfig, fit

TINY = BranchConfig(hidden=(16,), pixel_channels=(4,), token_embedding=4, token_filters=4)
QUICK = TrainConfig(epochs=1, batch_size=16, validation=0.0, selection="last", progress=False)


@pytest.fixture
def on_features(features: CrossModalDataset) -> Hasher:
    return fit(features, "dth", 12, DTHConfig(branch=TINY), QUICK)


@pytest.fixture
def on_scenes(scenes: CrossModalDataset) -> Hasher:
    return fit(scenes, "drhc", 12, DRHCConfig(branch=TINY, common=8), QUICK)


def test_codes_are_the_packed_signs(on_features: Hasher, features: CrossModalDataset) -> None:
    codes = on_features.encode_image(features.image)
    real = on_features.encode_image_real(features.image)
    assert codes.dtype == np.uint8
    assert codes.shape == (160, 2)
    assert real.dtype == np.float32
    assert real.shape == (160, 12)
    assert np.array_equal(codes, pack(real))
    assert np.array_equal(codes, np.packbits(real > 0, axis=1))
    text = on_features.encode_text_real(features.text)
    assert np.array_equal(on_features.encode_text(features.text), np.packbits(text > 0, axis=1))


def test_bits_above_a_threshold(on_features: Hasher, features: CrossModalDataset) -> None:
    real = on_features.encode_image_real(features.image)
    middle = torch.from_numpy(np.median(real, axis=0))
    on_features.set_thresholds(middle, middle)
    bits = np.unpackbits(on_features.encode_image(features.image), axis=1)[:, :12]
    assert np.array_equal(bits, real > middle.numpy())
    assert (bits.sum(axis=0) == 80).all()


def test_batches_do_not_change_codes(on_scenes: Hasher, scenes: CrossModalDataset) -> None:
    whole = on_scenes.encode_image_real(scenes.image)
    parts = on_scenes.encode_image_real(scenes.image, batch_size=7)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_captions_are_encoded_like_their_tokens(
    on_scenes: Hasher, scenes: CrossModalDataset
) -> None:
    codes = on_scenes.encode_text(list(scenes.captions))
    assert np.array_equal(codes, on_scenes.encode_text(scenes.text))


@pytest.mark.parametrize("which", ["on_features", "on_scenes"])
def test_save_and_load_give_the_same_codes(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    hasher: Hasher = request.getfixturevalue(which)
    data: CrossModalDataset = request.getfixturevalue(which.removeprefix("on_"))
    hasher.save(tmp_path / "hasher")
    loaded = Hasher.load(str(tmp_path / "hasher"))
    assert np.array_equal(loaded.encode_image(data.image), hasher.encode_image(data.image))
    assert np.array_equal(loaded.encode_text(data.text), hasher.encode_text(data.text))
    assert (loaded.method, loaded.bits, loaded.config) == (hasher.method, 12, hasher.config)
    assert loaded.vocabulary == hasher.vocabulary
    assert loaded.info == json.loads(json.dumps(hasher.info))
    assert loaded.info["split_hash"] == data.split.hash
    assert repr(loaded) == repr(hasher)


def test_repr(on_scenes: Hasher) -> None:
    assert repr(on_scenes) == (
        "Hasher(method='drhc', bits=12, image=pixels [3, 8, 8], text=tokens [3])"
    )


def test_nothing_to_encode(on_features: Hasher) -> None:
    assert on_features.encode_image(np.empty((0, 12), np.float32)).shape == (0, 2)


def test_torch_tensors_are_taken(on_features: Hasher, features: CrossModalDataset) -> None:
    codes = on_features.encode_image(torch.from_numpy(features.image))
    assert np.array_equal(codes, on_features.encode_image(features.image))


ZEROS = np.zeros((2, 12), np.float32)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (ZEROS[:, :5], ValueError, r"image: expected float32 \[n, 12\]; got float32 \[2, 5\]"),
        (ZEROS[0], ValueError, r"expected float32 \[n, 12\]; got float32 \[12\]"),
        (ZEROS.astype(np.uint8), TypeError, r"expected float32 \[n, 12\]; got uint8 \[2, 12\]"),
        (ZEROS.astype(np.int64), TypeError, "got int64"),
        (ZEROS.tolist(), TypeError, r"expected float32 \[n, 12\]; got list"),
        (ZEROS * np.nan, ValueError, "expected finite values"),
    ],
)
def test_wrong_features(on_features: Hasher, x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        on_features.encode_image(x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.array([[1, 2, 99]]), ValueError, "expected token ids in 0..6; got 99"),
        (np.array([[1, -2, 0]]), ValueError, "expected token ids in 0..6; got -2"),
        (np.array([[1, 2]]), ValueError, r"text: expected int64 \[n, 3\]; got int64 \[1, 2\]"),
        (np.array([[1, 2, 3]], np.int32), TypeError, r"got int32 \[1, 3\]"),
    ],
)
def test_wrong_tokens(on_scenes: Hasher, x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        on_scenes.encode_text(x)


def test_captions_without_a_vocabulary(on_features: Hasher) -> None:
    with pytest.raises(TypeError, match="got captions, and this hasher has no vocabulary"):
        on_features.encode_text(["a red square"])
    with pytest.raises(TypeError, match="got str"):
        on_features.encode_text("a red square")


def test_batch_size_must_be_positive(on_features: Hasher) -> None:
    with pytest.raises(ValueError, match="batch_size: expected >= 1; got 0"):
        on_features.encode_image(ZEROS, batch_size=0)


@pytest.mark.parametrize("key", ["method", "config", "inputs", "classes", "vocabulary", "info"])
def test_loading_an_incomplete_hasher(on_features: Hasher, tmp_path: Path, key: str) -> None:
    on_features.save(tmp_path)
    file = tmp_path / "checkpoint.json"
    meta = json.loads(file.read_text())
    del meta[key]
    file.write_text(json.dumps(meta))
    with pytest.raises(FormatError):
        Hasher.load(tmp_path)


def test_loading_a_truncated_hasher(on_features: Hasher, tmp_path: Path) -> None:
    on_features.save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(FormatError, match="truncated"):
        Hasher.load(tmp_path)
