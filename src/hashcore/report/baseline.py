"""What retrieval reaches without labels: canonical correlation analysis and signs."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_IMAGE_COMPONENTS = 160
_RIDGE = 1e-2
_PADDING = 0


def _words_and_pairs(tokens: NDArray[np.int64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Counts of words and of neighbouring words that the training rows hold twice or more."""
    grams = [
        [(a,) for a in row if a != _PADDING] + [(a, b) for a, b in pairwise(row) if b != _PADDING]
        for row in tokens.tolist()
    ]
    seen = Counter(gram for row in train.tolist() for gram in set(grams[row]))
    column = {gram: i for i, gram in enumerate(sorted(g for g, n in seen.items() if n >= 2))}
    counts = np.zeros((len(tokens), len(column)))  # [N, D]
    for row, found in enumerate(grams):
        for gram in found:
            if gram in column:
                counts[row, column[gram]] += 1
    return counts


def _flat(array: NDArray[Any], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Any modality as float64 [N, D], centred on the training rows."""
    if array.dtype == np.int64:
        flat = _words_and_pairs(array, train)
    else:
        flat = array.reshape(len(array), -1).astype(np.float64)
    return np.asarray(flat - flat[train].mean(axis=0))


def _whiten(x: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Leading principal components of x [N, D], each divided by its ridged deviation."""
    own = x[train]
    covariance = own.T @ own / max(len(train) - 1, 1)  # [D, D]
    values, vectors = np.linalg.eigh(covariance)
    kept = np.flatnonzero(values > 1e-9 * values[-1])[::-1][:_IMAGE_COMPONENTS]
    scale = np.sqrt(values[kept] + _RIDGE * values[kept].mean())
    return np.asarray((x @ vectors[:, kept]) / scale)


def _pool(image: NDArray[Any]) -> NDArray[Any]:
    """Pixels at half the side, float32: the eigenvectors of all of them would take seconds."""
    if image.ndim != 4:
        return image
    n, channels, height, width = image.shape
    even = image[:, :, : height // 2 * 2, : width // 2 * 2].astype(np.float32)
    return np.asarray(even.reshape(n, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5)))


def cca_sign(
    image: NDArray[Any],
    text: NDArray[Any],
    train: NDArray[np.int64],
    bits: int,
    *,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Codes from canonical correlation analysis (H. Hotelling, 1936) and signs; no labels.

    Images are flattened pixels or features; token ids become counts of words and word pairs.
    Both are reduced to principal components, whitened and turned to the directions in which the
    training pairs correlate most. Where there are fewer directions than bits, random directions
    in their space give the bits.

    Args:
        image: [N, D] features or uint8 [N, 3, H, W].
        text: [N, D] features or int64 [N, L] token ids.
        train: row ids to fit on.
        bits: width of the codes.
        seed: of the random directions.

    Returns:
        Packed codes of all images and of all texts, uint8 [N, ceil(bits / 8)] each.
    """
    x = _whiten(_flat(_pool(image), train), train)
    y = _whiten(_flat(text, train), train)
    left, strength, right = np.linalg.svd(x[train].T @ y[train] / len(train), full_matrices=False)
    kept = min(bits, len(strength))
    u = (x @ left[:, :kept]) * strength[:kept]  # [N, kept]
    v = (y @ right[:kept].T) * strength[:kept]
    if kept < bits:
        directions = np.random.default_rng(seed).standard_normal((kept, bits))
        u, v = u @ directions, v @ directions
    return np.packbits(u > 0, axis=1), np.packbits(v > 0, axis=1)
