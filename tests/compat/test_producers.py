"""Codes as the producers of embeddings give them, brought in by ``convert``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference

# Input and packed value as documented by Vespa, under "Binarizing Vectors".
VESPA_PACK_BITS = [
    ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], -1),
    ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0),
    ([-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0], 0),
    ([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], -128),
    ([2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], -127),
]


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    drawn = np.random.default_rng(0).standard_normal((300, 384), np.float32)
    drawn[drawn > 2] = 0  # zeros, which are no ones
    return drawn


@pytest.fixture(scope="module")
def quantize_embeddings() -> Any:
    util = pytest.importorskip("sentence_transformers.util", reason="needs the text extra")
    return util.quantize_embeddings


@pytest.mark.parametrize(
    ("precision", "source"), [("binary", "int8_offset"), ("ubinary", "ubinary")]
)
@pytest.mark.parametrize("dimensions", [384, 250])
def test_sentence_transformers(
    quantize_embeddings: Any,
    vectors: NDArray[np.float32],
    precision: str,
    source: Any,
    dimensions: int,
) -> None:
    shorter = vectors[:, :dimensions].copy()  # some models are cut short, to any width
    theirs = quantize_embeddings(shorter, precision)
    codes = hashcore.convert(theirs, source=source)
    np.testing.assert_array_equal(codes, hashcore.pack(shorter))
    found = hashcore.knn(codes[:250], codes[250:], 7)
    expected = reference.knn(codes[:250], codes[250:], 7, 8 * codes.shape[1])
    np.testing.assert_array_equal(found.ids, expected[1])


@pytest.mark.parametrize("precision", ["binary", "ubinary"])
def test_sentence_transformers_by_another_source_is_told_or_differs(
    quantize_embeddings: Any, vectors: NDArray[np.float32], precision: str
) -> None:
    theirs = quantize_embeddings(vectors, precision)
    if precision == "ubinary":
        with pytest.raises(TypeError, match=r"expected int8 \[n, B\] for source='int8_offset'"):
            hashcore.convert(theirs, source="int8_offset")
    else:
        with pytest.raises(TypeError, match=r"expected uint8 \[n, B\] for source='ubinary'"):
            hashcore.convert(theirs, source="ubinary")
        viewed = hashcore.convert(theirs, source="int8_view")
        np.testing.assert_array_equal(viewed ^ 0x80, hashcore.pack(vectors))


def test_sentence_transformers_int8_is_for_rescoring(
    quantize_embeddings: Any, vectors: NDArray[np.float32]
) -> None:
    """Its int8 is one byte a value, with ranges of its own: no code, but it scores a shortlist."""
    ranges = np.stack([vectors.min(axis=0), vectors.max(axis=0)])
    theirs = quantize_embeddings(vectors, "int8", ranges=ranges)
    with pytest.raises(ValueError, match=r"int8 values -1, 0 or 1; got"):
        hashcore.pack(theirs)
    everything = hashcore.knn(hashcore.pack(vectors), hashcore.pack(vectors[:20]), 300)
    steps = (ranges[1] - ranges[0]) / 255  # a value is about its start + step * (byte + 128)
    _, ids = hashcore.rescore(vectors[:20] * steps, everything, theirs, 5)
    truth = np.argsort(-(vectors[:20] @ vectors.T), axis=1)[:, :5]
    shared = [len(np.intersect1d(*rows)) for rows in zip(ids, truth, strict=True)]
    assert np.mean(shared) > 4.8


@pytest.mark.parametrize(("values", "packed"), VESPA_PACK_BITS)
def test_vespa(values: list[float], packed: int) -> None:
    codes = hashcore.convert(np.array([packed], np.int8), source="int8_view")
    np.testing.assert_array_equal(codes, hashcore.pack(np.array(values)))


def test_vespa_hex(vectors: NDArray[np.float32]) -> None:
    """What is fed to Vespa as text: the hexadecimal digits of the same bytes."""
    digits = hashcore.pack(vectors[0]).tobytes().hex()
    cells = np.frombuffer(bytes.fromhex(digits), np.int8)
    np.testing.assert_array_equal(
        hashcore.convert(cells, source="int8_view"), hashcore.pack(vectors[0])
    )


def test_cohere(vectors: NDArray[np.float32]) -> None:
    """Lists of integers: ``ubinary`` is 0..255, ``binary`` the same less 128."""
    ubinary = np.packbits(vectors > 0, axis=1).astype(int).tolist()
    binary = [[byte - 128 for byte in row] for row in ubinary]
    expected = hashcore.pack(vectors)
    np.testing.assert_array_equal(
        hashcore.convert(np.array(binary, np.int8), source="int8_offset"), expected
    )
    np.testing.assert_array_equal(
        hashcore.convert(np.array(ubinary, np.uint8), source="ubinary"), expected
    )
