"""A data set as its files hold it: opened, but not read yet."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore.data._rows import Rows, row_blocks
from hashcore.data.dataset import CrossModalDataset, Pairs


@dataclass(frozen=True, eq=False, kw_only=True)
class PairSource(Pairs):
    """Pairs whose rows may still lie in files, and where they come from.

    Attributes:
        files: the files that are read; none where the set is generated.
        protocol: how the split came about, in words.
        values_checked: the values were checked when the files were written.
    """

    protocol: str
    files: tuple[Path, ...] = ()
    values_checked: bool = False

    def __post_init__(self) -> None:
        self._check_layout()

    def read(self) -> CrossModalDataset:
        """The data set with all rows in memory; arrays and memory maps stay what they are.

        Raises:
            DatasetFileError: a file holds a value that is none; names file and row.
            ValueError: the values do not suit what is said about them.
        """
        shared = _shared(self)
        for name in ("image", "text", "labels"):
            shared[name] = _array(shared[name])
        return CrossModalDataset(**shared, values_checked=self.values_checked)


def generated(dataset: CrossModalDataset, protocol: str) -> PairSource:
    """A source around a set that was made in memory."""
    return PairSource(**_shared(dataset), protocol=protocol)


def _shared(pairs: Pairs) -> dict[str, Any]:
    return {field.name: getattr(pairs, field.name) for field in fields(Pairs)}


def _array(rows: Rows) -> NDArray[Any]:
    if isinstance(rows, np.ndarray):
        return rows
    out = np.empty(rows.shape, rows.dtype)
    for part in row_blocks(rows):
        out[part] = rows[part]
    return out
