"""Runs side by side, in processes that are kept from run to run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_PATIENCE = 5.0
"""Seconds in which a process may end in its own way."""


@dataclass(frozen=True)
class Failed:
    """What went wrong, on one line."""

    reason: str


def as_they_end(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Generator[tuple[int, Result | Failed], None, None]:
    """Apply a function to items, several at a time; the first items start first.

    A call that raises, or whose process dies, does not keep the others from running. Closing the
    iterator, as Ctrl-C does, ends calls that run.

    Args:
        function: of a module's top level.
        items: what it is applied to.
        jobs: processes.

    Yields:
        Position of an item and its result, in the order in which they end.
    """
    waiting = deque(enumerate(items))
    workers = [_Worker[Item, Result](function) for _ in range(min(jobs, len(items)))]
    try:
        for worker in workers:
            worker.take(waiting)
        while busy := [worker for worker in workers if worker.position >= 0]:
            ready = wait([worker.connection for worker in busy])
            for worker in (worker for worker in busy if worker.connection in ready):
                position, result = worker.position, worker.result()
                worker.take(waiting)
                yield position, result
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[Item, Result]):
    """A process that applies the function to one item after the other."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._function = function
        self.position = -1
        self._start()

    def take(self, waiting: deque[tuple[int, Item]]) -> None:
        """Begin with the next item; `position` is -1 where there is none."""
        self.position = -1
        if waiting:
            self.position, item = waiting.popleft()
            with suppress(BrokenPipeError):  # it has died: `result` will say so
                self.connection.send(item)

    def result(self) -> Result | Failed:
        """What the process says; where it has died, another one takes its place."""
        try:
            found: Result | Failed = self.connection.recv()
        except EOFError:
            self.process.join()
            found = Failed(f"its process ended with exit code {self.process.exitcode}")
            self._start()
        return found

    def end(self) -> None:
        """Stop, in the middle of a call too."""
        self.process.terminate()
        self.process.join(_PATIENCE)
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self._function, theirs), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()  # so that the death of the process is the end of the connection


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process started here never sees Ctrl-C, which a terminal sends to a whole group."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(function: Callable[[Item], Result], connection: Connection) -> None:
    # Python's own end, so that what libraries hold in the system is given back.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            connection.send(_attempt(function, connection.recv()))
    except (EOFError, BrokenPipeError):
        return  # whoever started this process has ended


def _end_with_parent() -> None:
    """Leave a call that nobody waits for: whoever is killed cannot end its processes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | Failed:
    try:
        return function(item)
    except Exception as error:
        return Failed(" ".join(f"{type(error).__name__}: {error}".split()))
