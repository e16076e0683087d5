"""A measurement in a process of its own, so that its memory is nobody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ChildFailedError(RuntimeError):
    """The process of a measurement ended with an error, which it has printed."""


def run_module(module: str, *arguments: str) -> str:
    """Run a module and return what it printed; its errors and bars go to stderr.

    Ctrl-C reaches it once, through this process, and is waited for.

    Raises:
        ChildFailedError: it ended with an error.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    if process.returncode != 0:
        raise ChildFailedError(f"{module} ended with status {process.returncode}")
    return printed
