"""Experiments from a TOML file; every name and type in it is checked before anything runs.

title = "..."                  # heads the tables; the file's name when not given
data = "../data"               # folder of the data sets, relative to the file
published = "published.toml"   # figures from elsewhere that are shown beside
bits = [16, 64]
seeds = [0, 1, 2]
protocols = ["unseen", "encoded"]
cosine = ["midrm"]             # methods whose real-valued outputs are ranked by cosine, too
ablate = false                 # or true: also run with each component of a method off; or
                               # for a part: { methods = [], datasets = [], bits = [], seeds = [] }
train = { epochs = 30 }        # any field of TrainConfig

[[dataset]]
name = "wikiData"              # what tables call it
loader = "wikipedia"           # of hashcore.data.DATASETS
path = "wikiData.mat"          # in the data folder; generated sets have none
options = {}                   # of the loader

[[method]]
name = "dth"
config = { margin = 0.2 }      # any field of the method's configuration
train = {}
on.wikiData = { config = {}, train = {} }    # on this data set alone

[[variant]]                    # one with all that is above when there is none
name = "default"
about = "..."                  # what it is, in words
train = {}
# and, where they differ from the above: bits, seeds, protocols, cosine, methods, datasets;
# ablate stands here then, not above
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from hashcore.data import DATASETS
from hashcore.experiments.plan import (
    CCA_SIGN,
    PROTOCOLS,
    Cell,
    DataSource,
    Experiment,
    Published,
    Run,
    ablation,
    with_seeds,
)
from hashcore.experiments.settings import Section, replaced
from hashcore.methods import METHODS
from hashcore.metrics.report import DatabaseProtocol
from hashcore.train import TrainConfig
from hashcore.train.evaluate import ProtocolName

DATA_VARIABLE = "HASHCORE_DATA"
_TRAIN = TrainConfig(progress=False, device="cpu")
_MEASURED: tuple[DatabaseProtocol, ...] = get_args(ProtocolName)
_NOT_SET_HERE = {
    "seed": "the seeds stand under seeds",
    "checkpoint_dir": "a run is kept when it is whole",
    "resume": "a run is kept when it is whole",
    "progress": "it is shown by runs",
}


def read(file: Path, data: Path | None = None) -> Experiment:
    """Read an experiment.

    Args:
        file: TOML, as above.
        data: the folder of the data sets. When None, the environment's `HASHCORE_DATA`, else the
            folder that the file names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TOML, or a key is unknown, missing or has a wrong value; the text
            names the file and the key.
    """
    top = Section.read(file)
    title = top.take("title", str, file.stem)
    named = file.parent / top.take("data", str, ".")
    folder = data or Path(os.environ.get(DATA_VARIABLE) or named)
    sources = [_dataset(*entry, folder) for entry in _some(top, "dataset")]
    names = tuple(source.name for source in sources)
    methods = {name: _Method.read(name, own, names) for name, own in _some(top, "method")}
    published = top.take("published", str, "")
    grid = _Grid.read(top, _Grid((), tuple(methods), names))
    variants = dict(top.tables("variant", name="name"))
    top.close()
    if variants and grid.ablate:
        raise top.error("ablate", "where there are variants, it stands in those that it is for")
    about = {name: own.take("about", str, "") for name, own in variants.items()}
    grids = {name: _Grid.read(own, grid) for name, own in variants.items()} or {"": grid}
    for own in variants.values():
        own.close()
    cells = [cell for source in sources for cell in _cells(source, methods, grids)]
    rows = _published(file.parent / published, names) if published else ()
    return Experiment(title, tuple(cells), about, tuple(rows))


@dataclass(frozen=True)
class _Grid:
    """What a variant runs."""

    train: tuple[Section, ...]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    bits: tuple[int, ...] = (64,)
    seeds: tuple[int, ...] = (0,)
    protocols: tuple[DatabaseProtocol, ...] = ("unseen", "encoded")
    cosine: tuple[str, ...] = ()
    ablate: _Ablation | None = None

    @classmethod
    def read(cls, section: Section, base: _Grid) -> _Grid:
        """The keys of a section, over those of `base`."""
        grid = cls(
            train=(*base.train, section.table("train")),
            methods=section.choice("methods", base.methods, base.methods),
            datasets=section.choice("datasets", base.datasets, base.datasets),
            bits=section.integers("bits", 1, base.bits),
            seeds=section.integers("seeds", 0, base.seeds),
            protocols=section.choice("protocols", _MEASURED, base.protocols),
            cosine=section.choice("cosine", base.methods, base.cosine, least=0),
        )
        off = section.switch("ablate")
        return grid if off is None else replace(grid, ablate=_Ablation.read(off, grid))


@dataclass(frozen=True)
class _Ablation:
    """For which part of a grid components are switched off."""

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    bits: tuple[int, ...]
    seeds: tuple[int, ...]

    @classmethod
    def read(cls, section: Section, grid: _Grid) -> _Ablation:
        """The part of the grid that a section names; all of it where it is empty."""
        part = cls(
            methods=section.choice("methods", grid.methods, grid.methods),
            datasets=section.choice("datasets", grid.datasets, grid.datasets),
            bits=section.part("bits", grid.bits),
            seeds=section.part("seeds", grid.seeds),
        )
        section.close()
        return part

    def holds(self, run: Run) -> bool:
        """Whether a run is in that part, whatever its seed."""
        return (
            run.method in self.methods and run.data.name in self.datasets and run.bits in self.bits
        )


@dataclass(frozen=True)
class _Method:
    """A method with its settings, by data set."""

    name: str
    config: dict[str, Any]
    train: dict[str, tuple[Section, Section]]

    @classmethod
    def read(cls, name: str, own: Section, datasets: tuple[str, ...]) -> _Method:
        """A table `[[method]]`."""
        if name not in METHODS:
            raise own.error("name", f"expected one of {', '.join(METHODS)}; got {name!r}")
        config = replaced(METHODS[name].config(), own.table("config"))
        train, on = own.table("train"), own.table("on")
        own.close()
        configs, trains = {}, {}
        for dataset in datasets:
            there = on.table(dataset)
            configs[dataset] = replaced(config, there.table("config"))
            trains[dataset] = (train, there.table("train"))
            there.close()
        on.close()
        return cls(name, configs, trains)


def _some(top: Section, key: str) -> list[tuple[str, Section]]:
    """The tables of `[[key]]`, of which there is at least one."""
    if not (found := top.tables(key, name="name")):
        raise top.error(key, f"missing; expected at least one table [[{key}]]")
    return found


def _dataset(name: str, own: Section, folder: Path) -> DataSource:
    if not re.fullmatch(r"[\w.-]+", name):
        raise own.error("name", f"expected letters, digits, _, . and -, for files; got {name!r}")
    loader = own.one("loader", DATASETS)
    path = own.take("path", str, "")
    options = own.take("options", dict, {})
    own.close()
    return DataSource(name, loader, str(folder / path) if path else None, tuple(options.items()))


def _cells(
    source: DataSource, methods: dict[str, _Method], grids: dict[str, _Grid]
) -> Iterator[Cell]:
    """Cells of one data set: every variant, then the baseline."""
    here = {name: grid for name, grid in grids.items() if source.name in grid.datasets}
    for variant, grid in here.items():
        for run in _runs(source, methods, grid):
            yield Cell(variant, "", with_seeds(run, grid.seeds))
            if grid.ablate is not None and grid.ablate.holds(run):
                yield from ablation(run, grid.ablate.seeds, variant)
    for bits in dict.fromkeys(bits for grid in here.values() for bits in grid.bits):
        seeds = max((grid.seeds for grid in here.values()), key=len)
        run = Run(source, CCA_SIGN, bits, None, _TRAIN, ("unseen", "encoded"))
        yield Cell("", "", with_seeds(run, seeds))


def _runs(source: DataSource, methods: dict[str, _Method], grid: _Grid) -> Iterator[Run]:
    """Runs of one data set and variant, without their seeds."""
    top, *own = grid.train
    for method in (methods[name] for name in grid.methods):
        train = _TRAIN
        for section in (top, *method.train[source.name], *own):
            train = _train(train, section)
        config = method.config[source.name]
        for bits in grid.bits:
            yield Run(
                source, method.name, bits, config, train, grid.protocols, method.name in grid.cosine
            )


def _train(base: TrainConfig, section: Section) -> TrainConfig:
    for key, why in _NOT_SET_HERE.items():
        if key in section.entries():
            raise section.error(key, f"not set here: {why}")
    return replaced(base, section)


def _published(file: Path, datasets: tuple[str, ...]) -> Iterator[Published]:
    """The rows of a file that are of these data sets."""
    top = Section.read(file)
    sources = top.take("sources", dict, {})
    for own in top.items("row"):
        method = own.one("method", sources)
        row = Published(
            method=method,
            dataset=own.take("dataset", str),
            bits=own.take("bits", int, 0),
            protocol=own.one("protocol", PROTOCOLS),
            map=own.numbers("map", ("I->T", "T->I")),
            source=str(sources[method]),
        )
        own.close()
        if row.dataset in datasets:
            yield row
    top.close()
