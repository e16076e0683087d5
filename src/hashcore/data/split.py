"""Which rows train, which ask, and which are searched."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore._files import replacing

_PARTS = ("train", "query", "database")
AS_PUBLISHED = "as the files split it; database: the training rows"


def _row_ids(name: str, value: object) -> NDArray[np.int64]:
    """Check one part and return it as a read-only int64 [n] array of its own."""
    rows = np.asarray(value)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(
            f"split.{name}: expected a 1-D integer array of row ids; got {describe(rows)}"
        )
    rows = rows.astype(np.int64)
    if rows.size and rows.min() < 0:
        raise ValueError(f"split.{name}: row ids must be >= 0; got {int(rows.min())}")
    distinct, counts = np.unique(rows, return_counts=True)
    if distinct.size != rows.size:
        twice = distinct[counts > 1]
        raise ValueError(
            f"split.{name}: {twice.size} row ids stand there twice; first: {twice[:5].tolist()}"
        )
    rows.flags.writeable = False
    return rows


@dataclass(frozen=True, eq=False)
class Split:
    """Row ids of the training, query and database parts.

    Database rows may be training rows (the `encoded` protocol of small sets); query rows are
    in neither.

    Attributes:
        train: int64 [n], rows that are trained on.
        query: int64 [Q], rows that are searched for; nothing may be chosen on them.
        database: int64 [N], rows that are searched in.

    Raises:
        ValueError: a part is not a 1-D array of distinct, non-negative integers, or query rows
            are also training or database rows.
    """

    train: NDArray[np.int64]
    query: NDArray[np.int64]
    database: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in _PARTS:
            object.__setattr__(self, name, _row_ids(name, getattr(self, name)))
        for name in ("train", "database"):
            shared = np.intersect1d(self.query, getattr(self, name))
            if shared.size:
                raise ValueError(
                    f"split: {shared.size} query rows are also {name} rows; "
                    f"first: {shared[:5].tolist()}"
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Split) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def hash(self) -> str:
        """Sha256 (hex) over the name, length and little-endian int64 bytes of every part."""
        digest = hashlib.sha256()
        for name in _PARTS:
            rows: NDArray[np.int64] = getattr(self, name)
            digest.update(f"{name}:{rows.size}\n".encode())
            digest.update(rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the split as JSON; the file appears whole or not at all."""
        target = Path(path)
        document = {
            "format": "hashcore.split",
            "version": 1,
            "hash": self.hash,
            **{name: getattr(self, name).tolist() for name in _PARTS},
        }
        with replacing(target) as stream:
            stream.write((json.dumps(document) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Split:
        """Read a split written by `save`.

        Raises:
            FileNotFoundError: no file there.
            ValueError: not a split file, or its rows do not have the hash that it states.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            document = json.loads(text)
            if document["format"] != "hashcore.split" or document["version"] != 1:
                raise ValueError("format")
            parts = {name: np.array(document[name], dtype=np.int64) for name in _PARTS}
            stated = document["hash"]
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{path}: not a hashcore split file (version 1)") from error
        split = cls(**parts)
        if split.hash != stated:
            raise ValueError(f"{path}: the rows do not match the hash in the file; it was edited")
        return split


@dataclass(frozen=True)
class Draw:
    """How a split is drawn where a set comes without one.

    Attributes:
        queries: rows of the query part.
        train: rows of the training part; all that are no queries when None.
        database: "rest", all rows that are no queries, or "train".
        seed: of the drawing, `numpy.random.RandomState(seed).permutation(N)`: queries first, then
            training rows. Every part is in ascending order.
    """

    queries: int
    train: int | None = None
    database: Literal["rest", "train"] = "rest"
    seed: int = 0

    def split(self, n: int) -> Split:
        """The split of n rows.

        Raises:
            ValueError: there are not as many rows, or a part would be empty.
        """
        train = n - self.queries if self.train is None else self.train
        if min(self.queries, train) < 1 or self.queries + train > n:
            raise ValueError(
                f"split: expected queries >= 1 and training rows >= 1, together at most the {n:,} "
                f"rows there are; got {self.queries:,} queries and {train:,} training rows. "
                "The options queries and train_rows set them"
            )
        order = np.random.RandomState(self.seed).permutation(n)
        query, rest = order[: self.queries], order[self.queries :]
        chosen = np.sort(rest[:train])
        return Split(
            train=chosen,
            query=np.sort(query),
            database=np.sort(rest) if self.database == "rest" else chosen,
        )

    def __str__(self) -> str:
        train = "all other" if self.train is None else f"{self.train:,} training"
        database = {"rest": "all rows that are no queries", "train": "the training rows"}
        return (
            f"{self.queries:,} query and {train} rows drawn by seed {self.seed}; "
            f"database: {database[self.database]}"
        )
