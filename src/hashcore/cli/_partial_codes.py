"""A file of codes that grows over several runs and appears when it is whole."""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hashcore._files import replacing

_FORMAT = "hashcore.partial-codes"
_SYNC_SECONDS = 1.0


class PartialCodes:
    """Codes on their way into `path`, a `.npy` file of uint8 [rows, width].

    `<path>.partial` holds the codes so far. `<path>.partial.json` says of what they are codes and
    how many of them are on the disk; it is replaced after them, about once a second, so that a kill
    at any moment costs that second. The last code gives the file its name.

    Attributes:
        partial: the file of the codes so far.
        done: number of codes that are kept.
        digest: what `append` was told of their inputs.
    """

    def __init__(
        self, path: Path, identity: dict[str, Any], rows: int, width: int, *, restart: bool = False
    ) -> None:
        """Begin, or go on where an interrupted run of the same `identity` stopped.

        Args:
            path: the final name.
            identity: what the codes depend on beside the inputs; plain JSON values.
            rows: number of codes.
            width: bytes a code.
            restart: begin anew, whatever is there.

        Raises:
            ValueError: what is there is of another identity or damaged, or in use.
        """
        self.partial = path.with_name(f"{path.name}.partial")
        self._state = path.with_name(f"{path.name}.partial.json")
        self._path, self._rows, self._width = path, rows, width
        self._identity = {**identity, "rows": rows, "bytes a code": width}
        self.done, self.digest = 0, ""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = _open_alone(self.partial)
        try:
            if not restart and self._state.is_file():
                self._take_up()
            self._stream.truncate(self._size() if self.done else 0)
            if not self.done:
                self._stream.write(_header(rows, width))
        except BaseException:
            self._stream.close()
            raise
        self._synced = time.monotonic()

    def append(self, codes: NDArray[np.uint8], digest: str) -> None:
        """Add the next codes; `digest` stands for the inputs of all codes so far."""
        self._stream.write(np.ascontiguousarray(codes).data)
        self.done, self.digest = self.done + len(codes), digest
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self._sync()

    def __enter__(self) -> PartialCodes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stream:
            if kind is None and self.done == self._rows:
                self._finish()
            elif self.done:
                self._sync()
            else:
                self.partial.unlink()
                self._state.unlink(missing_ok=True)

    def _take_up(self) -> None:
        try:
            state = json.loads(self._state.read_bytes())
            identity, done, digest = state["of"], int(state["done"]), str(state["digest"])
            if state["format"] != _FORMAT or state["version"] != 1:
                raise ValueError("format")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._state}: not the state of an interrupted run; --restart begins anew"
            ) from error
        held = os.fstat(self._stream.fileno()).st_size
        if not held:  # the codes have got their name, or their file was taken away
            return
        if changed := [key for key in self._identity if identity.get(key) != self._identity[key]]:
            told = "; ".join(f"{k}: {identity.get(k)}, now {self._identity[k]}" for k in changed)
            raise ValueError(
                f"{self.partial}: holds codes of an interrupted run with another {told}. "
                "--restart begins anew"
            )
        self.done, self.digest = done, digest
        if not 0 < done <= self._rows or held < self._size():
            raise ValueError(f"{self.partial}: cut short; --restart begins anew")

    def _size(self) -> int:
        """Bytes of the header and the codes so far."""
        return len(_header(self._rows, self._width)) + self.done * self._width

    def _sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        state = {
            "format": _FORMAT,
            "version": 1,
            "of": self._identity,
            "done": self.done,
            "digest": self.digest,
        }
        with replacing(self._state) as stream:
            stream.write((json.dumps(state, indent=1) + "\n").encode())
        self._synced = time.monotonic()

    def _finish(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.partial.replace(self._path)
        self._state.unlink(missing_ok=True)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _header(rows: int, width: int) -> bytes:
    """The header of the .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": (rows, width)}
    )
    return stream.getvalue()


def _open_alone(path: Path) -> IO[bytes]:
    """`path`, made where it is not, for this process alone; writes go to its end."""
    stream = path.open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        stream.close()
        raise ValueError(f"{path}: another process is writing it") from None
    except BaseException:
        stream.close()
        raise
    return stream
