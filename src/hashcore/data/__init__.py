"""Data sets of paired images and texts: `load("shapes")`, `load("wikipedia", path)`, ...

Needs NumPy, and SciPy for the MATLAB files; never torch.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hashcore.data._files import DatasetFileError
from hashcore.data.dataset import TRANSFORMS, CrossModalDataset
from hashcore.data.iapr import EXPECTED as _IAPR_FILES
from hashcore.data.iapr import load_iapr
from hashcore.data.shapes import make_shapes
from hashcore.data.split import Split
from hashcore.data.vocabulary import PADDING, UNKNOWN, Vocabulary, split_words
from hashcore.data.wikipedia import EXPECTED as _WIKIPEDIA_FILES
from hashcore.data.wikipedia import load_wikipedia

__all__ = [
    "DATASETS",
    "PADDING",
    "TRANSFORMS",
    "UNKNOWN",
    "CrossModalDataset",
    "DatasetFileError",
    "Split",
    "Vocabulary",
    "load",
    "load_iapr",
    "load_wikipedia",
    "make_shapes",
    "split_words",
]

DATASETS: Mapping[str, Callable[..., CrossModalDataset]] = MappingProxyType(
    {"shapes": make_shapes, "wikipedia": load_wikipedia, "iapr": load_iapr}
)
_FILES = {"wikipedia": _WIKIPEDIA_FILES, "iapr": _IAPR_FILES}


def load(
    name: str, path: str | os.PathLike[str] | None = None, **options: Any
) -> CrossModalDataset:
    """Load a data set by name.

    Args:
        name: one of DATASETS.
        path: its file or folder; `shapes` is generated and takes none.
        **options: keyword options of the loader (shapes: pairs, queries, seed; iapr: queries,
            seed).

    Raises:
        ValueError: unknown name, a path for a generated set, or none for a set with files.
        TypeError: an option that the loader does not have.
        DatasetFileError: the file is missing or of another layout.
    """
    if name not in DATASETS:
        raise ValueError(f'data: expected one of {", ".join(DATASETS)}; got "{name}"')
    loader = DATASETS[name]
    known = [
        p.name
        for p in inspect.signature(loader).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise TypeError(f'data "{name}": no option "{option}"; {has}')
    if name not in _FILES:
        if path is not None:
            raise ValueError(f'data "{name}" is generated: it takes no path; got {path}')
        return loader(**options)
    if path is None:
        raise ValueError(f'data "{name}": a path is needed. {_FILES[name]}')
    return loader(path, **options)
