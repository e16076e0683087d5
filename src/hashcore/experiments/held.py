"""Results that were written before: their cells stand while nothing that they depend on changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hashcore.experiments.plan import Cell
from hashcore.experiments.store import cell_settings
from hashcore.methods import METHODS
from hashcore.train import TrainConfig
from hashcore.train.config import plain

FORMAT = "hashcore experiment results 1"
Entry = Mapping[str, Any]


class Held:
    """The cells of a results file.

    Args:
        cells: entries as the file has them.
    """

    def __init__(self, cells: list[Entry]) -> None:
        self._cells = [entry for entry in cells if "settings" in entry]

    @classmethod
    def read(cls, file: Path) -> Held:
        """The cells that `reproduce` wrote as JSON.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds no results, or those of another PyTorch.
        """
        try:
            document = json.loads(file.read_bytes())
            found, cells = document["format"], document["cells"]
            made_with = document["machine"]["torch"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file}: expected results of `hashcore reproduce`: {error!r}"
            ) from error
        if found != FORMAT:
            raise ValueError(f'{file}: expected "format": "{FORMAT}"; got {found!r}')
        if made_with != torch.__version__:
            raise ValueError(
                f"{file}: made with torch {made_with}, this is {torch.__version__}: run all again"
            )
        return cls(cells)

    def entry(self, cell: Cell, data: str) -> Entry | None:
        """What is held of a cell with the same settings and seeds.

        Args:
            cell: of an experiment.
            data: fingerprint of its data set.
        """
        settings = cell_settings(cell.first, data)
        method = METHODS.get(cell.first.method)
        defaults = {
            "config": plain(method.config()) if method else None,
            "train": plain(TrainConfig()),
        }
        seeds = [run.train.seed for run in cell.runs]
        for entry in self._cells:
            if entry["seeds"] == seeds and _same(entry["settings"], settings, defaults):
                return entry
        return None


def _same(held: Any, now: Any, default: Any) -> bool:
    """Equal; a field that came later counts as it was, which is its default."""
    if not isinstance(held, dict) or not isinstance(now, dict):
        return bool(held == now)
    default = default if isinstance(default, dict) else {}
    return held.keys() <= now.keys() and all(
        _same(held[key], value, default.get(key))
        if key in held
        else key in default and value == default[key]
        for key, value in now.items()
    )
