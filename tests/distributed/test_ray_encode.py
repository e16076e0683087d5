"""Rows of a Ray Dataset through a trained hasher, and on into an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.data

import hashcore
from distributed.partitions import assert_same, parts
from hashcore.distributed.ray import ShardedIndex, build, encode
from hashcore.distributed.ray._encode import _Encode
from hashcore.train import Hasher, TrainConfig, fit
from train.synthetic import make_features

SHORT = TrainConfig(epochs=1, progress=False)
pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def hasher() -> Hasher:
    return fit(make_features(), "dth", 16, train=SHORT)


def collected(dataset: Any) -> tuple[Any, Any]:
    """Ids and codes, in the order of ids."""
    found = sorted(dataset.take_all(), key=lambda row: row["id"])
    assert all(set(row) == {"id", "codes"} for row in found)
    return [row["id"] for row in found], np.array([row["codes"] for row in found])


def test_from_features_to_answers(tmp_path: Path, hasher: Hasher) -> None:
    features = make_features()
    ids = np.arange(1000, 1000 + len(features.image))
    items = [{"id": i, "image": x} for i, x in zip(ids, features.image, strict=True)]
    dataset = ray.data.from_items(items, override_num_blocks=4)
    codes = hasher.encode_image(features.image)
    encoded = encode(dataset, hasher.encode_image, column="image", batch_size=33).materialize()
    found_ids, found = collected(encoded)
    assert found_ids == ids.tolist()
    assert (found.dtype, found.tobytes()) == (codes.dtype, codes.tobytes())

    whole = hashcore.Index(16)
    whole.add(codes, ids)
    manifest = build(encoded, tmp_path / "index", ids="id", bits=16, codes_per_shard=70)
    queries = hasher.encode_text(features.text[:5])
    with ShardedIndex(manifest) as index:
        assert_same(parts(index.search(queries, 9)), parts(whole.search(queries, 9)))


def first_letters(captions: Any) -> Any:
    assert isinstance(captions, list)
    return np.array([[ord(caption[0]), len(caption)] for caption in captions], np.uint8)


def test_texts_are_given_as_a_list_to_what_load_makes() -> None:
    texts = ["a star", "two stars", "b"]
    work = _Encode(None, lambda: first_letters, "text", "out")
    for given in (np.array(texts), np.array(texts, object)):
        made = work({"id": np.arange(3), "text": given})
        assert set(made) == {"id", "out"}
        assert made["out"].tolist() == [[97, 6], [116, 9], [98, 1]]


def test_features_can_be_written_to() -> None:
    rows = np.ones((3, 8), np.float32)
    rows.flags.writeable = False

    def encoder(given: Any) -> Any:
        given[0] = -1
        return hashcore.pack(given)

    assert _Encode(encoder, None, "x", "x")({"x": rows})["x"].tolist() == [[0], [255], [255]]


@pytest.mark.parametrize(
    ("encoder", "got"),
    [
        (np.asarray, r"float64 \[3, 2\]"),
        (lambda rows: np.zeros((2, 1), np.uint8), r"uint8 \[2, 1\]"),
        (lambda rows: np.zeros(3, np.uint8), r"uint8 \[3\]"),
        (lambda rows: [1, 2, 3], "list"),
    ],
)
def test_what_is_no_codes_is_refused(encoder: Any, got: str) -> None:
    with pytest.raises(TypeError, match=r"encoder: expected codes, uint8 \[3, bytes\]; got " + got):
        _Encode(encoder, None, "x", "codes")({"x": np.ones((3, 2))})
    with pytest.raises(TypeError, match="encoder: expected something to call; got int"):
        _Encode(None, lambda: 3, "x", "codes")  # type: ignore[arg-type, return-value]


def test_wrong_arguments() -> None:
    dataset = ray.data.from_items([{"x": 1}])
    with pytest.raises(TypeError, match=r"dataset: expected a ray\.data\.Dataset; got list"):
        encode([1], len, column="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one of encoder and load"):
        encode(dataset, column="x")
    with pytest.raises(ValueError, match="expected one of encoder and load"):
        encode(dataset, np.packbits, load=lambda: np.packbits, column="x")
    for name in ("batch_size", "workers"):
        with pytest.raises(ValueError, match=f"{name}: expected >= 1; got 0"):
            encode(dataset, np.packbits, column="x", **{name: 0})  # type: ignore[arg-type]
