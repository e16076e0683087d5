"""Figures of cells over their seeds, and the document that keeps them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

import hashcore
from hashcore.experiments.measure import Figure, Outcome
from hashcore.experiments.plan import Cell, Experiment
from hashcore.experiments.runner import Runner
from hashcore.metrics.report import DatabaseProtocol
from hashcore.train.evaluate import Direction

FORMAT = "hashcore experiment results 1"
DIRECTIONS: dict[Direction, str] = {"image_to_text": "I->T", "text_to_image": "T->I"}
_DIGITS = 4


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

    def values(
        self, protocol: DatabaseProtocol, direction: Direction, figure: Figure = "map"
    ) -> dict[int, float]:
        """A figure by seed; empty where it was not measured."""
        return {
            seed: outcome.figures[protocol][direction][figure]
            for seed, outcome in self.outcomes.items()
            if protocol in outcome.figures
        }

    def cosine(self, protocol: DatabaseProtocol, direction: Direction) -> dict[int, float]:
        """mAP@all by cosine, by seed."""
        return {
            seed: outcome.cosine[protocol][direction]
            for seed, outcome in self.outcomes.items()
            if protocol in outcome.cosine
        }


def rows_of(cells: Iterable[Cell], runner: Runner) -> list[Row]:
    """What is kept of the cells."""
    return [
        Row(cell, {r.train.seed: o for r in cell.runs if (o := runner.outcome(r)) is not None})
        for cell in cells
    ]


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
    lists = {
        "cells": [_entry(row) for row in rows],
        "published": [asdict(row) for row in experiment.published],
    }
    parts = [json.dumps(head, indent=1)[:-2]]
    for name, entries in lists.items():
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        parts.append(f' "{name}": [\n{lines}\n ]')
    return ",\n".join(parts) + "\n}\n"


def _entry(row: Row) -> dict[str, Any]:
    run, outcomes = row.cell.first, list(row.outcomes.values())
    figures: dict[str, Any] = {}
    for protocol in run.protocols:
        for direction in DIRECTIONS:
            kinds = ("map",) if row.cell.without else get_args(Figure)
            values = {kind: row.values(protocol, direction, kind) for kind in kinds}
            shown: dict[str, Any] = {k: _numbers(v.values()) for k, v in values.items()}
            shown["map"]["values"] = [round(v, _DIGITS) for v in values["map"].values()]
            if cosine := row.cosine(protocol, direction):
                shown["map_cosine"] = _numbers(cosine.values())
            figures.setdefault(protocol, {})[direction] = shown
    return {
        "dataset": run.data.name,
        "variant": row.cell.variant,
        "method": run.method,
        "bits": run.bits,
        "without": row.cell.without,
        "seeds": list(row.outcomes),
        "figures": figures,
        "epochs": [outcome.epochs for outcome in outcomes],
        "train_seconds": _numbers(outcome.train_seconds for outcome in outcomes),
        "encode_seconds": _numbers(outcome.encode_seconds for outcome in outcomes),
        "sources": sorted({outcome.sources for outcome in outcomes}),
    }


def _numbers(values: Iterable[float]) -> dict[str, float | None]:
    """Mean and standard deviation; null where there is none."""
    spread = Spread.of(list(values))
    mean, deviation = (math.nan, math.nan) if spread is None else (spread.mean, spread.deviation)
    return {
        name: None if math.isnan(value) else round(value, _DIGITS)
        for name, value in (("mean", mean), ("std", deviation))
    }
