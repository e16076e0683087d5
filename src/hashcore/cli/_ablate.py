"""`hashcore train --ablate`: what each component of a method brings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from hashcore.cli._run_directory import Source
from hashcore.experiments.plan import Cell, DataSource, Experiment, Run, ablation, with_seeds
from hashcore.experiments.results import rows_of
from hashcore.experiments.runner import Runner
from hashcore.experiments.store import Store
from hashcore.experiments.tables import ablation_table
from hashcore.train import TrainConfig

_FOLDER = "ablation"
RUN_FAILED = 1


def ablate(
    source: Source,
    method: str,
    bits: int,
    config: Any,
    train: TrainConfig,
    *,
    seeds: int,
    jobs: int,
    out: Path,
) -> int:
    """Train with all components on and with each off, and print a table.

    Runs are kept in `out`, and the same call goes on after an interrupt.

    Args:
        source: the data set.
        method: name in `METHODS`.
        bits: width of the codes.
        config: with all components on.
        train: how each training runs; `seed` is the first of the seeds.
        seeds: how many.
        jobs: trainings at a time.
        out: run directory; a folder in it keeps the runs.

    Returns:
        The exit code: 1 where a run failed.

    Raises:
        ValueError: no seeds, or an option that an ablation does not have.
        KeyboardInterrupt: interrupted; what is kept has been said.
    """
    if seeds < 1:
        raise ValueError(f"--seeds: expected >= 1; got {seeds}")
    if train.resume:
        raise ValueError("--resume: an ablation goes on by itself; leave it out")
    train = dataclasses.replace(train, checkpoint_dir=None, progress=False)
    data = DataSource(source.name, source.name, source.path, tuple(source.options.items()))
    run = Run(data, method, bits, config, train, ("unseen", "encoded"))
    numbers = range(train.seed, train.seed + seeds)
    cells = (Cell("", "", with_seeds(run, numbers)), *ablation(run, numbers))
    runner = Runner(Store(out / _FOLDER), jobs=jobs, say=_say)
    failed = runner.complete(Experiment("", cells).runs())
    base, *others = rows_of(cells, runner)
    print("\n".join(ablation_table(base, others)))
    print(f"mAP@all, mean of {seeds} seeds; in brackets, what changes. Runs: {out / _FOLDER}")
    for reason in failed:
        print(f"hashcore: run failed: {reason}", file=sys.stderr)
    return RUN_FAILED if failed else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
