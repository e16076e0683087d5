"""Data sets of paired images and texts: `load("shapes")`, `load("wikipedia", path)`, ...

Needs NumPy, and SciPy and h5py for MATLAB files; never torch.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hashcore.data import (
    arrays,
    coco,
    iapr,
    mirflickr,
    nuswide,
    nuswide10k,
    pascal,
    prepared,
    shapes,
    wikipedia,
)
from hashcore.data._files import DatasetFileError
from hashcore.data.check import Finding, check_prepared
from hashcore.data.dataset import CrossModalDataset, Transform
from hashcore.data.prepared import Manifest
from hashcore.data.shapes import make_shapes
from hashcore.data.source import PairSource
from hashcore.data.split import Draw, Split
from hashcore.data.subwords import Subwords, tokenise, vocabulary_from_json
from hashcore.data.vocabulary import PADDING, UNKNOWN, Vocabulary, split_words
from hashcore.data.writer import prepare

__all__ = [
    "DATASETS",
    "PADDING",
    "UNKNOWN",
    "CrossModalDataset",
    "DatasetFileError",
    "Draw",
    "Finding",
    "Loader",
    "Manifest",
    "PairSource",
    "Split",
    "Subwords",
    "Transform",
    "Vocabulary",
    "check_prepared",
    "load",
    "make_shapes",
    "open_source",
    "prepare",
    "split_words",
    "tokenise",
    "vocabulary_from_json",
]


@dataclass(frozen=True)
class Loader:
    """What opens a data set.

    Attributes:
        open: takes the path, where there is one, and keyword options.
        expected: which files it reads, with shapes, and where to get them; None where the set
            is generated and takes no path.
    """

    open: Callable[..., PairSource]
    expected: str | None


DATASETS: Mapping[str, Loader] = MappingProxyType(
    {
        "shapes": Loader(shapes.open_shapes, None),
        "wikipedia": Loader(wikipedia.open_wikipedia, wikipedia.EXPECTED),
        "iapr": Loader(iapr.open_iapr, iapr.EXPECTED),
        "mirflickr": Loader(mirflickr.open_mirflickr, mirflickr.EXPECTED),
        "nus-wide": Loader(nuswide.open_nuswide, nuswide.EXPECTED),
        "nus-wide-10k": Loader(nuswide10k.open_nuswide10k, nuswide10k.EXPECTED),
        "pascal-sentence": Loader(pascal.open_pascal, pascal.EXPECTED),
        "coco": Loader(coco.open_coco, coco.EXPECTED),
        "arrays": Loader(arrays.open_arrays, arrays.EXPECTED),
        "prepared": Loader(prepared.open_prepared, prepared.EXPECTED),
    }
)


def load(
    name: str, path: str | os.PathLike[str] | None = None, **options: Any
) -> CrossModalDataset:
    """Load a data set by name, into memory; the arrays of a "prepared" one are mapped instead.

    Args:
        name: one of DATASETS.
        path: its file or folder; `shapes` is generated and takes none.
        **options: keyword options of the loader, such as queries, train_rows and seed.

    Raises:
        ValueError: unknown name, a path for a generated set, or none for a set with files.
        TypeError: an option that the loader does not have.
        DatasetFileError: a file is missing, of another layout, or holds a value that is none.
    """
    source = open_source(name, path, **options)
    with _naming(path):
        return source.read()


def open_source(
    name: str, path: str | os.PathLike[str] | None = None, **options: Any
) -> PairSource:
    """Open a data set by name, without reading more than is needed; arguments as `load`."""
    if name not in DATASETS:
        raise ValueError(f'data: expected one of {", ".join(DATASETS)}; got "{name}"')
    loader = DATASETS[name]
    known = [
        p.name
        for p in inspect.signature(loader.open).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise TypeError(f'data "{name}": no option "{option}"; {has}')
    if loader.expected is None:
        if path is not None:
            raise ValueError(f'data "{name}" is generated: it takes no path; got {path}')
        return loader.open(**options)
    if path is None:
        raise ValueError(f'data "{name}": a path is needed. {loader.expected}')
    with _naming(path):
        return loader.open(path, **options)


@contextmanager
def _naming(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Put the path before errors that do not name a file."""
    try:
        yield
    except DatasetFileError:
        raise
    except ValueError as error:
        if path is None:
            raise
        raise DatasetFileError(f"{path}: {error}") from error
