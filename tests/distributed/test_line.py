"""A socket to a worker: what is sent, what is given up, and what breaks."""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from hashcore.distributed.ray._line import Line, serve


class Worker:
    """Answers with what it was sent, or as it is told to."""

    def __init__(self) -> None:
        self.started, self.may_end, self.ended = (threading.Event() for _ in range(3))
        self.given_up: list[bool] = []

    def answer(self, request: Any, is_given_up: Callable[[], bool]) -> Any:
        if request == "fail":
            raise ValueError("no")
        if request == "function":
            return lambda: None  # cannot be pickled
        if request == "wait":
            self.started.set()
            self.may_end.wait()
            self.given_up.append(is_given_up())
            self.ended.set()
        return request


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def line(worker: Worker) -> Iterator[Line]:
    opened = Line.to(lambda path: serve(path, worker.answer))
    assert opened is not None
    yield opened
    with suppress(OSError):
        opened.close()


def asked(line: Line, request: Any) -> Any:
    assert line.send(pickle.dumps(request))
    return line.receive()


def test_requests_are_answered_in_turn(line: Line) -> None:
    for request in (1, "text", b"x" * (20 << 20), {"a": [1.5]}):
        assert asked(line, request) == request


def test_a_failure_is_no_answer_and_the_line_stays(line: Line) -> None:
    for request in ("fail", "function"):
        assert asked(line, request) is None
        assert not line.closed
    assert asked(line, 3) == 3


def test_one_call_at_a_time(line: Line, worker: Worker) -> None:
    assert line.send(pickle.dumps("wait"))
    assert not line.send(pickle.dumps(1))
    worker.may_end.set()
    assert line.receive() == "wait"
    assert worker.given_up == [False]
    assert asked(line, 1) == 1


def test_a_closed_line_tells_the_worker(line: Line, worker: Worker) -> None:
    assert line.send(pickle.dumps("wait"))
    assert worker.started.wait(10)
    line.close()
    worker.may_end.set()
    assert worker.ended.wait(10)
    assert worker.given_up == [True]
    assert line.closed


def test_an_interrupted_wait_closes_the_line(
    line: Line, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> bytes:
        raise KeyboardInterrupt

    assert line.send(pickle.dumps(1))
    monkeypatch.setattr(line._connection, "recv_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        line.receive()
    assert line.closed
    assert not line.send(pickle.dumps(1))


def test_a_worker_that_dies_is_no_answer() -> None:
    ours, theirs = Pipe()
    line = Line(ours)
    assert line.send(pickle.dumps(1))
    theirs.close()
    assert line.receive() is None
    assert line.closed
    assert not line.send(pickle.dumps(1))


def test_a_path_that_cannot_be_reached_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not serve("/nowhere/line", lambda request, is_given_up: request)
    assert Line.to(lambda path: serve(path + "-elsewhere", lambda r, g: r)) is None
    long = Path(tempfile.gettempdir(), "x" * 120)
    long.mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert Line.to(lambda path: True) is None
    long.rmdir()


def test_only_this_user_can_connect_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes = []

    def connect(path: str) -> bool:
        modes.append(Path(path).parent.stat().st_mode & 0o777)
        return serve(path, worker.answer)

    line = Line.to(connect)
    if line is None:
        pytest.skip("the folder of temporary files is too long for a socket")
    assert modes == [0o700]
    assert list(tmp_path.iterdir()) == []
    assert asked(line, 5) == 5
    line.close()
