"""Writing prepared directories, block by block."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashcore.data._rows import Rows, row_blocks
from hashcore.data.prepared import CAPTIONS, MANIFEST, PARTS, VOCABULARY, FileRecord, Manifest
from hashcore.data.source import PairSource

Progress = Callable[[int, int], None]
_READ_BYTES = 1 << 20


def prepare(
    source: PairSource,
    out: str | os.PathLike[str],
    *,
    loader: str,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write a prepared directory; see `hashcore.data.prepared` for what is in it.

    Every value is checked on its way. The directory appears whole or not at all: it is written as
    `OUT.partial`, which a killed run leaves behind without a manifest and the next one clears.

    Args:
        source: the opened data set; one block of its rows is in memory at a time.
        out: the directory, which must not exist or be empty.
        loader: name of the set in `hashcore.data.DATASETS`, for the record.
        options: of the loader, for the record.
        progress: called with bytes done and bytes in all, of files read and arrays written.

    Returns:
        The manifest, which depends on the bytes of the source, the options and nothing else.

    Raises:
        ValueError: `out` is there already, another process writes it, or a value does not suit.
        DatasetFileError: a file holds a value that is none.
    """
    report = _Report(source, progress)
    with _appearing(Path(out)) as directory:
        origin = [
            {"name": file.name, **vars(file_record(file, report.add))} for file in source.files
        ]
        writer = _Writer(directory, source, report)
        writer.write()
        split = source.split
        manifest = Manifest(
            name=source.name,
            protocol=source.protocol,
            split_hash=split.hash,
            counts={
                "pairs": len(source),
                **{part: getattr(split, part).size for part in PARTS},
                "classes": source.labels.shape[1],
                "unlabelled": writer.unlabelled,
            },
            source={"loader": loader, "options": dict(options or {}), "files": origin},
            image_transform=source.image_transform,
            text_transform=source.text_transform,
            class_names=source.class_names,
            files=writer.files,
        )
        with (directory / MANIFEST).open("wb") as stream:
            stream.write(manifest.to_json().encode())
            _flush(stream)
    return manifest


def file_record(path: Path, done: Callable[[int], None] | None = None) -> FileRecord:
    """Size and sha256 of a file; `done` is called with the bytes of every piece that was read."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(_READ_BYTES):
            digest.update(piece)
            size += len(piece)
            if done is not None:
                done(len(piece))
    return FileRecord(size, digest.hexdigest())


class _Report:
    """Adds bytes up for the progress of a preparation."""

    def __init__(self, source: PairSource, progress: Progress | None) -> None:
        self._progress, self._done = progress, 0
        arrays = (source.image, source.text, source.labels)
        sizes = [int(np.prod(rows.shape)) * rows.dtype.itemsize for rows in arrays]
        self._total = sum(sizes) + sum(file.stat().st_size for file in source.files)

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


class _Writer:
    """Writes all files but the manifest into a directory, and takes their records.

    Attributes:
        files: the records by file name.
        unlabelled: pairs without any label.
    """

    def __init__(self, directory: Path, source: PairSource, report: _Report) -> None:
        self._directory, self._source, self._report = directory, source, report
        self.files: dict[str, FileRecord] = {}
        self.unlabelled = 0

    def write(self) -> None:
        source = self._source
        self._write_rows("image.npy", source.image, self._checker("image"))
        self._write_rows("text.npy", source.text, self._checker("text"))
        self._write_rows("labels.npy", source.labels, self._count_unlabelled)
        for part in PARTS:
            self._write_rows(f"{part}.npy", getattr(source.split, part), lambda block, row: None)
        if source.captions:
            self._write_text(CAPTIONS, json.dumps(source.captions, ensure_ascii=False))
        if source.vocabulary is not None:
            self._write_text(VOCABULARY, source.vocabulary.to_json())

    def _checker(self, modality: Literal["image", "text"]) -> Callable[[NDArray[Any], int], None]:
        return lambda block, row: self._source.check_block(modality, block, row)

    def _count_unlabelled(self, block: NDArray[Any], row: int) -> None:
        self.unlabelled += int(np.count_nonzero(~block.any(axis=1)))

    def _write_rows(
        self, name: str, rows: Rows, check: Callable[[NDArray[Any], int], None]
    ) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(rows.dtype),
            "fortran_order": False,
            "shape": rows.shape,
        }
        with self._file(name) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for part in row_blocks(rows):
                block = np.ascontiguousarray(rows[part])
                check(block, part.start)
                stream.write(block.data)
                self._report.add(block.nbytes)

    def _write_text(self, name: str, text: str) -> None:
        with self._file(name) as stream:
            stream.write((text + "\n").encode())

    @contextmanager
    def _file(self, name: str) -> Iterator[_HashedStream]:
        with (self._directory / name).open("wb") as stream:
            hashed = _HashedStream(stream)
            yield hashed
            _flush(stream)
        self.files[name] = FileRecord(hashed.size, hashed.digest.hexdigest())


class _HashedStream:
    """A stream that is written once through, with the sha256 and the size of what was written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.digest, self.size = stream, hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        written = self._stream.write(data)
        self.size += written
        return written


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """An empty directory that becomes `out` when the block ends well, and vanishes otherwise."""
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: is there already; remove it, or give another directory")
    partial = out.with_name(f"{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock = os.open(partial, os.O_RDONLY)
    try:
        if not _locked(lock, partial):
            raise ValueError(f"{partial}: another process is writing it")
        try:
            for file in partial.iterdir():  # of a run that was killed
                file.unlink()
            yield partial
            os.fsync(lock)
            partial.replace(out)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(lock)
    parent = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _locked(descriptor: int, path: Path) -> bool:
    """Take the lock of an opened directory; False where another has it, or has just renamed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
