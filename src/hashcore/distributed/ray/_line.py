"""A short way to a worker on this machine, beside Ray's calls: a socket between two processes.

A call of Ray goes through several threads of both processes and takes a millisecond and more, which
is as long as a search of a million codes. The socket lies in a folder that only this user may
enter, for as long as it takes to connect. What goes wrong is not told here: the caller asks again
through Ray, which says what it was.
"""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

_FAILED = b""

Answer = Callable[[Any, Callable[[], bool]], Any]
"""Of a request, and of a function that says whether the caller has given it up."""


class Line:
    """The caller's end. One call at a time has it, from ``send`` to ``receive`` or ``close``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._busy = threading.Lock()

    @classmethod
    def to(cls, connect: Callable[[str], bool]) -> Line | None:
        """Open one.

        Args:
            connect: Has the worker call ``serve`` with this path; returns what that returns.

        Returns:
            None where the worker cannot reach the path.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="hashcore-") as folder:
                path = str(Path(folder, "line"))
                with Listener(path, "AF_UNIX") as listener:
                    return cls(listener.accept()) if connect(path) else None
        except OSError:  # no such sockets here, or the path is too long for one
            return None

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more."""
        return self._connection.closed

    def send(self, request: bytes) -> bool:
        """Send a pickled request; False where another call has the line, or it is broken."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            self._connection.send_bytes(request)
        except OSError:
            self.close()
            return False
        except BaseException:
            self.close()
            raise
        return True

    def receive(self) -> Any:
        """The answer; None where there is none. Whatever ends the wait closes the line."""
        try:
            answer = self._connection.recv_bytes()
        except (EOFError, OSError):
            self.close()
            return None
        except BaseException:
            self.close()
            raise
        self._busy.release()
        return None if answer == _FAILED else pickle.loads(answer)

    def close(self) -> None:
        """Tell the worker that nobody waits."""
        self._connection.close()


def serve(path: str, answer: Answer) -> bool:
    """Answer what is sent by the ``Line`` at ``path``, in a thread of its own.

    Returns:
        Whether the path could be reached.
    """
    try:
        connection = Client(path, "AF_UNIX")
    except OSError:
        return False
    threading.Thread(target=_serve, args=(connection, answer), daemon=True).start()
    return True


def _serve(connection: Connection, answer: Answer) -> None:
    with connection:
        try:
            while True:
                request = pickle.loads(connection.recv_bytes())
                connection.send_bytes(_outcome(request, answer, connection.poll))
        except (EOFError, OSError):
            return  # the caller has closed it


def _outcome(request: Any, answer: Answer, is_given_up: Callable[[], bool]) -> bytes:
    try:
        return pickle.dumps(answer(request, is_given_up), pickle.HIGHEST_PROTOCOL)
    except Exception:
        return _FAILED
