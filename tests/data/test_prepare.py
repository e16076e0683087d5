from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.matlab_files import write_v73
from hashcore.data import (
    CrossModalDataset,
    DatasetFileError,
    _rows,
    load,
    open_source,
    prepare,
    source,
    writer,
)

N = 40


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, so that every path crosses their borders."""
    blocks = _rows.row_blocks
    for module in (source, writer):
        monkeypatch.setattr(module, "row_blocks", lambda rows: blocks(rows, 100))


def write_arrays(path: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    content = {
        "image": rng.random((N, 6)),
        "text": rng.random((N, 5)),
        "labels": rng.integers(0, 2, (N, 3)),
        "train": np.arange(30),
        "query": np.arange(30, 38),
        "database": np.arange(25),
    }
    np.savez(path, **{**content, **changes})
    return path


def write_mirflickr(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 4, 3, N), np.uint8)
    write_v73(folder / "mirflickr25k-iall.mat", {"IAll": pixels})
    write_v73(folder / "mirflickr25k-yall.mat", {"YAll": rng.integers(0, 2, (N, 9)).astype(float)})
    write_v73(folder / "mirflickr25k-lall.mat", {"LAll": rng.integers(0, 2, (7, N)).astype(float)})
    return folder


def same(one: CrossModalDataset, other: CrossModalDataset) -> bool:
    names = ("image", "text", "labels")
    about = ("name", "split", "image_transform", "text_transform", "class_names", "captions")
    return (
        all(np.array_equal(getattr(one, n), getattr(other, n)) for n in names)
        and all(getattr(one, n).dtype == getattr(other, n).dtype for n in names)
        and all(getattr(one, n) == getattr(other, n) for n in (*about, "vocabulary"))
    )


@pytest.mark.parametrize("name", ["shapes", "mirflickr", "arrays"])
def test_what_is_prepared_is_what_was_loaded(tmp_path: Path, name: str) -> None:
    path: Path | None = None
    options: dict[str, Any] = {"shapes": {"pairs": N}}.get(name, {})
    if name == "mirflickr":
        path, options = write_mirflickr(tmp_path), {"queries": 6, "train_rows": 20, "seed": 3}
    elif name == "arrays":
        path, options = write_arrays(tmp_path / "own.npz"), {"image_transform": "sqrt"}
    out = tmp_path / "deep" / "out"
    opened = open_source(name, path, **options)
    manifest = prepare(opened, out, loader=name, options=options)
    data = load("prepared", out)
    assert same(data, load(name, path, **options))
    for array in (data.image, data.text, data.labels):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
    assert manifest.counts == {
        "pairs": N,
        "train": data.split.train.size,
        "query": data.split.query.size,
        "database": data.split.database.size,
        "classes": data.labels.shape[1],
        "unlabelled": int((~data.labels.any(axis=1)).sum()),
    }
    assert [entry["name"] for entry in manifest.source["files"]] == [f.name for f in opened.files]
    assert sorted(p.name for p in out.parent.iterdir()) == ["out"]


def test_the_manifest_tells_every_file(tmp_path: Path) -> None:
    file = write_arrays(tmp_path / "own.npz")
    documents = []
    for out in (tmp_path / "a", tmp_path / "b"):
        prepare(open_source("arrays", file), out, loader="arrays")
        documents.append((out / "manifest.json").read_text())
    assert documents[0] == documents[1]
    document = json.loads(documents[0])
    files = {p.name: p for p in (tmp_path / "a").iterdir() if p.name != "manifest.json"}
    assert document["files"].keys() == files.keys()
    for name, record in [*document["files"].items(), ("own.npz", document["source"]["files"][0])]:
        content = files.get(name, file).read_bytes()
        assert record["bytes"] == len(content)
        assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert document["split_hash"] == load("arrays", file).split.hash
    assert document["source"]["loader"] == "arrays"


def test_progress_counts_bytes_to_the_end(tmp_path: Path) -> None:
    file = write_arrays(tmp_path / "own.npz")
    seen: list[tuple[int, int]] = []
    prepare(
        open_source("arrays", file),
        tmp_path / "out",
        loader="arrays",
        progress=lambda done, total: seen.append((done, total)),
    )
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert len({total for _, total in seen}) == 1
    assert seen[-1][0] == seen[-1][1] == file.stat().st_size + N * (6 * 4 + 5 * 4 + 3)


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    opened = open_source("arrays", write_arrays(tmp_path / "own.npz"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes").write_text("mine")
    with pytest.raises(ValueError, match="is there already; remove it, or give another"):
        prepare(opened, out, loader="arrays")
    assert [p.name for p in out.iterdir()] == ["notes"]
    (out / "notes").unlink()
    prepare(opened, out, loader="arrays")  # an empty directory may be there
    assert len(load("prepared", out)) == N


def test_bad_values_leave_nothing(tmp_path: Path) -> None:
    text = np.ones((N, 5))
    text[33, 2] = np.nan
    file = write_arrays(tmp_path / "own.npz", text=text)
    with pytest.raises(DatasetFileError, match=r"own\.npz: text row 33, column 2 is nan"):
        prepare(open_source("arrays", file), tmp_path / "out", loader="arrays")
    image = np.ones((N, 5))
    image[21, 4] = -1
    file = write_arrays(tmp_path / "own.npz", image=image)
    opened = open_source("arrays", file, image_transform="sqrt")
    with pytest.raises(ValueError, match=r"image: row 21, column 4 is -1\.0; expected values >= 0"):
        prepare(opened, tmp_path / "out", loader="arrays")
    assert [p.name for p in tmp_path.iterdir()] == ["own.npz"]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    opened = open_source("arrays", write_arrays(tmp_path / "own.npz"))

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(opened, tmp_path / "out", loader="arrays", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["own.npz"]


def test_two_writers_of_one_directory(tmp_path: Path) -> None:
    opened = open_source("arrays", write_arrays(tmp_path / "own.npz"))
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "image.npy").write_text("of the other process")
    lock = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is writing it"):
            prepare(opened, tmp_path / "out", loader="arrays")
        assert (partial / "image.npy").read_text() == "of the other process"
    finally:
        os.close(lock)
    prepare(opened, tmp_path / "out", loader="arrays")
    assert not partial.exists()


_SLOW = """
import sys, time
from hashcore.data import open_source, prepare, _rows, writer

