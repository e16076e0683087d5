"""Pascal Sentence: 1,000 photographs with five sentences each, in twenty classes.

C. Rashtchian et al., "Collecting Image Annotations Using Amazon's Mechanical Turk", 2010, as the
feature files that L. Zhen et al. gave out with "Deep Supervised Cross-Modal Retrieval", CVPR 2019.
Read is a folder of six MATLAB v5 files, each with one matrix of the file's own name: `train_img`,
`train_txt`, `train_img_lab`, `test_img`, `test_txt`, `test_img_lab`. Rows are samples; labels are
one-hot rows or class ids 1..20.
"""

from __future__ import annotations

import os
from pathlib import Path

from hashcore.data._parts import open_six_files
from hashcore.data.source import PairSource

CLASSES = 20
EXPECTED = (
    "Expected a folder with train_img.mat (train_img: features [800, 4096]), train_txt.mat "
    "(train_txt: features [800, 300]), train_img_lab.mat (train_img_lab: one-hot [800, 20] or "
    "class ids 1..20 [800, 1]), and test_img.mat, test_txt.mat, test_img_lab.mat of the test "
    "side; MATLAB v5. From https://github.com/penghu-cs/DSCMR; the set itself: "
    "http://vision.cs.uiuc.edu/pascal-sentences/"
)


def open_pascal(path: str | os.PathLike[str]) -> PairSource:
    """Read the folder with the six files.

    Returns:
        Pairs of features, 20 classes; the training rows are the database, test rows are queries.

    Raises:
        DatasetFileError: missing, of another layout, or with a value that is none.
    """
    return open_six_files(Path(path), CLASSES, expected=EXPECTED, name="pascal-sentence")
