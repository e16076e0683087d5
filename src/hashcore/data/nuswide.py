"""NUS-WIDE: photographs of Flickr with their tags, multi-label in the 21 or 10 largest concepts.

T.-S. Chua et al., "NUS-WIDE: A Real-World Web Image Database from National University of
Singapore", CIVR 2009, in the files of "Deep Cross-Modal Hashing": 195,834 pairs with one of 21
concepts, or 186,577 pairs with one of 10. Read is a folder of `nus-wide-tc21-iall.mat` (`IAll`),
`-yall.mat` (`YAll`) and `-lall.mat` (`LAll`), or of the same with `tc10`, each of MATLAB version 5
or 7.3, with its samples along any axis.
"""

from __future__ import annotations

import os
from pathlib import Path

from hashcore.data._dcmh import open_separate
from hashcore.data.source import PairSource
from hashcore.data.split import Draw

CONCEPTS = (21, 10)
EXPECTED = (
    "Expected a folder with nus-wide-tc21-iall.mat (IAll: pixels [195834, 3, 224, 224] or features "
    "[195834, D]), nus-wide-tc21-yall.mat (YAll: tags [195834, 1000]) and nus-wide-tc21-lall.mat "
    "(LAll: labels [195834, 21], 0 or 1); with concepts=10 the same with tc10, 186577 rows and 10 "
    "labels; MATLAB v5 or v7.3, samples along any axis. From "
    "https://github.com/jiangqy/DCMH-CVPR2017; the set itself: NUS-WIDE at https://lms.comp.nus.edu.sg"
)


def open_nuswide(
    path: str | os.PathLike[str],
    *,
    concepts: int = 21,
    queries: int = 2100,
    train_rows: int = 10_500,
    seed: int = 0,
) -> PairSource:
    """Open the folder with the three files.

    Args:
        path: the folder.
        concepts: 21 or 10, which of the two sets.
        queries: rows of the query part.
        train_rows: rows that are trained on; the database is all rows that are no queries.
        seed: of the drawing of the split.

    Returns:
        The pairs, text [1000], 21 or 10 classes; matrices of v7.3 files are not read yet.

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
        ValueError: other concepts, or fewer rows than the split needs.
    """
    if concepts not in CONCEPTS:
        raise ValueError(f"nus-wide: expected concepts 21 or 10; got {concepts}")
    return open_separate(
        Path(path),
        f"nus-wide-tc{concepts}",
        Draw(queries, train_rows, seed=seed),
        name=f"nus-wide-tc{concepts}",
        expected=EXPECTED,
    )
