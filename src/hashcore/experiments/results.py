"""Figures of cells over their seeds, and the document that keeps them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

import hashcore
from hashcore.experiments.held import FORMAT, Entry
from hashcore.experiments.measure import Figure, Outcome
from hashcore.experiments.plan import Cell, Experiment
from hashcore.experiments.runner import Runner
from hashcore.metrics.report import DatabaseProtocol
from hashcore.train.evaluate import Direction

DIRECTIONS: dict[Direction, str] = {"image_to_text": "I->T", "text_to_image": "T->I"}
_DIGITS = 6


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds; the deviation of one value is NaN."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Of values; None of none."""
        if not values:
            return None
        deviation = statistics.stdev(values) if len(values) > 1 else math.nan
        return cls(statistics.fmean(values), deviation)

    @classmethod
    def told(cls, numbers: Mapping[str, Any]) -> Spread | None:
        """As a document tells of it."""
        mean, deviation = numbers["mean"], numbers["std"]
        return None if mean is None else cls(mean, math.nan if deviation is None else deviation)


@dataclass(frozen=True)
class Row:
    """A cell and what its runs showed, as far as they have come to their end.

    Attributes:
        cell: what was run.
        outcomes: by seed.
    """

    cell: Cell
    outcomes: dict[int, Outcome]

    @property
    def name(self) -> str:
        """Method and variant."""
        return ", ".join(filter(None, [self.cell.first.method, self.cell.variant]))

    @property
    def seeds(self) -> list[int]:
        """Of the runs that have ended."""
        return list(self.outcomes)

    @property
    def times(self) -> tuple[float, float] | None:
        """Seconds, means over the seeds: of a training, and of encoding one pair."""
        ended = self.outcomes.values()
        if not ended:
            return None
        encode = statistics.fmean(outcome.encode_seconds / outcome.rows for outcome in ended)
        return statistics.fmean(outcome.train_seconds for outcome in ended), encode

    def maps(self, protocol: DatabaseProtocol, direction: Direction) -> dict[int, float]:
        """mAP@all by seed; empty where it was not measured."""
        return self._values(protocol, direction, "map")

    def spread(
        self, protocol: DatabaseProtocol, direction: Direction, figure: Figure
    ) -> Spread | None:
        """Of a figure; None where it was not measured."""
        return Spread.of(list(self._values(protocol, direction, figure).values()))

    def cosine(self, protocol: DatabaseProtocol, direction: Direction) -> Spread | None:
        """Of mAP@all by cosine; None where it was not measured."""
        return Spread.of(
            [
                outcome.cosine[protocol][direction]
                for outcome in self.outcomes.values()
                if protocol in outcome.cosine
            ]
        )

    def entry(self, settings: dict[str, Any]) -> Entry:
        """The cell in a document.

        Args:
            settings: what its outcomes depend on.
        """
        run, outcomes = self.cell.first, list(self.outcomes.values())
        return {
            "dataset": run.data.name,
            "variant": self.cell.variant,
            "method": run.method,
            "bits": run.bits,
            "without": self.cell.without,
            "seeds": self.seeds,
            "figures": self._figures(),
            "epochs": [outcome.epochs for outcome in outcomes],
            "train_seconds": _numbers(outcome.train_seconds for outcome in outcomes),
            "encode_seconds": _numbers(outcome.encode_seconds for outcome in outcomes),
            "rows": max((outcome.rows for outcome in outcomes), default=0),
            "sources": sorted({outcome.sources for outcome in outcomes}),
            "settings": settings,
        }

    def _values(
        self, protocol: DatabaseProtocol, direction: Direction, figure: Figure
    ) -> dict[int, float]:
        return {
            seed: outcome.figures[protocol][direction][figure]
            for seed, outcome in self.outcomes.items()
            if protocol in outcome.figures
        }

    def _figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for protocol in self.cell.first.protocols:
            for direction in DIRECTIONS:
                kinds = ("map",) if self.cell.without else get_args(Figure)
                values = {kind: self._values(protocol, direction, kind) for kind in kinds}
                shown: dict[str, Any] = {k: _numbers(v.values()) for k, v in values.items()}
                shown["map"]["values"] = [round(v, _DIGITS) for v in values["map"].values()]
                if cosine := self.cosine(protocol, direction):
                    shown["map_cosine"] = _shown(cosine)
                figures.setdefault(protocol, {})[direction] = shown
        return figures


