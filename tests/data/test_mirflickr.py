from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from data.matlab_files import WRITERS, write_hdf5, write_v5, write_v73
from hashcore.data import CrossModalDataset, DatasetFileError, load, open_source

N, TAGS, CLASSES = 12, 7, 4
SPLIT = {"queries": 3, "train_rows": 5}
RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((N, 6))
PIXELS = RNG.integers(0, 256, (N, 3, 8, 5), np.uint8)  # [N, 3, H, W]
TEXT = RNG.integers(0, 2, (N, TAGS)).astype(np.uint8)
LABELS = RNG.integers(0, 2, (N, CLASSES)).astype(np.float64)


def write_folder(folder: Path, kind: str, **changes: Any) -> Path:
    """The separate files, matrices as given: IAll, YAll, LAll."""
    for name, value in {"IAll": FEATURES, "YAll": TEXT, "LAll": LABELS, **changes}.items():
        WRITERS[kind](folder / f"mirflickr25k-{name.lower()}.mat", {name: value})
    return folder


def check(data: CrossModalDataset, image: np.ndarray) -> None:
    assert data.image.dtype == (np.uint8 if image.ndim == 4 else np.float32)
    assert np.array_equal(data.image, image.astype(data.image.dtype))
    assert data.text.dtype == np.float32
    assert np.array_equal(data.text, TEXT)
    assert np.array_equal(data.labels, LABELS == 1)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("samples_last", [False, True])
def test_separate_files(tmp_path: Path, kind: str, samples_last: bool) -> None:
    turned = {"YAll": TEXT.T, "LAll": LABELS.T} if samples_last else {}
    folder = write_folder(tmp_path, kind, **turned)
    data = load("mirflickr", folder, **SPLIT)
    check(data, FEATURES)
    assert data.name == "mirflickr"
    sizes = (data.split.query.size, data.split.train.size, data.split.database.size)
    assert sizes == (3, 5, 9)


@pytest.mark.parametrize("kind", ["v5", "v7.3"])
def test_pixels_as_matlab_has_them(tmp_path: Path, kind: str) -> None:
    """Height, width, colour, sample; in a v7.3 file this lies reversed."""
    folder = write_folder(tmp_path, kind, IAll=PIXELS.transpose(2, 3, 1, 0))
    check(load("mirflickr", folder, **SPLIT), PIXELS)


def test_pixels_as_python_has_them(tmp_path: Path) -> None:
    for image in (PIXELS, PIXELS.transpose(0, 2, 3, 1)):
        folder = write_folder(tmp_path, "hdf5", IAll=image)
        check(load("mirflickr", folder, **SPLIT), PIXELS)


def test_pixels_of_whole_numbers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "hdf5", IAll=PIXELS.astype(np.float32))
    check(load("mirflickr", folder, **SPLIT), PIXELS)
    broken = PIXELS.astype(np.float32)
    broken[4, 1, 2, 3] = 0.5
    write_folder(tmp_path, "hdf5", IAll=broken)
    with pytest.raises(DatasetFileError, match=r"IAll row 4, column 1, 2, 3 is 0\.5; expected pix"):
        load("mirflickr", folder, **SPLIT)


def test_mixed_versions_sparse_tags_and_plain_names(tmp_path: Path) -> None:
    write_v73(tmp_path / "IAll.mat", {"IAll": FEATURES.T})
    write_v5(tmp_path / "YAll.mat", {"YAll": csc_matrix(TEXT.T)})
    write_hdf5(tmp_path / "LAll.mat", {"LAll": LABELS})
    names = np.array([[f"im{i}.jpg"] for i in range(N)], dtype=object)
    write_v5(tmp_path / "FAll.mat", {"FAll": names})
    check(load("mirflickr", tmp_path, **SPLIT), FEATURES)
    write_v73(tmp_path / "FAll.mat", {"FAll": names[1:]})
    with pytest.raises(DatasetFileError, match=r"FAll \[1, 11\] share no number of samples"):
        load("mirflickr", tmp_path, **SPLIT)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", ["images", "IAll"])
@pytest.mark.parametrize("samples_last", [False, True])
def test_merged_file(tmp_path: Path, kind: str, name: str, samples_last: bool) -> None:
    content: dict[str, Any] = {name: FEATURES, "YAll": TEXT, "LAll": LABELS}
    if samples_last:
        content = {key: value.T for key, value in content.items()}
    file = WRITERS[kind](tmp_path / "FLICKR-25K.mat", content)
    for path in (file, tmp_path):
        check(load("mirflickr", path, **SPLIT), FEATURES)


