"""Shards of an index, written by the workers of a Ray cluster."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import Array, as_array, describe
from hashcore._extras import needs
from hashcore.distributed.manifest import MANIFEST_NAME, ShardManifest
from hashcore.distributed.ray._cluster import check_at_least_one, cpus, in_parallel, raise_cause
from hashcore.distributed.shard import Shard, leftovers, write_shard
from hashcore.index import IndexKind, Layout
from hashcore.search import Progress

with needs("ray"):
    import ray
    from ray.exceptions import RayTaskError

if TYPE_CHECKING:
    from ray.data import Dataset


class IndexOptions(TypedDict, total=False):
    """Arguments of ``Index.build`` that every shard is built with."""

    bits: int | None
    kind: IndexKind
    layout: Layout | None
    tables: int | None
    radius: int | None
    memory_budget: int | None


def build(
    codes: Array | Dataset,
    folder: str | os.PathLike[str],
    *,
    ids: Array | str | None = None,
    column: str | None = None,
    codes_per_shard: int = 10_000_000,
    threads: int = 1,
    progress: Progress | None = None,
    **options: Unpack[IndexOptions],
) -> ShardManifest:
    """Build an index in shards, each by a task of its own, and write their manifest.

    Files appear whole, and the manifest after them: an index that is in the folder stays as it is
    until the new one takes its place, and its files are removed then. After a kill, Ctrl-C or an
    error, the same call takes the shards that are there and goes on with those that were begun;
    the codes are read again to see that they are the same.

    Args:
        codes: uint8 ``[n, ceil(bits / 8)]``. Of a ``numpy.memmap`` every task maps its own rows,
            and nothing is sent; of another array every task is sent its rows, a few tasks at a
            time. Or a Ray Dataset, read once and never held, whose rows have an id each.
        folder: Where shards and ``shards.json`` go: one path for all nodes, for shards only.
        ids: int64 ``[n]``, in any order; default 0..n-1. Of a Dataset the name of their column.
        column: Of a Dataset, the name of the column of codes; default ``"codes"``.
        codes_per_shard: The most codes of a shard.
        threads: CPUs that a task reserves and builds with.
        progress: Called with (done, total) as shards end, counting codes; total is 0 of a Dataset.
        **options: ``bits``, ``kind`` (default ``"auto"``), ``layout``, ``tables``, ``radius`` and
            ``memory_budget``, as of ``Index.build``, for each shard. Tasks share out half of a
            machine's memory where no budget is given.

    Returns:
        The manifest, as written to ``folder / "shards.json"``.

    Raises:
        TypeError: codes that are not uint8 rows, ids that are not int64.
        ValueError: an id that is given twice; no row; a wrong width or argument.
        OSError: the system refused, or the nodes do not share the folder.
    """
    check_at_least_one(codes_per_shard, "codes_per_shard")
    check_at_least_one(threads, "threads")
    target = Path(os.path.abspath(folder))
    at_once = max(1, cpus() // threads) + 1
    settings = {"folder": target, "threads": threads, "options": options}
    rows: Any = as_array(codes, "codes")  # a Dataset as it is
    if isinstance(rows, np.ndarray):
        if column is not None:
            raise ValueError(f"column: an array has none; got {column!r}. Datasets have.")
        start = partial(ray.remote(num_cpus=threads)(_write).remote, **settings)
        starts = _starts(rows, ids, codes_per_shard, start)
        found, total = in_parallel(starts, at_once), len(rows)
    else:
        names = (column or "codes", ids)
        found, total = _of_dataset(codes, names, codes_per_shard, settings), 0
    shards: list[Shard] = []
    for shard in found:
        shards.append(shard)
        if progress is not None:
            progress(sum(each.codes for each in shards), total)
    if not shards:
        raise ValueError("codes: expected a Dataset of at least one row; got none.")
    return _finish(target, shards)


def _finish(folder: Path, shards: list[Shard]) -> ShardManifest:
    """Write the manifest and remove what it does not name."""
    manifest = ShardManifest(tuple(sorted(shards, key=lambda s: (s.first_id or 0, s.path))))
    for shard in manifest.shards:
        shard.open(verify=False)  # to see that the folder is one
    manifest.check_ids()
    manifest.save(folder / MANIFEST_NAME)
    for path in leftovers(folder, keep=(shard.path for shard in manifest.shards)):
        path.unlink(missing_ok=True)
    return manifest


@dataclass(frozen=True)
class _Mapped:
    """Rows of a file, which whoever unpickles this maps for itself."""

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]

    def rows(self) -> NDArray[Any]:
        """The rows, mapped."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def _sent(rows: NDArray[Any]) -> NDArray[Any] | _Mapped:
    """What to send to a worker instead of rows: where they are mapped from, if they are."""
    root: Any = rows
    while isinstance(root.base, np.memmap):
        root = root.base
    mapped = isinstance(root, np.memmap) and root.filename is not None and root.mode != "c"
    if not mapped or not rows.flags.c_contiguous or not rows.size:
        return rows
    offset = root.offset + rows.ctypes.data - root.ctypes.data
    return _Mapped(os.path.abspath(root.filename), rows.dtype.str, offset, rows.shape)


