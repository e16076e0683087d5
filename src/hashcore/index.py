"""An index of packed codes that grows, shrinks and persists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore import _core
from hashcore._arrays import Array, as_array
from hashcore._chunks import as_one_array
from hashcore._device import device_number
from hashcore._gpu_index import Changes, GpuIndex
from hashcore._index_args import IndexKind, Layout, encoded, mih_params, whole_codes
from hashcore.results import RangeResult, SearchResult, search_result
from hashcore.search import Filter, Progress, filter_pair, no_threads

__all__ = ["Index", "IndexKind", "Layout"]


class Index:
    """An exact index over packed codes with int64 ids of the caller's choice.

    Searches may run from several threads at once; a change runs alone, and before searches that
    come later.

    Codes with ids above all present ones are appended where the index can grow in place. Others
    wait beside it, and removed codes in it, until ``compact``: that costs searches time and the
    index memory, and never changes an answer.

    Args:
        bits: Width of a code, 1..65,536.
        kind: ``"flat"`` scans every code. ``"mih"`` looks codes up in hash tables (multi-index
            hashing; Norouzi, Punjani and Fleet, TPAMI 2014): near neighbours among many codes in a
            fraction of the time, for several times the memory; where a scan is cheaper, it scans.
            ``"auto"`` takes mih where it is expected to be clearly faster. Every kind gives the
            same answers.
        threads: Threads of this index's calls; default ``hashcore.num_threads()``.
        device: As of ``to``; ``"auto"`` is flat on a GPU.
        layout: Of mih: ``"fast"`` (default) or ``"compact"``, about half its memory for several
            times its search time.
        tables: Of mih: hash tables, 1..32; default by estimated search time.
        radius: Of mih: the distance out to which searches should be fast; default where the tenth
            neighbour of the codes lies.
        memory_budget: Of mih: the most bytes that its tables may take; default unbounded for
            ``"mih"``, half of the machine's memory for ``"auto"``.

    The tables of mih are built by the first ``add`` and by ``compact``; codes that later calls add
    are scanned until ``compact``. ``stats`` tells how many wait.
    """

    def __init__(
        self,
        bits: int,
        kind: IndexKind = "auto",
        *,
        threads: int | None = None,
        device: str = "cpu",
        layout: Layout | None = None,
        tables: int | None = None,
        radius: int | None = None,
        memory_budget: int | None = None,
    ) -> None:
        if device_number(device) is not None and kind == "auto":
            kind = "flat"
        params = mih_params(kind, layout, tables, radius, memory_budget)
        self._own(_core.Index(bits, kind, params, threads), device)

    def _own(self, engine: _core.Index, device: str, changes: Changes | None = None) -> Index:
        self._engine = engine
        self._changes = changes or Changes(engine)
        number = device_number(device)
        self._gpu = None if number is None else GpuIndex(engine, self._changes, number)
        return self

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str],
        codes: Array | Iterable[Array],
        ids: Array | None = None,
        *,
        bits: int | None = None,
        kind: IndexKind = "mih",
        layout: Layout | None = None,
        tables: int | None = None,
        radius: int | None = None,
        memory_budget: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Index:
        """Write an index file without ever holding the index, and map it.

        ``path`` is the old file, or none, until the new one is whole. Of kind mih, a kill, Ctrl-C
        or an error leaves ``<path>.building``: the next call with the same codes and arguments goes
        on with it, one with others replaces it, and it may be deleted.

        Args:
            path: The file.
            codes: uint8 ``[n, ceil(bits / 8)]``, an array or a ``numpy.memmap``, read several times
                and never copied; or an iterable of such arrays, which first go to a file without a
                name in the folder of ``path``.
            ids: int64 ``[n]``, ascending; default 0..n-1.
            bits: Width of a code; default 8 a byte.
            kind: As of the index.
            layout: As of the index.
            tables: As of the index.
            radius: As of the index.
            memory_budget: Bytes to hold while building, about; default half of the machine's
                memory. What is mapped of ``codes`` comes on top; the system can take it back.
            threads: Threads to build with, and of the index's calls.
            progress: Called with (done, total) now and then, counting codes read; total is 0
                while chunks still come.

        Raises:
            ValueError: ids out of order; a wrong width or argument.
            OSError: the system refused, or another process builds this file.
        """
        params = mih_params(kind, layout, tables, radius, None)
        given = None if ids is None else as_array(ids, "ids")
        with as_one_array(codes, Path(os.fsdecode(path)).parent, progress) as rows:
            width = 8 * rows.shape[1] if bits is None else bits
            _core.Index.build(
                encoded(path), rows, given, width, kind, params, memory_budget, threads, progress
            )
        return cls.load(path, mmap=True, verify=False, threads=threads)

    @classmethod
    def from_codes(
        cls,
        codes: Array,
        ids: Array | None = None,
        *,
        bits: int | None = None,
        kind: IndexKind = "flat",
        copy: bool = True,
        threads: int | None = None,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> Index:
        """Make an index of codes that are all there.

        Args:
            codes: uint8 ``[n, ceil(bits / 8)]``, C-contiguous; on a GPU as of ``add``.
            ids: int64 ``[n]``, each >= 0; default 0..n-1. They ascend where ``copy`` is false.
            bits: Width of a code; default 8 a byte.
            kind: As of the index; ``"flat"`` or ``"auto"`` where ``copy`` is false.
            copy: False searches ``codes``, an array or a ``numpy.memmap``, where they are. The
                index keeps them alive and never writes to them, and neither should anybody else.
            threads: Threads of this index's calls.
            device: As of ``to``; ``"cuda"`` is the GPU of the codes where they lie on one.
            progress: Called with (done, total) now and then while codes are copied.

        Raises:
            TypeError: another dtype than uint8.
            ValueError: an id that is negative, given twice, or out of order where ``copy`` is
                false; a wrong width; a kind or codes on a GPU, which have to be copied.
        """
        rows, device = whole_codes(codes, kind, copy, device)
        width = 8 * rows.shape[1] if bits is None else bits
        if copy:
            index = cls(width, kind, threads=threads, device=device)
            index.add(codes, ids, progress=progress)
            return index
        given = None if ids is None else as_array(ids, "ids")
        engine = _core.Index.borrow(rows, given, width, threads)
        return cls.__new__(cls)._own(engine, device)

    @property
    def device(self) -> str:
        """Where searches run: ``"cpu"`` or ``"cuda:N"``."""
        return "cpu" if self._gpu is None else f"cuda:{self._gpu.device}"

    def to(self, device: str) -> Index:
        """Make an index of the same codes whose searches run elsewhere.

        Changes of either are changes of both. A GPU scans every code, of an image that the first
        search makes there; where it has no room, codes pass through it. The image grows by codes
        with ids above all present ones. Other changes cost the next search a new one.
        ``device`` is ``"cpu"``, ``"cuda"`` (the first GPU) or ``"cuda:N"``.

        Raises:
            RuntimeError: no such device.
        """
        return type(self).__new__(type(self))._own(self._engine, device, self._changes)

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self._engine.bits

    @property
    def kind(self) -> str:
        """The kind in use, such as ``"flat"``."""
        return self._engine.kind

    @property
    def ids(self) -> NDArray[np.int64]:
        """All ids, ascending: int64 ``[len(index)]``, a copy."""
        return self._engine.ids

    @property
    def nbytes(self) -> int:
        """Bytes of codes and ids held in memory, mapped from a file or borrowed."""
        return self._engine.nbytes

    def __len__(self) -> int:
        return len(self._engine)

    def __contains__(self, id: int) -> bool:
        return id in self._engine

    def __repr__(self) -> str:
        where = ", mapped" if self._engine.mapped else ""
        where += "" if self._gpu is None else f", {self.device}"
        return (
            f"Index(bits={self.bits}, kind={self.kind!r}, codes={len(self):,}, "
            f"{self.nbytes / 2**20:,.1f} MiB{where})"
        )

    def add(
        self, codes: Array, ids: Array | None = None, *, progress: Progress | None = None
    ) -> NDArray[np.int64]:
        """Add codes. On any error, Ctrl-C included, nothing has been added.

        An index on a GPU takes tensors of PyTorch and arrays of CuPy that lie there as well. They
        are copied to the host, where the index is; an image of all codes so far, as a search leaves
        it, takes codes from where they are, on their library's current stream.

        Args:
            codes: uint8 ``[n, ceil(bits / 8)]``, or one row 1-D.
            ids: int64 ``[n]``, each >= 0 and not present, though one that was removed may come
                again; default: counting on from the highest id there ever was.
            progress: Called with (done, total) now and then.

        Returns:
            The ids of the codes, int64 ``[n]``.

        Raises:
            TypeError: another dtype, or an array on a GPU for an index on the CPU.
            ValueError: an id that is negative, given twice or present already; a wrong width; an
                array on another GPU.
        """
        if self._gpu is not None:
            return self._gpu.add(codes, ids, progress)
        given = None if ids is None else as_array(ids, "ids")
        return self._changes.add(as_array(codes, "codes"), given, progress)

    def remove(self, ids: Array) -> int:
        """Remove codes. Ids that no code has change nothing. On any error nothing is removed.

        Other ids stay as they are. The codes' memory is given back by ``compact``; until then
        searches pass over them.

        Args:
            ids: int64 ``[n]``, in any order.

        Returns:
            How many codes were removed.

        Raises:
            ValueError: a negative id.
        """
        return self._changes.remove(as_array(ids, "ids"))

    def compact(self, *, progress: Progress | None = None) -> None:
        """Rewrite the index as if it held its present codes from the start.

        Searches are fastest then, and memory is least. An index that was mapped or made with
        ``copy=False`` holds its codes in memory afterwards. Ids stay, and automatic ids go on as
        before. Where there is nothing to do, nothing is done. On any error, Ctrl-C included, the
        index is as before.

        Args:
            progress: Called with (done, total) now and then.
        """
        self._engine.compact(progress)

    def stats(self) -> dict[str, Any]:
        """Say what the index holds.

        Returns:
            ``kind``, ``bits``, ``codes``; ``removed`` and ``delta``, codes that ``compact`` would
            drop and move; ``bytes``, ``bytes_per_code``; ``mapped``, whether any of it is read from
            its file; what the kind adds; and ``device``. Of a GPU also ``device_bytes`` of codes
            there, whether they pass through (``streamed``), and ``scan``, the kernel that the last
            search took: ``"popc"`` or ``"b1"``.
        """
        found = self._engine.stats()
        return found | ({"device": "cpu"} if self._gpu is None else self._gpu.stats())

    def search(
        self,
        queries: Array,
        k: int = 10,
        *,
        filter: Filter | None = None,
        max_distance: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        """Find the k nearest codes of each query.

        Args:
            queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
            k: Hits a query, >= 0; may exceed ``len(index)``.
            filter: Which codes may be hits.
            max_distance: Take only codes within this distance, inclusive.
            threads: Threads of this call.
            progress: Called with (done, total) now and then, counting pairs.
        """
        if self._gpu is not None:
            no_threads(self.device, threads)
            found = self._gpu.search(queries, k, filter_pair(filter), max_distance, progress)
            return search_result(*found)
        rows, allowed = as_array(queries, "queries"), filter_pair(filter)
        arrays = self._engine.search(rows, k, allowed, max_distance, threads, progress)
        return search_result(arrays, rows.ndim == 1)

    def range_search(
        self,
        queries: Array,
        radius: int,
        *,
        filter: Filter | None = None,
        max_results: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> RangeResult:
        """Find every code within ``radius`` of each query, inclusive.

        Args:
            queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
            radius: Largest distance to take, >= 0.
            filter: Which codes may be hits.
            max_results: Keep only so many of each query, the best by (distance, id).
            threads: Threads of this call.
            progress: As of ``search``.
        """
        if self._gpu is not None:
            no_threads(self.device, threads)
            allowed = filter_pair(filter)
            found = self._gpu.range_search(queries, radius, allowed, max_results, progress)
            return RangeResult(*found)
        rows, allowed = as_array(queries, "queries"), filter_pair(filter)
        arrays = self._engine.range_search(rows, radius, allowed, max_results, threads, progress)
        return RangeResult(*arrays)

    def get(self, ids: Array) -> NDArray[np.uint8]:
        """Return the codes of ``ids``: uint8 ``[m, ceil(bits / 8)]``.

        Raises:
            KeyError: an id that is not in the index.
        """
        return self._engine.get(as_array(ids, "ids"))

    def save(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Write the index to one file, atomically: a kill leaves the old file or the new one.

        A symbolic link stays, and what it points to is replaced. A kill can also leave
        ``<path>.tmp-<number>``, which nothing reads and which may be deleted.

        Raises:
            OSError: the system refused; the file is the old one, or none, or the whole new one.
        """
        self._engine.save(encoded(path), progress)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap: bool = False,
        verify: bool = True,
        threads: int | None = None,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> Index:
        """Read an index that ``save`` wrote.

        Args:
            path: The file.
            mmap: Leave the codes in the file and read them as searches need them.
            verify: Check every byte against its checksum first. The header is always checked; what
                else is damaged gives wrong answers without it, and of kind mih may end the process.
            threads: Threads of this index's calls.
            device: As of ``to``.
            progress: Called with (done, total) now and then, counting bytes.

        Raises:
            FormatError: truncated, damaged, foreign, or of another format version.
            OSError: the system refused.
        """
        engine = _core.Index.load(encoded(path), mmap, verify, threads, progress)
        return cls.__new__(cls)._own(engine, device)
