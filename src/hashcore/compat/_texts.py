"""Texts by id, found by the codes of their vectors: a vector store without the library's words."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashcore.codes import pack, unpack
from hashcore.index import Index, IndexKind
from hashcore.rescoring import rescore
from hashcore.search import Filter

Kept = Literal["int8", "float32", "none"]
KEPT: Mapping[str, type[np.generic] | None] = {
    "int8": np.int8,
    "float32": np.float32,
    "none": None,
}
_FEW_HOLES = 1024


class Text(NamedTuple):
    """A text with its id and what is known about it."""

    id: str
    text: str
    metadata: dict[str, Any]


Hit = tuple[Text, int, float]
"""A text that was found, its row and its score, higher for nearer."""


def int8_rows(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Each row scaled to -127..127 and rounded: its direction is kept, its length is not."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors * (127 / np.where(largest > 0, largest, 1)).astype(np.float32)
    rounded: NDArray[np.float32] = np.rint(scaled)
    return rounded.astype(np.int8)


def as_vectors(values: Any, count: int, width: int | None) -> NDArray[np.float32]:
    """What an encoder returned as float32 ``[count, width]``.

    Raises:
        ValueError: not ``count`` rows of one width, another width than ``width``, or a value that
            is not finite in float32.
    """
    try:
        with np.errstate(over="ignore"):
            vectors = np.array(values, np.float32)
    except (TypeError, ValueError) as error:
        raise _wrong_shape(count, width, str(error)) from None
    if vectors.ndim != 2 or len(vectors) != count or width not in (None, vectors.shape[1]):
        raise _wrong_shape(count, width, "x".join(map(str, vectors.shape)))
    finite = np.isfinite(vectors)
    if not finite.all():
        raise ValueError(
            "embeddings: expected finite numbers; got NaN or infinity in number "
            f"{finite.all(axis=1).argmin()}."
        )
    return vectors


def _wrong_shape(count: int, width: int | None, got: str) -> ValueError:
    of = "one width" if width is None else f"{width} numbers"
    return ValueError(f"embeddings: expected {count} vectors of {of}; got {got}.")


class TextStore:
    """Texts in rows by time of arrival, with a code of each vector and, to rescore, the vector.

    Its methods may be called from several threads; they take turns.

    Args:
        kept: What is kept of a vector beside its code: ``"int8"``, ``"float32"`` or ``"none"``.
        kind: Of the index.
        threads: Of the index and of rescoring.
    """

    def __init__(self, kept: Kept, kind: IndexKind, threads: int | None) -> None:
        if kept not in KEPT:
            raise ValueError(f"vectors: expected one of {', '.join(map(repr, KEPT))}; got {kept!r}")
        Index(8, kind, threads=threads)  # raises where an argument is wrong
        self.kept, self.kind, self.threads = kept, kind, threads
        self.lock = threading.RLock()
        self.index: Index | None = None
        self.rows: list[Text | None] = []  # None where a text was removed
        self.vectors: NDArray[Any] | None = None  # [>= len(rows), D]
        self._row_of: dict[str, int] = {}

    @property
    def width(self) -> int | None:
        """Length of a vector; None before there was any."""
        return None if self.index is None else self.index.bits

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, texts: Sequence[Text], vectors: NDArray[np.float32]) -> None:
        """Add texts; one whose id is there already takes that one's place, as the latest.

        Args:
            texts: Of an id that occurs twice, the last counts.
            vectors: float32 ``[len(texts), D]``, as ``as_vectors`` returns them.
        """
        with self.lock:
            last = list({text.id: number for number, text in enumerate(texts)}.values())
            if not last:
                return
            texts, vectors = [texts[number] for number in last], vectors[last]
            index = self.index or Index(vectors.shape[1], self.kind, threads=self.threads)
            first, end = len(self.rows), len(self.rows) + len(texts)
            kept = self._room_for(end, vectors.shape[1])
            if kept is not None:
                kept[first:end] = int8_rows(vectors) if self.kept == "int8" else vectors
            index.add(pack(vectors), np.arange(first, end))
            self.index, self.vectors = index, kept
            replaced = [row for text in texts if (row := self._row_of.get(text.id)) is not None]
            self.rows += texts
            self._row_of.update({text.id: first + n for n, text in enumerate(texts)})
            self._drop(replaced)

    def remove(self, ids: Iterable[str] | None) -> None:
        """Remove texts, all of them for None; ids that are not there change nothing."""
        with self.lock:
            if ids is None:
                self.index, self.vectors, self.rows, self._row_of = None, None, [], {}
                return
            rows = [self._row_of.pop(id) for id in dict.fromkeys(ids) if id in self._row_of]
            self._drop(rows)

    def get(self, ids: Iterable[str]) -> list[Text]:
        """The texts of ids, in their order, without those that are not there."""
        with self.lock:
            rows = [self._row_of[id] for id in ids if id in self._row_of]
            return [text for row in rows if (text := self.rows[row]) is not None]

    def search(
        self,
        vector: NDArray[np.float32],
        k: int,
        *,
        shortlist: int,
        allow: Callable[[Text], bool] | None = None,
        max_distance: int | None = None,
    ) -> list[Hit]:
        """The k best texts, by (score, best first; time of arrival).

        Args:
            vector: float32 ``[D]``.
            k: >= 0.
            shortlist: How many nearest codes are scored, at least k of them; of no use where no
                vectors are kept.
            allow: Which texts may be found.
            max_distance: Differing bits that a code may have at most.

        Returns:
            With scores that are cosines: of the vectors, or of their signs, 1 - 2 * distance / D,
            where no vectors are kept.
        """
        if operator.index(k) < 0:
            raise ValueError(f"k: expected >= 0; got {k}.")
        with self.lock:
            if self.index is None:
                return []
            filter = None if allow is None else Filter.allow(self._allowed(allow))
            count = k if self.vectors is None else max(k, shortlist)
            code = pack(vector)
            near = self.index.search(code, count, filter=filter, max_distance=max_distance)
            if self.vectors is None:
                found = near.ids[: near.counts]
                scores: list[float] = (1 - 2 * near.distances[: near.counts] / len(vector)).tolist()
            else:
                stored = self.vectors[: len(self.rows)]
                cosines, ids = rescore(
                    vector, near, stored, k, metric="cosine", threads=self.threads
                )
                found = ids[: near.counts]
                scores = cosines[: near.counts].tolist()
            rows = zip(found.tolist(), scores, strict=True)
            return [(text, row, score) for row, score in rows if (text := self.rows[row])]

    def compared(
        self, vector: NDArray[np.float32], hits: Sequence[Hit]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What scores are cosines of: ``vector`` [D] and the vectors of hits [n, D], or signs."""
        with self.lock:
            rows = np.array([row for _, row, _ in hits], np.int64)
            if self.vectors is not None:
                return vector, self.vectors[rows].astype(np.float32)
            assert self.index is not None
            signs = unpack(self.index.get(rows), self.index.bits, signed=True)
            return np.where(vector > 0, 1, -1).astype(np.float32), signs.astype(np.float32)

    def compact(self) -> None:
        """Give back what removed texts took. Rows change, their order does not."""
        with self.lock:
            live = np.array([row for row, text in enumerate(self.rows) if text], np.int64)
            if self.index is None:
                return
            if len(live) == len(self.rows):
                self.index.compact()
                return
            codes = self.index.get(live)
            self.index = Index.from_codes(
                codes, bits=self.index.bits, kind=self.kind, threads=self.threads
            )
            if self.vectors is not None:
                self.vectors = self.vectors[live]
            self.rows = [text for text in self.rows if text]
            self._row_of = {text.id: row for row, text in enumerate(self.rows) if text}

    def adopt(
        self, index: Index | None, vectors: NDArray[Any] | None, texts: Sequence[Text]
    ) -> None:
        """Take over what was stored: codes and vectors of rows 0..len(texts) - 1."""
        self.index, self.vectors, self.rows = index, vectors, list(texts)
        self._row_of = {text.id: row for row, text in enumerate(texts)}

    def _allowed(self, allow: Callable[[Text], bool]) -> NDArray[np.int64]:
        rows = [row for row, text in enumerate(self.rows) if text and allow(text)]
        return np.array(rows, np.int64)

    def _room_for(self, count: int, width: int) -> NDArray[Any] | None:
        """The kept vectors in an array of at least ``count`` rows that can be written to."""
        dtype = KEPT[self.kept]
        if dtype is None:
            return None
        if self.vectors is not None and count <= len(self.vectors):
            return self.vectors
        larger = np.empty((max(count, 2 * len(self.rows)), width), dtype)
        if self.vectors is not None:
            larger[: len(self.rows)] = self.vectors[: len(self.rows)]
        return larger

    def _drop(self, rows: list[int]) -> None:
        if rows and self.index is not None:
            self.index.remove(np.array(rows, np.int64))
            for row in rows:
                self.rows[row] = None
            holes = len(self.rows) - len(self._row_of)
            if holes > max(_FEW_HOLES, len(self._row_of)):
                self.compact()
