"""Sets whose training and test rows lie apart, split by those who gave them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashcore.data._files import Place, class_labels, features, same_rows
from hashcore.data._matlab import load_mat
from hashcore.data._rows import Joined, Rows
from hashcore.data.source import PairSource
from hashcore.data.split import AS_PUBLISHED, Split


@dataclass(frozen=True)
class Part:
    """One side of a split: image float32 or pixels, text float32 [n, D], labels bool [n, C]."""

    image: Rows
    text: Rows
    labels: Rows

    def check(self, names: tuple[str, str, str], path: Path, expected: str) -> Part:
        """Itself, or DatasetFileError when its matrices, called so, differ in rows."""
        arrays = (self.image, self.text, self.labels)
        counts = {name: len(array) for name, array in zip(names, arrays, strict=True)}
        same_rows(counts, path, expected)
        return self


def joined(train: Part, test: Part, **about: Any) -> PairSource:
    """The source with the training rows first; they are the database, test rows are queries."""
    rows = np.arange(len(train.labels))
    return PairSource(
        image=Joined("image", train.image, test.image),
        text=Joined("text", train.text, test.text),
        labels=Joined("labels", train.labels, test.labels),
        split=Split(
            train=rows,
            query=np.arange(rows.size, rows.size + len(test.labels)),
            database=rows,
        ),
        protocol=AS_PUBLISHED,
        **about,
    )


def open_six_files(folder: Path, classes: int, *, expected: str, **about: Any) -> PairSource:
    """A folder with `train_img.mat`, `train_txt.mat`, `train_img_lab.mat`, and so with `test`.

    Each is MATLAB v5 and holds one matrix under the name of the file: features, one row a sample;
    labels are one-hot rows or class ids 1..classes.
    """
    sides, files = [], []
    for side in ("train", "test"):
        names = (f"{side}_img", f"{side}_txt", f"{side}_img_lab")
        places = [Place(folder / f"{name}.mat", name, expected) for name in names]
        image, text, labels = (_only_matrix(place) for place in places)
        part = Part(
            features(image, places[0]),
            features(text, places[1]),
            class_labels(labels, classes, places[2]),
        )
        sides.append(part.check(names, folder, expected))
        files += [place.path for place in places]
    return joined(*sides, files=tuple(files), **about)


def _only_matrix(place: Place) -> Any:
    content = load_mat(place.path, place.expected)
    if place.name not in content:
        raise place.error(f"is not among its variables, {sorted(content)}")
    return content[place.name]