def pause(done, total):
    if done > total * float(sys.argv[3]):
        print("at", done, flush=True)
        time.sleep(60)

blocks = _rows.row_blocks
writer.row_blocks = lambda rows: blocks(rows, 100)
prepare(open_source("arrays", sys.argv[1]), sys.argv[2], loader="arrays", progress=pause)
"""


@pytest.mark.parametrize("share", [0.0, 0.7, 0.85, 0.999])
def test_a_kill_leaves_nothing_that_looks_whole(tmp_path: Path, share: float) -> None:
    file, out = write_arrays(tmp_path / "own.npz"), tmp_path / "out"
    arguments = [sys.executable, "-c", _SLOW, str(file), str(out), str(share)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("at")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    for path in (out, tmp_path / "out.partial"):
        with pytest.raises(DatasetFileError, match=r"manifest\.json: no such file"):
            load("prepared", path)
    prepare(open_source("arrays", file), out, loader="arrays")
    assert same(load("prepared", out), load("arrays", file))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "own.npz"]


def damage_truncate(out: Path) -> None:
    path = out / "text.npy"
    path.write_bytes(path.read_bytes()[:-1])


def damage_split(out: Path) -> None:
    np.save(out / "query.npy", np.arange(31, 39))


def damage_overlap(out: Path) -> None:
    np.save(out / "query.npy", np.arange(29, 37))


def damage_missing(out: Path) -> None:
    (out / "labels.npy").unlink()


def damage_manifest(out: Path) -> None:
    (out / "manifest.json").write_text("{}")


def damage_unnamed(out: Path) -> None:
    document = json.loads((out / "manifest.json").read_text())
    del document["files"]["image.npy"]
    (out / "manifest.json").write_text(json.dumps(document))


def damage_header(out: Path) -> None:
    path = out / "image.npy"
    path.write_bytes(b"x" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncate, r"text\.npy: 927 bytes; expected 928, as manifest\.json says"),
        (damage_split, "the split is not the one of manifest"),
        (damage_overlap, "1 query rows are also train rows"),
        (damage_missing, r"labels\.npy: no such file"),
        (damage_manifest, r"manifest\.json: not a manifest of a prepared data set"),
        (damage_unnamed, r"does not name image\.npy"),
        (damage_header, r"image\.npy: not a whole \.npy file"),
    ],
)
def test_damage_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    out = tmp_path / "out"
    prepare(open_source("arrays", write_arrays(tmp_path / "own.npz")), out, loader="arrays")
    damage(out)
    with pytest.raises(DatasetFileError, match=message) as caught:
        load("prepared", out)
    assert "hashcore data prepare" in str(caught.value)


@pytest.mark.parametrize("kind", ["npy", "v7.3"])
def test_a_set_passes_through_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """40 MB of features in blocks of 1 MB; then opened without reading them."""
    n, width = 5000, 2000
    image = np.ones((n, width), np.float32)
    labels, text = np.ones((n, 3), np.bool_), np.ones((n, 4), np.float32)
    if kind == "npy":
        for key, value in {"image": image, "text": text, "labels": labels}.items():
            np.save(tmp_path / f"{key}.npy", value)
    else:
        for key, matrix in {"IAll": image, "YAll": text, "LAll": labels.astype(np.uint8)}.items():
            write_v73(tmp_path / f"{key}.mat", {key: matrix})
    del image
    blocks = _rows.row_blocks
    monkeypatch.setattr(writer, "row_blocks", lambda rows: blocks(rows, 1 << 20))
    name = "arrays" if kind == "npy" else "mirflickr"
    tracemalloc.start()
    try:
        opened = open_source(name, tmp_path, queries=100, train_rows=1000)
        prepare(opened, tmp_path / "out", loader=name)
        _, written = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        data = load("prepared", tmp_path / "out")
        _, loaded = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert data.image.nbytes == 40_000_000
    assert written < 8e6
    assert loaded < 2e6
