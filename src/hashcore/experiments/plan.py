"""What is run: cells of runs that differ in their seed alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hashcore.data import CrossModalDataset, load
from hashcore.methods import METHODS
from hashcore.metrics.report import DatabaseProtocol
from hashcore.train import TrainConfig

PROTOCOLS: tuple[DatabaseProtocol, ...] = ("unseen", "encoded", "labelled")
"""In the order of tables: what users' data will see stands first."""
CCA_SIGN = "CCA + sign"
"""The baseline that stands among the methods; it has no configuration and uses no labels."""


@dataclass(frozen=True)
class DataSource:
    """Where a data set comes from.

    Attributes:
        name: what tables call it.
        loader: name in `hashcore.data.DATASETS`.
        path: its file or folder; None where it is generated.
        options: options of the loader, as pairs of name and value.
    """

    name: str
    loader: str
    path: str | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def load(self) -> CrossModalDataset:
        """The data set."""
        return load(self.loader, self.path, **dict(self.options))


@dataclass(frozen=True)
class Run:
    """One training and its evaluation.

    Attributes:
        data: what it trains on.
        method: name in `METHODS`, or `CCA_SIGN`.
        bits: width of the codes.
        config: the method's configuration; None for the baseline.
        train: how the training runs; it holds the seed.
        protocols: the databases that it is measured on.
        cosine: the real-valued outputs are ranked by cosine, too.
    """

    data: DataSource
    method: str
    bits: int
    config: Any
    train: TrainConfig
    protocols: tuple[DatabaseProtocol, ...]
    cosine: bool = False


@dataclass(frozen=True)
class Cell:
    """Runs that differ in their seed alone.

    Attributes:
        variant: name of the training options.
        without: the component that is switched off; "" where all are on.
        runs: a run a seed.
    """

    variant: str
    without: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """What the runs have in common, with the first seed."""
        return self.runs[0]

    @property
    def name(self) -> str:
        """What a person calls it."""
        run, parts = self.first, [self.variant]
        if self.without:
            parts.append(f"without {self.without}")
        return " ".join(filter(None, [run.data.name, run.method, f"{run.bits} bits", *parts]))


@dataclass(frozen=True)
class Published:
    """mAP@all from elsewhere.

    Attributes:
        bits: width of the codes; 0 where it is not known.
        map: of image and of text queries.
        source: who published or measured it.
    """

    method: str
    dataset: str
    bits: int
    protocol: DatabaseProtocol
    map: tuple[float, ...]
    source: str


@dataclass(frozen=True)
class Experiment:
    """All that one page of results shows.

    Attributes:
        title: heads it.
        cells: by data set, then variant.
        variants: what each variant is, in words.
        published: rows from elsewhere.
    """

    title: str
    cells: tuple[Cell, ...]
    variants: Mapping[str, str] = field(default_factory=dict)
    published: tuple[Published, ...] = ()

    @property
    def datasets(self) -> tuple[DataSource, ...]:
        """Every data set once, in the order of the file."""
        return tuple({c.first.data.name: c.first.data for c in self.cells}.values())

    def runs(self, methods: Collection[str] = ()) -> Iterator[tuple[str, Run]]:
        """Runs under their names, the first seed of all cells first: a whole table comes early.

        Args:
            methods: of these alone; of all when empty.

        Raises:
            ValueError: a method that the experiment does not have.
        """
        named = dict.fromkeys(cell.first.method for cell in self.cells)
        if unknown := [name for name in methods if name not in named]:
            raise ValueError(f"methods: expected any of {', '.join(named)}; got {unknown[0]!r}")
        cells = [cell for cell in self.cells if not methods or cell.first.method in methods]
        for i in range(max(len(cell.runs) for cell in cells)):
            for cell in cells:
                for run in cell.runs[i : i + 1]:
                    yield f"{cell.name} seed {run.train.seed}", run


def with_seeds(run: Run, seeds: Sequence[int]) -> tuple[Run, ...]:
    """The same run with each of the seeds."""
    return tuple(
        dataclasses.replace(run, train=dataclasses.replace(run.train, seed=seed)) for seed in seeds
    )


def ablation(run: Run, seeds: Sequence[int], variant: str = "") -> Iterator[Cell]:
    """The same run with each component of its method off, one at a time."""
    for component, off in METHODS[run.method].method.components.items():
        config = dataclasses.replace(run.config, **off)
        yield Cell(variant, component, with_seeds(dataclasses.replace(run, config=config), seeds))
