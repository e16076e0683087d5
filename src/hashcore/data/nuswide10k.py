"""NUS-WIDE-10K: 10,000 pairs of NUS-WIDE, a thousand of each of ten concepts, single-label.

F. Feng et al., "Cross-modal Retrieval with Correspondence Autoencoder", ACM Multimedia 2014. Read
is a folder in one of two layouts:

- six MATLAB v5 files, as for Pascal Sentence: `train_img.mat`, `train_txt.mat`,
  `train_img_lab.mat` and so with `test`; labels are one-hot rows or class ids 1..10.
- the files of "Deep Cross-Modal Hashing", not split: `nus-wide-10k-iall.mat` (`IAll`),
  `-yall.mat` (`YAll`), `-lall.mat` (`LAll`), or `IAll.mat`, `YAll.mat`, `LAll.mat`, of MATLAB
  version 5 or 7.3, with the samples along any axis. Then 1,000 queries and 8,000 training rows are
  drawn; the other 1,000, which papers validate on, are in no part.
"""

from __future__ import annotations

import os
from pathlib import Path

from hashcore.data._dcmh import open_separate
from hashcore.data._parts import open_six_files
from hashcore.data.source import PairSource
from hashcore.data.split import Draw

CLASSES = 10
_NAME = "nus-wide-10k"
EXPECTED = (
    "Expected a folder with train_img.mat (train_img: features [8000, D]), train_txt.mat "
    "(train_txt: features [8000, 1000]), train_img_lab.mat (train_img_lab: one-hot [8000, 10] or "
    "class ids 1..10 [8000, 1]) and test_img.mat, test_txt.mat, test_img_lab.mat with 1000 rows, "
    f"MATLAB v5; or with {_NAME}-iall.mat (IAll [10000, D]), {_NAME}-yall.mat (YAll [10000, 1000]) "
    f"and {_NAME}-lall.mat (LAll [10000, 10], 0 or 1), MATLAB v5 or v7.3. Features are drawn from "
    "the set itself: NUS-WIDE at https://lms.comp.nus.edu.sg"
)


def open_nuswide10k(
    path: str | os.PathLike[str], *, queries: int = 1000, train_rows: int = 8000, seed: int = 0
) -> PairSource:
    """Open the folder of either layout.

    Args:
        path: the folder.
        queries: rows of the query part.
        train_rows: rows that are trained on, and the database.
        seed: of the drawing of the split, where the files are not split already.

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
        ValueError: fewer rows than the split needs.
    """
    folder = Path(path)
    if any((folder / f"{stem}.mat").is_file() for stem in (f"{_NAME}-lall", "LAll")):
        draw = Draw(queries, train_rows, "train", seed)
        return open_separate(folder, _NAME, draw, name=_NAME, expected=EXPECTED)
    return open_six_files(folder, CLASSES, expected=EXPECTED, name=_NAME)