def test_merged_file_that_is_split(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    for side, rows in (("tr", slice(0, 10)), ("te", slice(10, N))):
        parts = {"I": PIXELS[rows].transpose(2, 3, 1, 0), "T": TEXT[rows], "L": LABELS[rows]}
        content |= {f"{kind}_{side}": value for kind, value in parts.items()}
    data = load("mirflickr", write_v73(tmp_path / "FLICKR-25K.mat", content))
    check(data, PIXELS)
    assert data.split.train.tolist() == data.split.database.tolist() == list(range(10))
    assert data.split.query.tolist() == list(range(10, N))


def bad(array: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    out = array.astype(np.float64)
    out[row, column] = value
    return out


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("changes", "file", "message"),
    [
        (
            {"IAll": bad(FEATURES, 4, 2, np.nan)},
            "iall",
            "IAll row 4, column 2 is nan; expected fin",
        ),
        ({"YAll": bad(TEXT, 9, 0, -np.inf)}, "yall", "YAll row 9, column 0 is -inf; expected fini"),
        ({"IAll": bad(FEATURES, 3, 1, 1e300)}, "iall", "IAll row 3, column 1 is inf; expected fin"),
        ({"LAll": bad(LABELS, 7, 3, 2)}, "lall", r"LAll row 7, column 3 is 2\.0; expected 0 or 1"),
        ({"LAll": bad(LABELS, 7, 3, np.nan)}, "lall", "LAll row 7, column 3 is nan; expected 0 or"),
        ({"YAll": TEXT[0][None, None]}, "", "share no number of samples"),
        ({"LAll": LABELS[:-1]}, "", r"LAll \[11, 4\] share no number of samples"),
        (
            {"LAll": np.zeros((N, N))},
            "lall",
            r"\[12, 12\]; expected a matrix with 12 samples along",
        ),
        (
            {"IAll": PIXELS[:, :2]},
            "iall",
            r"IAll is \[12, 2, 8, 5\]; expected features \[12, D\], or",
        ),
        ({"YAll": np.zeros((N, 6, 1))}, "yall", "expected a matrix with 12 samples along one axis"),
    ],
)
def test_bad_data(
    tmp_path: Path, kind: str, changes: dict[str, Any], file: str, message: str
) -> None:
    if kind == "v7.3":
        changes = {name: value.astype(np.float64) for name, value in changes.items()}
        message = message.replace("[11, 4]", "[4, 11]").replace("[12, 2, 8, 5]", "[5, 8, 2, 12]")
        message = message.replace(r"\[11, 4\]", r"\[4, 11\]")
        message = message.replace(r"\[12, 2, 8, 5\]", r"\[5, 8, 2, 12\]")
    folder = write_folder(tmp_path, kind, **changes)
    with pytest.raises(DatasetFileError, match=message) as caught:
        load("mirflickr", folder, **SPLIT)
    said = str(caught.value)
    assert said.startswith(str(folder / f"mirflickr25k-{file}.mat" if file else folder))
    assert "Expected a folder with mirflickr25k-iall.mat" in said


def test_more_than_one_length_in_common(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "v5", IAll=FEATURES[:, :4], YAll=TEXT[:, :4])
    with pytest.raises(DatasetFileError, match=r"share the lengths \[4, 12\]"):
        load("mirflickr", folder, **SPLIT)


def test_missing_foreign_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileError, match=r"none\.mat: no such file\. Expected a folder"):
        load("mirflickr", tmp_path / "none.mat")
    folder = write_folder(tmp_path, "v7.3")
    tags = folder / "mirflickr25k-yall.mat"
    write_v73(tags, {"tags": TEXT})
    with pytest.raises(DatasetFileError, match=r"no variable YAll; it has \['tags'\]"):
        load("mirflickr", folder)
    tags.write_text("tags")
    with pytest.raises(
        DatasetFileError, match=r"yall\.mat: not a readable MATLAB file, of version"
    ):
        load("mirflickr", folder)
    write_v73(tags, {"YAll": np.random.default_rng(0).random((N, 400))})
    tags.write_bytes(tags.read_bytes()[:-9000])
    with pytest.raises(DatasetFileError, match=r"yall\.mat: (YAll )?cannot be read \("):
        load("mirflickr", folder, **SPLIT)
    tags.unlink()
    with pytest.raises(DatasetFileError, match=r"yall\.mat: no such file\. Expected a folder"):
        load("mirflickr", folder)


def test_fewer_rows_than_the_protocol(tmp_path: Path) -> None:
    message = "at most the 12 rows there are; got 2,000 queries and 10,000 training rows"
    with pytest.raises(DatasetFileError, match=message):
        load("mirflickr", write_folder(tmp_path, "v5"))


def test_the_real_tags_and_labels(shared_data: Path, tmp_path: Path) -> None:
    """With made-up features of as many images: the protocol of the papers."""
    for name in ("mirflickr25k-yall.mat", "mirflickr25k-lall.mat"):
        (tmp_path / name).symlink_to(shared_data / name)
    features = np.random.default_rng(0).random((20_015, 3), dtype=np.float32)
    write_v73(tmp_path / "mirflickr25k-iall.mat", {"IAll": features})
    source = open_source("mirflickr", tmp_path)
    assert source.text.shape == (20_015, 1386)
    split = source.split
    assert (split.query.size, split.train.size, split.database.size) == (2000, 10_000, 18_015)
    labels = source.labels[0:20_015]
    assert labels.shape == (20_015, 24)
    assert labels.sum(axis=0)[:3].tolist() == [2647, 179, 644]
    assert np.array_equal(source.image[100:200], features[100:200])
