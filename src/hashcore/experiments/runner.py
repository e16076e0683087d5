"""Does the runs that are not kept yet, keeps each as it ends, and says how far it is."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any

from hashcore.experiments.held import Entry, Held
from hashcore.experiments.measure import Outcome, perform, sources
from hashcore.experiments.plan import Cell, DataSource, Run
from hashcore.experiments.pool import Failed, as_they_end
from hashcore.experiments.store import Store, cell_settings, digest, fingerprint, settings

Say = Callable[[str], None]


class Runner:
    """Runs, as a store keeps them.

    Args:
        store: what is kept.
        jobs: runs at a time, a process each.
        say: takes lines about what happens.
    """

    def __init__(self, store: Store, *, jobs: int = 1, say: Say) -> None:
        if jobs < 1:
            raise ValueError(f"jobs: expected >= 1; got {jobs}")
        self.store, self._jobs, self._say = store, jobs, say
        self._data: dict[DataSource, tuple[str, str]] = {}
        self._held: dict[str, Entry] = {}

    def take_over(self, held: Held, cells: Iterable[Cell]) -> None:
        """Count what earlier results hold of these cells as done."""
        for cell in cells:
            entry = held.entry(cell, self._known(cell.first.data)[0])
            if entry is not None:
                self._held |= {digest(self._settings(run)): entry for run in cell.runs}

    def held(self, cell: Cell) -> Entry | None:
        """What was taken over of a cell."""
        return self._held.get(digest(self._settings(cell.first)))

    def settings_of(self, cell: Cell) -> dict[str, Any]:
        """What the outcomes of a cell depend on, but the sources of the package."""
        return cell_settings(cell.first, self._known(cell.first.data)[0])

    def outcome(self, run: Run) -> Outcome | None:
        """What is kept of a run."""
        return self.store.read(self._settings(run))

    def complete(self, runs: Iterable[tuple[str, Run]], *, fresh: bool = False) -> list[str]:
        """Do the runs that are not kept.

        Args:
            runs: names and runs, in the order in which they start; equal runs are done once.
            fresh: do also those that are kept.

        Returns:
            What went wrong, a line a run; all others are kept now.
        """
        every = {digest(self._settings(run)): (name, run) for name, run in runs}
        known = {} if fresh else {k: o for k, (_, r) in every.items() if (o := self.outcome(r))}
        held = {} if fresh else {k: self._held[k] for k in every.keys() - known if k in self._held}
        todo = [run for key, run in every.items() if key not in known and key not in held]
        self._say(f"{len(every)} runs: {len(every) - len(todo)} are done, {len(todo)} to do")
        made_by = [[o.sources] for o in known.values()] + [e["sources"] for e in held.values()]
        if old := sum(each != [sources()] for each in made_by):
            self._say(f"{old} of them by other sources of methods and trainer; --fresh does all")
        clock = _Clock(self._jobs)
        for key, before in known.items():
            clock.note(every[key][1], before)
        try:
            return self._do(todo, clock, len(every))
        except KeyboardInterrupt as stop:
            done = sum(k in held or self.outcome(r) is not None for k, (_, r) in every.items())
            kept = f"{done} of {len(every)} runs are kept in {self.store.folder}"
            self._say(f"interrupted: {kept}; the same command goes on")
            raise KeyboardInterrupt("what is kept has been said") from stop

    def _do(self, todo: Sequence[tuple[str, Run]], clock: _Clock, of: int) -> list[str]:
        """Do runs, keep their outcomes, tell of each; what went wrong."""
        failed = []
        left = {i: run for i, (_, run) in enumerate(todo)}
        with closing(as_they_end(perform, list(left.values()), self._jobs)) as ended:
            for i, outcome in ended:
                name, run = todo[i]
                del left[i]
                head = f"[{of - len(left)}/{of}] {name}"
                if isinstance(outcome, Failed):
                    failed.append(f"{name}: {outcome.reason}")
                    self._say(f"{head}: failed: {outcome.reason}")
                    continue
                self.store.write(self._settings(run), outcome)
                clock.note(run, outcome)
                self._say(f"{head}: {_summary(outcome)}; {clock.left(left.values())}")
        return failed

    def describe(self, source: DataSource) -> str:
        """One line about a data set."""
        return self._known(source)[1]

    def _settings(self, run: Run) -> dict[str, Any]:
        return settings(run, self._known(run.data)[0])

    def _known(self, source: DataSource) -> tuple[str, str]:
        """Fingerprint and description of a data set, which is loaded once."""
        if source not in self._data:
            dataset = source.load()
            self._data[source] = fingerprint(dataset), dataset.describe()
        return self._data[source]


class _Clock:
    """How long the runs that are left will take, from those that have ended."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def note(self, run: Run, outcome: Outcome) -> None:
        """A run has ended."""
        key = run.data.name, run.method
        self._seconds.setdefault(key, []).append(outcome.train_seconds + outcome.encode_seconds)

    def left(self, runs: Iterable[Run]) -> str:
        """Time for these runs, in words; a method that was never met takes the mean of all."""
        means = {key: statistics.fmean(seconds) for key, seconds in self._seconds.items()}
        usual = statistics.fmean(means.values())
        seconds = sum(means.get((r.data.name, r.method), usual) for r in runs) / self._jobs
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def _summary(outcome: Outcome) -> str:
    parts = []
    for protocol, directions in outcome.figures.items():
        shown = " ".join(f"{figures['map']:.3f}" for figures in directions.values())
        parts.append(f"{protocol} {shown}")
    return f"{', '.join(parts)} in {outcome.train_seconds:.1f} s"