def _starts(
    codes: NDArray[Any], ids: object, codes_per_shard: int, start: Callable[..., Any]
) -> Iterator[Callable[[], Any]]:
    """Of every shard the call that starts its task."""
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise TypeError(f"codes: expected uint8 [n, bytes]; got {describe(codes)}.")
    given: Any = None if ids is None else as_array(ids, "ids")  # type: ignore[arg-type]
    if given is not None and getattr(given, "dtype", None) != np.int64:
        raise TypeError(f"ids: expected int64 [{len(codes)}]; got {describe(given)}.")
    if given is not None and given.shape != (len(codes),):
        raise ValueError(f"ids: expected int64 [{len(codes)}]; got {describe(given)}.")
    number = max(1, -(-len(codes) // codes_per_shard))
    bounds = [len(codes) * i // number for i in range(number + 1)]
    for first, last in itertools.pairwise(bounds):
        part = _sent(codes[first:last])
        yield partial(start, part, first if given is None else _sent(given[first:last]))


def _write(
    codes: NDArray[np.uint8] | _Mapped,
    ids: NDArray[np.int64] | _Mapped | int,
    *,
    folder: Path,
    threads: int,
    options: IndexOptions,
) -> Shard:
    """What a worker does: write a shard; an ``ids`` that is a number is the first of a row."""
    rows = codes.rows() if isinstance(codes, _Mapped) else codes
    if isinstance(ids, int):
        numbers = np.arange(ids, ids + len(rows))
    else:
        numbers = ids.rows() if isinstance(ids, _Mapped) else ids
    budget = options.get("memory_budget")
    if budget is None:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        budget = pages // 2 * threads // max(threads, os.cpu_count() or 1)
    within: IndexOptions = {**options, "memory_budget": budget}
    return write_shard(folder, rows, numbers, threads=threads, **within)


def _of_dataset(
    dataset: Any,
    names: tuple[str, object],
    codes_per_shard: int,
    settings: dict[str, Any],
) -> Iterator[Shard]:
    """Shards of a Dataset, as they are written."""
    with needs("ray"):
        from ray.data import Dataset
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"codes: expected uint8 [n, bytes] or a ray.data.Dataset; got {describe(dataset)}."
        )
    codes, ids = names
    if not isinstance(ids, str):
        raise TypeError(
            "ids: expected the name of the Dataset's column of int64 ids, for rows come in no "
            f"certain order; got {describe(ids)}."
        )
    blocks = dataset.select_columns([codes, ids]).repartition(
        target_num_rows_per_block=codes_per_shard, strict=True
    )
    written = blocks.map_batches(
        _write_batch,
        batch_size=None,
        batch_format="numpy",
        fn_kwargs={"codes": codes, "ids": ids, "settings": settings},
        num_cpus=settings["threads"],
    )
    try:
        for row in written.iter_rows():
            made = pickle.loads(row["made"])
            if isinstance(made, Exception):
                raise made
            yield made
    except RayTaskError as error:
        raise_cause(error)


def _write_batch(
    batch: dict[str, NDArray[Any]], *, codes: str, ids: str, settings: dict[str, Any]
) -> dict[str, NDArray[Any]]:
    """The same for a block of a Dataset; one without rows gives no shard.

    An error is returned: of what a block raises, Ray Data keeps the text only.
    """
    rows = batch[codes]
    if rows.dtype == object and len({len(row) for row in rows}) == 1:  # lists instead of tensors
        rows = np.stack(list(rows))
    if not len(rows):
        return {"made": np.empty(0, dtype=object)}
    try:
        made: Shard | Exception = _write(np.ascontiguousarray(rows), batch[ids], **settings)
    except Exception as error:
        made = error
    return {"made": np.array([pickle.dumps(made)], dtype=object)}