@dataclass(frozen=True)
class HeldRow(Row):
    """A cell as earlier results hold it, to as many digits as they have.

    Attributes:
        held: its entry in their document.
    """

    held: Entry

    @property
    def seeds(self) -> list[int]:
        """Of the runs."""
        return list(self.held["seeds"])

    @property
    def times(self) -> tuple[float, float] | None:
        """Seconds, means over the seeds: of a training, and of encoding one pair."""
        held = self.held
        return held["train_seconds"]["mean"], held["encode_seconds"]["mean"] / held["rows"]

    def maps(self, protocol: DatabaseProtocol, direction: Direction) -> dict[int, float]:
        """mAP@all by seed; empty where it was not measured."""
        return dict(
            zip(self.seeds, self._found(protocol, direction, "map")["values"], strict=False)
        )

    def spread(
        self, protocol: DatabaseProtocol, direction: Direction, figure: Figure
    ) -> Spread | None:
        """Of a figure; None where it was not measured."""
        return Spread.told(self._found(protocol, direction, figure))

    def cosine(self, protocol: DatabaseProtocol, direction: Direction) -> Spread | None:
        """Of mAP@all by cosine; None where it was not measured."""
        return Spread.told(self._found(protocol, direction, "map_cosine"))

    def entry(self, settings: dict[str, Any]) -> Entry:
        """The cell in a document, as it is held; its settings may have fields that came later."""
        cell = self.cell
        named = {"dataset": cell.first.data.name, "variant": cell.variant, "without": cell.without}
        return {**self.held, **named, "settings": settings}

    def _found(self, protocol: str, direction: str, kind: str) -> dict[str, Any]:
        found = self.held["figures"].get(protocol, {}).get(direction, {}).get(kind)
        return found or {"mean": None, "std": None, "values": []}


def rows_of(cells: Iterable[Cell], runner: Runner) -> list[Row]:
    """What is kept of the cells; of those that are not kept whole, what was taken over."""
    return [_row_of(cell, runner) for cell in cells]


def _row_of(cell: Cell, runner: Runner) -> Row:
    kept = {r.train.seed: o for r in cell.runs if (o := runner.outcome(r)) is not None}
    held = runner.held(cell)
    return (
        Row(cell, kept) if held is None or len(kept) == len(cell.runs) else HeldRow(cell, {}, held)
    )


def document(experiment: Experiment, rows: Sequence[Row], runner: Runner) -> str:
    """All figures as JSON, a line a cell."""
    head = {
        "format": FORMAT,
        "title": experiment.title,
        "machine": {
            "isa": hashcore.isa(),
            "hashcore": hashcore.__version__,
            "torch": torch.__version__,
        },
        "datasets": {s.name: runner.describe(s) for s in experiment.datasets},
        "variants": dict(experiment.variants),
    }
    lists: dict[str, list[Any]] = {
        "cells": [row.entry(runner.settings_of(row.cell)) for row in rows],
        "published": [asdict(row) for row in experiment.published],
    }
    parts = [json.dumps(head, indent=1)[:-2]]
    for name, entries in lists.items():
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        parts.append(f' "{name}": [\n{lines}\n ]')
    return ",\n".join(parts) + "\n}\n"


def _numbers(values: Iterable[float]) -> dict[str, Any]:
    """Mean and standard deviation; null where there is none."""
    return _shown(Spread.of(list(values)) or Spread(math.nan, math.nan))


def _shown(spread: Spread) -> dict[str, Any]:
    return {
        name: None if math.isnan(value) else round(value, _DIGITS)
        for name, value in (("mean", spread.mean), ("std", spread.deviation))
    }
