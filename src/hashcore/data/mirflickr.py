"""MIRFlickr-25K: photographs of Flickr with their tags, multi-label in 24 concepts.

M. J. Huiskes and M. S. Lew, "The MIR Flickr Retrieval Evaluation", MIR 2008, in the files that
Q.-Y. Jiang and W.-J. Li gave out with "Deep Cross-Modal Hashing", CVPR 2017: 20,015 pairs. Each
file is of MATLAB version 5 or 7.3, with its samples along any axis. Read are

- a folder of `mirflickr25k-iall.mat` (`IAll`: pixels with 3 colours, or features),
  `mirflickr25k-yall.mat` (`YAll`: tags) and `mirflickr25k-lall.mat` (`LAll`: labels), or the same
  as `IAll.mat`, `YAll.mat`, `LAll.mat`; a file with `FAll`, the names of the images, only has to
  have as many of them;
- `FLICKR-25K.mat`, in one of three layouts: `images`, `YAll`, `LAll`; `IAll`, `YAll`, `LAll`; or
  split already, `I_tr`, `T_tr`, `L_tr` and `I_te`, `T_te`, `L_te`, with the training rows as
  database.
"""

from __future__ import annotations

import os
from pathlib import Path

from hashcore.data._dcmh import open_merged, open_separate
from hashcore.data.source import PairSource
from hashcore.data.split import Draw

_MERGED = "FLICKR-25K.mat"
_PREFIX = "mirflickr25k"
EXPECTED = (
    f"Expected a folder with {_PREFIX}-iall.mat (IAll: pixels [20015, 3, 224, 224] or features "
    f"[20015, D]), {_PREFIX}-yall.mat (YAll: tags [20015, 1386]) and {_PREFIX}-lall.mat (LAll: "
    f"labels [20015, 24], 0 or 1), or {_MERGED} with images or IAll, YAll and LAll, or with I_tr, "
    "T_tr, L_tr, I_te, T_te, L_te; MATLAB v5 or v7.3, samples along any axis. From "
    "https://github.com/jiangqy/DCMH-CVPR2017; the set itself: https://press.liacs.nl/mirflickr/"
)


def open_mirflickr(
    path: str | os.PathLike[str], *, queries: int = 2000, train_rows: int = 10_000, seed: int = 0
) -> PairSource:
    """Open the folder with the separate files or with `FLICKR-25K.mat`, or that file.

    Args:
        path: folder or file.
        queries: rows of the query part.
        train_rows: rows that are trained on; the database is all rows that are no queries.
        seed: of the drawing of the split, where the file is not split already.

    Returns:
        20,015 pairs, text [1386], 24 classes; matrices of v7.3 files are not read yet.

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
        ValueError: fewer rows than the split needs.
    """
    draw = Draw(queries, train_rows, seed=seed)
    folder = Path(path)
    file = folder / _MERGED if folder.is_dir() else folder
    if file.is_file() or not folder.is_dir():
        return open_merged(file, draw, name="mirflickr", expected=EXPECTED)
    return open_separate(folder, _PREFIX, draw, name="mirflickr", expected=EXPECTED)
