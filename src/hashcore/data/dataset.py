"""Paired images and texts with labels, checked when they are made."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore.data._rows import Rows, row_blocks, value_error
from hashcore.data.split import Split
from hashcore.data.subwords import Subwords
from hashcore.data.vocabulary import Vocabulary

Transform = Literal["none", "sqrt", "log", "isotropic"]
"""What may be applied to features before they are standardised."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs of an image and a text, their labels and the split, wherever the rows lie.

    Attributes:
        name: what the set is called in reports and checkpoints.
        image: float32 [N, D] features, or uint8 [N, 3, H, W] pixels.
        text: float32 [N, D] features, or int64 [N, L] token ids (0 is padding).
        labels: bool [N, C], the classes of each pair.
        split: which rows train, ask and are searched.
        image_transform: "none", "sqrt" or "log"; the trainer applies it to the features before
            it standardises them column by column. "isotropic": all columns are divided by one
            number, since their spread tells how much they matter (principal components).
        text_transform: the same for the text features.
        class_names: C names, or none.
        captions: N texts as written, or none.
        vocabulary: what made the token ids; None for text features.

    Raises:
        ValueError: shapes, dtypes or row counts disagree, a part of the split is empty or names a
            row that is not there, or a transform does not suit the kind of data.
    """

    name: str
    image: Rows
    text: Rows
    labels: Rows
    split: Split
    image_transform: str = "none"
    text_transform: str = "none"
    class_names: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    vocabulary: Vocabulary | Subwords | None = None

    def _check_layout(self) -> None:
        shape = self.image.shape
        if not (self.image.dtype == np.uint8 and len(shape) == 4 and shape[1] == 3):
            _check_features("image", self.image, "uint8 [N, 3, H, W]")
        if not (self.text.dtype == np.int64 and len(self.text.shape) == 2):
            _check_features("text", self.text, "int64 [N, L]")
        _check_transform("image", self.image_transform, self.image_kind)
        _check_transform("text", self.text_transform, self.text_kind)
        if self.vocabulary is not None and self.text_kind != "tokens":
            raise ValueError("vocabulary: given, but text holds features, not token ids")
        if self.labels.dtype != np.bool_ or len(self.labels.shape) != 2 or not self.labels.shape[1]:
            raise ValueError(f"labels: expected bool [N, C]; got {describe(self.labels)}")
        for name in ("image", "text"):
            rows: Rows = getattr(self, name)
            if 0 in rows.shape[1:]:
                raise ValueError(f"{name}: rows without values; got {describe(rows)}")
        self._check_rows()

    def _check_rows(self) -> None:
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
            if not ids.size:
                raise ValueError(f"split.{part}: empty; expected at least one row")
            if ids.max() >= len(self):
                raise ValueError(
                    f"split.{part}: row {int(ids.max())} is past the {len(self)} rows of the data"
                )

    def check_block(
        self, modality: Literal["image", "text"], block: NDArray[Any], first_row: int
    ) -> None:
        """Check the values of rows first_row and on of one modality.

        Raises:
            ValueError: a feature is NaN, infinite, or below zero where a transform forbids it; a
                token id is out of range. Names the first such row.
        """
        transform = self.image_transform if modality == "image" else self.text_transform
        tokens = None if self.vocabulary is None else len(self.vocabulary)
        if wrong := value_error(block, transform, first_row=first_row, tokens=tokens):
            raise ValueError(f"{modality}: {wrong}")

    def __len__(self) -> int:
        return len(self.image)

    @property
    def image_kind(self) -> Literal["features", "pixels"]:
        """What `image` holds."""
        return "pixels" if len(self.image.shape) == 4 else "features"

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


def _check_features(name: str, rows: Rows, other: str) -> None:
    if rows.dtype != np.float32 or len(rows.shape) != 2:
        raise ValueError(f"{name}: expected float32 [N, D] or {other}; got {describe(rows)}")


def _check_transform(name: str, transform: str, kind: str) -> None:
    known = get_args(Transform)
    if transform not in known:
        raise ValueError(f'{name}_transform: expected one of {known}; got "{transform}"')
    if transform != "none" and kind != "features":
        raise ValueError(f'{name}_transform: "{transform}" is for float32 features only')


@dataclass(frozen=True, eq=False)
class CrossModalDataset(Pairs):
    """Pairs whose rows are arrays: in memory, or `numpy.memmap`s of a prepared directory.

    Attributes:
        values_checked: the values were checked when the arrays were written; otherwise all of
            them are read and checked here, block by block.

    Raises:
        ValueError: as `Pairs`; or a feature is NaN or infinite, a token id is out of range, or a
            transform does not suit the values.
    """

    image: NDArray[Any]
    text: NDArray[Any]
    labels: NDArray[np.bool_]
    values_checked: InitVar[bool] = False

    def __post_init__(self, values_checked: bool) -> None:
        self._check_layout()
        if values_checked:
            return
        modalities: tuple[Literal["image", "text"], ...] = ("image", "text")
        for modality in modalities:
            array: NDArray[Any] = getattr(self, modality)
            for rows in row_blocks(array):
                self.check_block(modality, array[rows], rows.start)
