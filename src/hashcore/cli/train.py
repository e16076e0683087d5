"""`hashcore train`: learn codes from a data set."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import tyro

from hashcore.cli._ablate import ablate
from hashcore.cli._parse import parse
from hashcore.cli._run_directory import RUNS, Source, write_run
from hashcore.data import DATASETS
from hashcore.methods import METHODS
from hashcore.train import TrainConfig, distributed, fit

_DESCRIPTION = """Learn codes from a data set and write a run directory.

Options of the method follow it: --method drhc --help shows those of drhc.

Example:  hashcore train --data wikipedia --path wikiData.mat --method dth --bits 64"""
_CHECKPOINT = Path("checkpoint")

# The registries are the truth about the names; a checker sees str.
if TYPE_CHECKING:
    DataName: TypeAlias = str
    MethodName: TypeAlias = str
else:
    DataName, MethodName = Literal[tuple(DATASETS)], Literal[tuple(METHODS)]


@dataclass(frozen=True)
class TrainOptions:
    """Options that every method has."""

    data: DataName = "shapes"
    """Data set; "shapes" is generated, the others need --path."""
    path: Path | None = None
    """File or folder of the data set."""
    method: MethodName = "dth"
    """Learning method."""
    bits: int = 64
    """Width of the codes."""
    out: Path | None = None
    """Run directory; runs/DATA-METHOD-BITS when None."""
    pairs: int | None = None
    """Pairs to draw (shapes)."""
    queries: int | None = None
    """Rows of the query split (shapes, iapr)."""
    data_seed: int | None = None
    """Seed of the drawing (shapes) or of the split (iapr)."""
    ablate: bool = False
    """Train with all components of the method, then without each, and print what each brings."""
    seeds: int = 1
    """Seeds of an ablation, from --seed on."""
    jobs: int = 1
    """Trainings of an ablation at a time."""
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: TrainConfig(checkpoint_dir=_CHECKPOINT)
    )
    """How the training runs; a relative --checkpoint-dir lies in the run directory."""


def _options_for(method: str) -> type[TrainOptions]:
    """TrainOptions with the options of one method under its name: `--dth.margin`."""
    config = METHODS[method].config
    made: type[TrainOptions] = dataclasses.make_dataclass(
        "TrainOptions",
        [(method, config, field(default_factory=config))],
        bases=(TrainOptions,),
        frozen=True,
    )
    return made


def _named_method(args: Sequence[str]) -> str:
    """The method in the arguments, before they are parsed; the default for any other word."""
    named = "dth"
    for i, arg in enumerate(args):
        if arg == "--method" and i + 1 < len(args):
            named = args[i + 1]
        elif arg.startswith("--method="):
            named = arg.partition("=")[2]
    return named if named in METHODS else "dth"


def main(args: Sequence[str]) -> int:
    """Run the subcommand; torchrun may have started several processes of it."""
    with distributed.joined() as processes:
        return _train(args, processes)


def _train(args: Sequence[str], processes: distributed.Processes) -> int:
    options = parse(
        _options_for(_named_method(args)), args, command="train", description=_DESCRIPTION
    )
    source = Source.of(
        options.data,
        options.path,
        pairs=options.pairs,
        queries=options.queries,
        seed=options.data_seed,
    )
    dataset = source.load()
    if processes.first:
        print(dataset.describe(), file=sys.stderr)
    out = options.out or RUNS / f"{dataset.name}-{options.method}-{options.bits}"
    train, config = options.train, getattr(options, options.method)
    if options.ablate:
        if processes.count > 1:
            raise ValueError("--ablate starts processes of its own: leave torchrun out")
        return ablate(
            source,
            options.method,
            options.bits,
            config,
            train,
            seeds=options.seeds,
            jobs=options.jobs,
            out=out,
        )
    if options.seeds != 1 or options.jobs != 1:
        raise ValueError("--seeds and --jobs are of an ablation: add --ablate")
    if train.checkpoint_dir is not None:
        train = dataclasses.replace(train, checkpoint_dir=out / train.checkpoint_dir)
    try:
        hasher = fit(dataset, options.method, options.bits, config=config, train=train)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("the trainer has said what is kept") from stop
    if not processes.first:
        return 0
    settings = {options.method: dataclasses.asdict(config), "train": dataclasses.asdict(train)}
    write_run(out, hasher, dataset.split, source, settings)
    if options.train.checkpoint_dir == _CHECKPOINT:
        shutil.rmtree(out / _CHECKPOINT, ignore_errors=True)  # the run is whole without it
    print(f"{out}  (next: hashcore evaluate {out})")
    return 0
