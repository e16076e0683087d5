"""Paired images and texts with labels, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore.data.split import Split
from hashcore.data.vocabulary import Vocabulary

TRANSFORMS = ("none", "sqrt", "log")


def _check_features(name: str, array: NDArray[Any], transform: str) -> None:
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise ValueError(f"{name}: {bad} values are NaN or infinite")
    if transform != "none" and array.size and array.min() < 0:
        raise ValueError(
            f'{name}: transform "{transform}" needs values >= 0; the least is {array.min():g}'
        )


def _check_modality(
    name: str, array: NDArray[Any], transform: str, *, features: bool, other: str
) -> None:
    if transform not in TRANSFORMS:
        raise ValueError(f'{name}_transform: expected one of {TRANSFORMS}; got "{transform}"')
    if features and array.ndim == 2 and array.dtype == np.float32:
        _check_features(name, array, transform)
    elif features or (array.dtype == np.float32):
        raise ValueError(f"{name}: expected float32 [N, D] or {other}; got {describe(array)}")
    elif transform != "none":
        raise ValueError(f'{name}_transform: "{transform}" is for float32 features only')


@dataclass(frozen=True, eq=False)
class CrossModalDataset:
    """N pairs of an image and a text, their labels, and the split.

    Attributes:
        name: what the set is called in reports and checkpoints.
        image: float32 [N, D] features, or uint8 [N, 3, H, W] pixels.
        text: float32 [N, D] features, or int64 [N, L] token ids (0 is padding).
        labels: bool [N, C], the classes of each pair.
        split: which rows train, ask and are searched.
        image_transform: "none", "sqrt" or "log"; the trainer applies it to the features before
            it standardises them.
        text_transform: the same for the text features.
        class_names: C names, or none.
        captions: N texts as written, or none.
        vocabulary: what made the token ids; None for text features.

    Raises:
        ValueError: shapes, dtypes or row counts disagree, a feature is NaN or infinite, a
            token or row id is out of range, or a transform does not suit the values.
    """

    name: str
    image: NDArray[Any]
    text: NDArray[Any]
    labels: NDArray[np.bool_]
    split: Split
    image_transform: str = "none"
    text_transform: str = "none"
    class_names: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        pixels = self.image.dtype == np.uint8 and self.image.ndim == 4 and self.image.shape[1] == 3
        tokens = self.text.dtype == np.int64 and self.text.ndim == 2
        _check_modality(
            "image",
            self.image,
            self.image_transform,
            features=not pixels,
            other="uint8 [N, 3, H, W]",
        )
        _check_modality(
            "text", self.text, self.text_transform, features=not tokens, other="int64 [N, L]"
        )
        self._check_rows()
        if tokens:
            self._check_tokens()
        elif self.vocabulary is not None:
            raise ValueError("vocabulary: given, but text holds features, not token ids")

    def _check_rows(self) -> None:
        if self.labels.dtype != np.bool_ or self.labels.ndim != 2:
            raise ValueError(f"labels: expected bool [N, C]; got {describe(self.labels)}")
        rows = {"image": len(self.image), "text": len(self.text), "labels": len(self.labels)}
        if self.captions:
            rows["captions"] = len(self.captions)
        if len(set(rows.values())) > 1:
            found = ", ".join(f"{name} {n}" for name, n in rows.items())
            raise ValueError(f"rows disagree: {found}")
        if self.class_names and len(self.class_names) != self.labels.shape[1]:
            raise ValueError(
                f"class_names: expected {self.labels.shape[1]}; got {len(self.class_names)}"
            )
        for part in ("train", "query", "database"):
            ids: NDArray[np.int64] = getattr(self.split, part)
            if ids.size and ids.max() >= len(self):
                raise ValueError(
                    f"split.{part}: row {int(ids.max())} is past the {len(self)} rows of the data"
                )

    def _check_tokens(self) -> None:
        if not self.text.size:
            return
        low, high = int(self.text.min()), int(self.text.max())
        if low < 0:
            raise ValueError(f"text: token ids must be >= 0; got {low}")
        if self.vocabulary is not None and high >= len(self.vocabulary):
            raise ValueError(
                f"text: token id {high} is past the {len(self.vocabulary)} of the vocabulary"
            )

    def __len__(self) -> int:
        return len(self.image)

    @property
    def image_kind(self) -> Literal["features", "pixels"]:
        """What `image` holds."""
        return "pixels" if self.image.ndim == 4 else "features"

    @property
    def text_kind(self) -> Literal["features", "tokens"]:
        """What `text` holds."""
        return "tokens" if self.text.dtype == np.int64 else "features"

    def describe(self) -> str:
        """One line: name, rows of each part, shapes, classes."""
        split = self.split
        same = np.array_equal(split.train, split.database)
        database = "the training rows" if same else f"{split.database.size:,} rows"
        return (
            f"{self.name}: {len(self):,} pairs, train {split.train.size:,}, "
            f"query {split.query.size:,}, database {database}; "
            f"image {self.image_kind} {list(self.image.shape[1:])}, "
            f"text {self.text_kind} {list(self.text.shape[1:])}, {self.labels.shape[1]} classes"
        )
