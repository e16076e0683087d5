"""The files of "Deep Cross-Modal Hashing" (CVPR 2017), in which many sets are given out.

Images are `IAll`, tags `YAll`, labels `LAll` and the names of the images `FAll`: each in a file of
its own, or all in one, or split into `I_tr`, `T_tr`, `L_tr` and `I_te`, `T_te`, `L_te`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hashcore.data._files import FileRows, Place
from hashcore.data._matlab import (
    Variable,
    image_rows,
    label_rows,
    matrix_rows,
    open_mat,
    pick,
    sample_count,
)
from hashcore.data._parts import Part, joined
from hashcore.data.source import PairSource
from hashcore.data.split import Draw

_IMAGE, _TEXT, _LABELS = ("IAll", "images"), ("YAll",), ("LAll",)
_Found = Mapping[str, tuple[Variable, Place]]


def open_separate(folder: Path, prefix: str, draw: Draw, *, name: str, expected: str) -> PairSource:
    """Open a folder with `PREFIX-iall.mat`, `-yall` and `-lall`, or `IAll.mat`, `YAll.mat`, ..."""
    found, files = {}, []
    for names in (_IMAGE, _TEXT, _LABELS):
        file = _either(folder, prefix, names[0])
        files.append(file)
        found[names[0]] = pick(open_mat(file, expected, names), names, file, expected)
    title = _either(folder, prefix, "FAll")
    if title.is_file():
        found["FAll"] = pick(open_mat(title, expected), ("FAll",), title, expected)
    return _drawn(found, folder, draw, name=name, expected=expected, files=tuple(files))


def open_merged(file: Path, draw: Draw, *, name: str, expected: str) -> PairSource:
    """Open one file with all samples, or with training and test samples apart."""
    content = open_mat(file, expected)
    if any(f"{kind}_tr" in content for kind in "ITL"):
        return _open_split(content, file, name=name, expected=expected)
    found = {names[0]: pick(content, names, file, expected) for names in (_IMAGE, _TEXT, _LABELS)}
    return _drawn(found, file, draw, name=name, expected=expected, files=(file,))


def _open_split(
    content: Mapping[str, Variable], file: Path, *, name: str, expected: str
) -> PairSource:
    sides = []
    for side in ("tr", "te"):
        names = [f"{kind}_{side}" for kind in "ITL"]
        found = {name: pick(content, (name,), file, expected) for name in names}
        sides.append(Part(*_aligned(found, file, expected)))
    return joined(*sides, name=name, files=(file,))


def _either(folder: Path, prefix: str, name: str) -> Path:
    """`NAME.mat` where it lies there, else the name that the authors gave the file."""
    plain = folder / f"{name}.mat"
    return plain if plain.is_file() else folder / f"{prefix}-{name.lower()}.mat"


def _drawn(
    found: _Found, path: Path, draw: Draw, *, name: str, expected: str, files: tuple[Path, ...]
) -> PairSource:
    """The pairs of all samples, split by `draw`."""
    image, text, labels = _aligned(found, path, expected)
    return PairSource(
        name=name,
        image=image,
        text=text,
        labels=labels,
        split=draw.split(len(labels)),
        protocol=str(draw),
        files=files,
    )


def _aligned(found: _Found, path: Path, expected: str) -> tuple[FileRows, FileRows, FileRows]:
    """Images, texts and labels, which are the first three, with their samples first."""
    n = sample_count({name: variable for name, (variable, _) in found.items()}, path, expected)
    image, text, labels = list(found.values())[:3]
    rows = image_rows(image[0], n, image[1]), matrix_rows(text[0], n, text[1])
    return *rows, label_rows(labels[0], n, labels[1])
