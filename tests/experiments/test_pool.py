"""Processes side by side: their results, their errors, their deaths."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path

from hashcore.experiments.pool import Failed, as_they_end


def answer(item: int | str) -> int:
    """Half of an even number; odd ones raise, "die" ends the process."""
    if isinstance(item, str):
        os.kill(os.getpid(), signal.SIGKILL)
    elif item % 2:
        raise ValueError(f"{item}\nis odd")
    return int(item) // 2


def mark(file: Path) -> int:
    """Say which process runs, then take longer than any test."""
    file.write_text(str(os.getpid()))
    time.sleep(1000)
    return 0


def wait_for(file: Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(file.read_text())


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_errors_and_deaths_come_with_their_position() -> None:
    items: list[int | str] = [4, 5, "die", 8, 10, "die", 12]
    found = dict(as_they_end(answer, items, 2))
    assert found[1] == Failed("ValueError: 5 is odd")
    assert found[2] == found[5] == Failed("its process ended with exit code -9")
    assert {i: r for i, r in found.items() if i not in (1, 2, 5)} == {0: 2, 3: 4, 4: 5, 6: 6}


def test_no_items_start_no_process() -> None:
    assert list(as_they_end(answer, [], 2)) == []


def test_closing_ends_calls_that_run(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    items: list[int | Path] = [4, slow]
    with closing(as_they_end(mark_or_answer, items, 2)) as ended:
        assert next(ended) == (0, 2)
        process = wait_for(slow)
        assert alive(process)
    assert not alive(process)


def mark_or_answer(item: int | Path) -> int:
    """`mark` for a file, `answer` for a number."""
    return mark(item) if isinstance(item, Path) else answer(item)
