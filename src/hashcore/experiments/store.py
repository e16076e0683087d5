"""Outcomes of runs by what they depend on, a file each, written whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hashcore._files import replacing
from hashcore.data import CrossModalDataset
from hashcore.experiments.measure import Outcome
from hashcore.experiments.plan import Run
from hashcore.train.config import plain
from hashcore.train.fit import FREE_TO_DIFFER

_FORMAT = "hashcore experiment run 1"


def fingerprint(dataset: CrossModalDataset) -> str:
    """Sha256 (hex) of all that a training and an evaluation read of a data set."""
    found = hashlib.sha256()
    head: list[Any] = [dataset.split.hash, dataset.image_transform, dataset.text_transform]
    for array in (dataset.image, dataset.text, dataset.labels):
        head += [array.dtype.str, list(array.shape)]
        found.update(np.ascontiguousarray(array).data)
    found.update(json.dumps(head).encode())
    return found.hexdigest()


def settings(run: Run, data: str) -> dict[str, Any]:
    """Everything that the outcome of a run depends on, but the sources of the package.

    Args:
        run: the run.
        data: fingerprint of its data set.
    """
    train = {k: v for k, v in plain(run.train).items() if k not in FREE_TO_DIFFER}
    return {
        "data": data,
        "method": run.method,
        "bits": run.bits,
        "config": None if run.config is None else plain(run.config),
        "train": train,
        "protocols": list(run.protocols),
        "cosine": run.cosine,
    }


def cell_settings(run: Run, data: str) -> dict[str, Any]:
    """What the outcomes of runs that differ in their seed alone depend on; as `settings`."""
    of_run = settings(run, data)
    return {**of_run, "train": {k: v for k, v in of_run["train"].items() if k != "seed"}}


def digest(settings: Mapping[str, Any]) -> str:
    """Short name of the settings of a run."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:20]


class Store:
    """A folder with a file for every run that has come to its end.

    A file is named by the digest of the run's settings: a run whose settings have changed is
    not found, and one that stands in two places of a table is found twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, settings: Mapping[str, Any]) -> Outcome | None:
        """The outcome of a run with these settings; None where there is none, or a damaged one."""
        file = self._file(settings)
        if not file.is_file():
            return None
        try:
            document = json.loads(file.read_bytes())
            if document["format"] == _FORMAT and document["settings"] == settings:
                return Outcome(**document["outcome"])
        except (ValueError, KeyError, TypeError):
            pass
        return None

    def write(self, settings: Mapping[str, Any], outcome: Outcome) -> None:
        """Keep an outcome; the file appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {
            "format": _FORMAT,
            "settings": settings,
            "outcome": dataclasses.asdict(outcome),
        }
        with replacing(self._file(settings)) as stream:
            stream.write((json.dumps(document, indent=1) + "\n").encode())

    def _file(self, settings: Mapping[str, Any]) -> Path:
        return self.folder / f"{digest(settings)}.json"
