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
config = {}                    # of every method in it, over the method's own
train = {}
on.wikiData = { config = {}, train = {} }
# and, where they differ from the above: bits, seeds, protocols, cosine, methods, datasets;
# ablate stands here then, not above
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
    grid = _Grid(top.table("train"), tuple(methods), names).read(top)
    variants = dict(top.tables("variant", name="name"))
    top.close()
    if variants and grid.ablate:
        raise top.error("ablate", "where there are variants, it stands in those that it is for")
    about = {name: own.take("about", str, "") for name, own in variants.items()}
    grids = {name: grid.of_variant(own) for name, own in variants.items()} or {"": grid}
    for own in variants.values():
        own.close()
    cells = [cell for source in sources for cell in _cells(source, methods, grids)]
    rows = _published(file.parent / published, names) if published else ()
    return Experiment(title, tuple(cells), about, tuple(rows))


@dataclass(frozen=True)
class _Settings:
    """Changes of the configuration and of the training, those that count more last."""

    config: tuple[Section, ...] = ()
    train: tuple[Section, ...] = ()

    @classmethod
    def read(cls, own: Section, datasets: tuple[str, ...]) -> dict[str, _Settings]:
        """The keys `config`, `train` and `on` of a table, by data set."""
        config, train, on = own.table("config"), own.table("train"), own.table("on")
        settings = {}
        for dataset in datasets:
            there = on.table(dataset)
            settings[dataset] = cls((config, there.table("config")), (train, there.table("train")))
            there.close()
        on.close()
        return settings

    def configured(self, config: Any) -> Any:
        """A method's configuration with the changes."""
        for section in self.config:
            config = replaced(config, section)
        return config

    def trained(self, train: TrainConfig) -> TrainConfig:
        """Settings of a training with the changes."""
        for section in self.train:
            train = _train(train, section)
        return train


@dataclass(frozen=True)
class _Grid:
    """What a variant runs."""

    train: Section
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    settings: dict[str, _Settings] = field(default_factory=dict)
    bits: tuple[int, ...] = (64,)
    seeds: tuple[int, ...] = (0,)
    protocols: tuple[DatabaseProtocol, ...] = ("unseen", "encoded")
    cosine: tuple[str, ...] = ()
    ablate: _Ablation | None = None

    def read(self, section: Section) -> _Grid:
        """This one with the keys of a section over its own."""
        grid = replace(
            self,
            methods=section.choice("methods", self.methods, self.methods),
            datasets=section.choice("datasets", self.datasets, self.datasets),
            bits=section.integers("bits", 1, self.bits),
            seeds=section.integers("seeds", 0, self.seeds),
            protocols=section.choice("protocols", _MEASURED, self.protocols),
            cosine=section.choice("cosine", self.methods, self.cosine, least=0),
        )
        off = section.switch("ablate")
        return grid if off is None else replace(grid, ablate=_Ablation.read(off, grid))

    def of_variant(self, section: Section) -> _Grid:
        """What a table `[[variant]]` runs."""
        grid = self.read(section)
        return replace(grid, settings=_Settings.read(section, grid.datasets))


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
    settings: dict[str, _Settings]

    @classmethod
    def read(cls, name: str, own: Section, datasets: tuple[str, ...]) -> _Method:
        """A table `[[method]]`."""
        if name not in METHODS:
            raise own.error("name", f"expected one of {', '.join(METHODS)}; got {name!r}")
        settings = _Settings.read(own, datasets)
        own.close()
        default = METHODS[name].config()
        config = {dataset: there.configured(default) for dataset, there in settings.items()}
        return cls(name, config, settings)


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
    of_variant = grid.settings.get(source.name, _Settings())
    for method in (methods[name] for name in grid.methods):
        train = method.settings[source.name].trained(_train(_TRAIN, grid.train))
        train = of_variant.trained(train)
        config = of_variant.configured(method.config[source.name])
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
