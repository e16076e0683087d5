"""One shard: an index file that is what its manifest says."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashcore import FormatError
from hashcore._arrays import Array, as_array, describe
from hashcore._files import sha256_of
from hashcore.index import Index, IndexKind, Layout
from hashcore.results import RangeResult, SearchResult
from hashcore.search import Filter, Progress

_HASHED_AT_A_TIME = 1 << 24
_OWN_NAME = re.compile(r"shard-[0-9a-f]{32}\.hci(\.building|\.tmp-\d+)?")
_REPAIR = "Put the right file there, or build the index again."


@dataclass(frozen=True)
class Shard:
    """An index file and what it has to hold.

    Attributes:
        path: The file; it is made absolute, for workers stand elsewhere.
        bits: Width of its codes.
        codes: How many it holds.
        first_id: The lowest id; None where there is no code.
        last_id: The highest id; None where there is no code.
        nbytes: Size of the file.
        sha256: Digest of the file, 64 hexadecimal digits.
    """

    path: Path
    bits: int
    codes: int
    first_id: int | None
    last_id: int | None
    nbytes: int
    sha256: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(os.path.abspath(self.path)))

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Shard:
        """Describe an index file, every byte of which is checked.

        Raises:
            FormatError: not a whole index file.
            OSError: the system refused.
        """
        index = Index.load(path, mmap=True)
        return cls._described(Path(path), index.bits, index.ids)

    @classmethod
    def _described(cls, path: Path, bits: int, ids: NDArray[np.int64] | range) -> Shard:
        first, last = (int(ids[0]), int(ids[-1])) if len(ids) else (None, None)
        return cls(path, bits, len(ids), first, last, path.stat().st_size, sha256_of(path))

    def open(self, *, verify: bool = True, threads: int | None = None) -> Index:
        """Map the file.

        Args:
            verify: Read it all and compare its sha256 first. Size, width and number of codes are
                always compared.
            threads: Threads of the index's calls.

        Raises:
            FileNotFoundError: there is no such file.
            FormatError: it is not the file that is expected.
            OSError: the system refused.
        """
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.path}: expected a shard of {self.codes:,} codes; got no file. {_REPAIR}"
            ) from None
        self._expect("bytes", self.nbytes, size)
        if verify:
            self._expect("sha256", self.sha256, sha256_of(self.path))
        index = Index.load(self.path, mmap=True, verify=False, threads=threads)
        self._expect("bits", self.bits, index.bits)
        self._expect("codes", self.codes, len(index))
        return index

    def _expect(self, what: str, expected: int | str, got: int | str) -> None:
        if expected != got:
            raise FormatError(f"{self.path}: expected {what} {expected}; got {got}. {_REPAIR}")


def search_shard(
    shard: Shard | str | os.PathLike[str],
    queries: Array,
    k: int = 10,
    *,
    filter: Filter | None = None,
    max_distance: int | None = None,
    threads: int | None = None,
    verify: bool = True,
) -> SearchResult:
    """Map a shard and find the k nearest of its codes; ``hashcore.merge`` joins such answers.

    Who searches a shard often opens it once: ``Shard.open(...).search(...)``.

    Args:
        shard: One of a manifest, or the path of any index file.
        queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
        k: Hits a query, >= 0.
        filter: Which codes may be hits, by the ids of the whole index. A mask is one of this
            shard's codes: ``ShardManifest.filter_of`` cuts one of the whole index.
        max_distance: Take only codes within this distance, inclusive.
        threads: Threads to use; default ``hashcore.num_threads()``.
        verify: Check every byte of the file first.

    Raises:
        FormatError: the file is damaged or not the one that is expected.
        OSError: the system refused; FileNotFoundError where there is no file.
    """
    index = _opened(shard, verify, threads)
    return index.search(queries, k, filter=filter, max_distance=max_distance)


def range_search_shard(
    shard: Shard | str | os.PathLike[str],
    queries: Array,
    radius: int,
    *,
    filter: Filter | None = None,
    max_results: int | None = None,
    threads: int | None = None,
    verify: bool = True,
) -> RangeResult:
    """Map a shard and find its codes within ``radius``; ``hashcore.merge_ranges`` joins answers.

    Args:
        shard: One of a manifest, or the path of any index file.
        queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
        radius: Largest distance to take, >= 0.
        filter: As of ``search_shard``.
        max_results: Keep only so many of each query, the best by (distance, id).
        threads: Threads to use; default ``hashcore.num_threads()``.
        verify: Check every byte of the file first.

    Raises:
        FormatError: the file is damaged or not the one that is expected.
        OSError: the system refused; FileNotFoundError where there is no file.
    """
    index = _opened(shard, verify, threads)
    return index.range_search(queries, radius, filter=filter, max_results=max_results)


def _opened(shard: Shard | str | os.PathLike[str], verify: bool, threads: int | None) -> Index:
    if isinstance(shard, Shard):
        return shard.open(verify=verify, threads=threads)
    return Index.load(shard, mmap=True, verify=verify, threads=threads)


def write_shard(
    folder: str | os.PathLike[str],
    codes: Array,
    ids: Array | None = None,
    *,
    bits: int | None = None,
    kind: IndexKind = "auto",
    layout: Layout | None = None,
    tables: int | None = None,
    radius: int | None = None,
    memory_budget: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Shard:
    """Write a shard into ``folder``, out of core and atomically, under a name that tells its input.

    The name is made of a digest of codes, ids and arguments: a shard that an interrupted run has
    finished is checked and taken as it is, one that it has begun goes on.

    Args:
        folder: Where the file goes.
        codes: uint8 ``[n, ceil(bits / 8)]``, an array or a ``numpy.memmap``.
        ids: int64 ``[n]``, in any order (codes that are out of order are copied); default 0..n-1.
        bits: As of ``Index.build``, and so are the rest.
        kind: Kind of the index.
        layout: Of mih.
        tables: Of mih.
        radius: Of mih.
        memory_budget: Bytes to hold while building, about.
        threads: Threads to build with.
        progress: Called with (done, total) now and then, counting codes read.

    Raises:
        TypeError: codes that are not uint8 rows, ids that are not int64.
        ValueError: an id that is negative or given twice; a wrong width or argument.
        OSError: the system refused.
    """
    rows, given = _in_id_order(as_array(codes, "codes"), ids)
    width = 8 * rows.shape[1] if bits is None else bits
    recipe = f"{width} {kind} {layout} {tables} {radius}"
    path = Path(folder) / f"shard-{_digest_of(recipe, rows, given)}.hci"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (path.exists() and _is_whole(path)):
        Index.build(
            path,
            rows,
            given,
            bits=width,
            kind=kind,
            layout=layout,
            tables=tables,
            radius=radius,
            memory_budget=memory_budget,
            threads=threads,
            progress=progress,
        )
    return Shard._described(path, width, range(len(rows)) if given is None else given)


def _in_id_order(
    codes: NDArray[np.uint8], ids: Array | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """Codes and ids, sorted by id where they are not.

    Raises:
        TypeError: codes that are not uint8 rows, ids that are not int64.
        ValueError: another number of ids than of codes, or an id that is given twice.
    """
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8 or codes.ndim != 2:
        raise TypeError(f"codes: expected uint8 [n, bytes]; got {describe(codes)}.")
    if ids is None:
        return codes, None
    given = as_array(ids, "ids")
    if not isinstance(given, np.ndarray) or given.dtype != np.int64:
        raise TypeError(f"ids: expected int64 [{len(codes)}]; got {describe(given)}.")
    if given.shape != (len(codes),):
        raise ValueError(f"ids: expected int64 [{len(codes)}]; got {describe(given)}.")
    if np.all(given[1:] > given[:-1]):
        return codes, given
    order = np.argsort(given)
    given = given[order]
    if len(twice := given[1:][given[1:] == given[:-1]]):
        raise ValueError(f"ids: expected a different one for every code; got {twice[0]} twice.")
    return codes[order], given


def leftovers(folder: Path, keep: Iterable[Path]) -> list[Path]:
    """Files that ``write_shard`` made in ``folder``, whole or not, beside those to keep."""
    kept = {path.name for path in keep}
    names = (path.name for path in folder.iterdir())
    return [folder / name for name in names if _OWN_NAME.fullmatch(name) and name not in kept]


def _is_whole(path: Path) -> bool:
    try:
        Index.load(path, mmap=True)
    except FormatError:
        return False
    return True


def _digest_of(recipe: str, *arrays: NDArray[np.uint8] | NDArray[np.int64] | None) -> str:
    """Half of a sha256 over a shard's input."""
    digest = hashlib.sha256(recipe.encode())
    for array in arrays:
        digest.update(b"\0none" if array is None else f"\0{array.dtype} {array.shape}".encode())
        if array is not None and array.size:
            rows_at_a_time = max(1, _HASHED_AT_A_TIME * len(array) // array.nbytes)
            for start in range(0, len(array), rows_at_a_time):
                digest.update(np.ascontiguousarray(array[start : start + rows_at_a_time]).data)
    return digest.hexdigest()[:32]
