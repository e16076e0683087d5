"""What a person sees while a training runs, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from tqdm import tqdm

from hashcore.train import distributed

QUIET_SECONDS = 2.0
LINE_EVERY_SECONDS = 5.0


class Progress:
    """A bar with loss terms and time left on a terminal; elsewhere a line now and then.

    A run shorter than two seconds prints nothing where stderr is no terminal.
    """

    def __init__(self, title: str, steps: int, done: int, *, shown: bool) -> None:
        self._title, self._steps, self._done, self._first = title, steps, done, done
        shown = shown and distributed.current().first
        self._terminal = shown and sys.stderr.isatty()
        self._lines = shown and not self._terminal
        self._started = time.monotonic()
        self._next_line = self._started + QUIET_SECONDS
        self._bar = tqdm(
            total=steps,
            initial=done,
            desc=title,
            unit="step",
            disable=not self._terminal,
            dynamic_ncols=True,
        )
        self._validation = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def step(self) -> None:
        """One batch is done."""
        self._done += 1
        self._bar.update()

    def epoch(
        self, epoch: int, epochs: int, terms: Mapping[str, float], scores: Mapping[str, float]
    ) -> None:
        """One epoch is done, with the means of its loss terms and its validation scores."""
        losses = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
        if scores:
            self._validation = " ".join(f"{name} {value:.3f}" for name, value in scores.items())
        shown = f"{losses} | val {self._validation}" if self._validation else losses
        if self._terminal:
            self._bar.set_postfix_str(shown, refresh=False)
        now = time.monotonic()
        if self._lines and now >= self._next_line:
            self._next_line = now + LINE_EVERY_SECONDS
            spent = now - self._started
            left = spent / max(self._done - self._first, 1) * (self._steps - self._done)
            print(
                f"{self._title}: epoch {epoch}/{epochs} {shown} | {spent:.0f} s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
