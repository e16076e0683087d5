"""What a folder holds when the process that saves a text store to it is killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from hashcore.compat import _text_files
from hashcore.compat._texts import Text, TextStore

WRITER = """
    import sys, time
    from hashcore.compat import _text_files
    *stores, target = sys.argv[1:]
    stores = [_text_files.load(s, mmap=False, verify=True, threads=1) for s in stores]
    print("ready", flush=True)
    while True:
        start = time.perf_counter()
        for store in stores:
            _text_files.save(store, target)
        print(time.perf_counter() - start, flush=True)
    """
COUNTS = (3_000, 5_000)


def store_of(count: int) -> TextStore:
    store = TextStore("int8", "flat", 1)
    vectors = np.random.default_rng(count).standard_normal((count, 256), np.float32)
    store.put([Text(f"{n}", f"text {n} of {count}", {"of": count}) for n in range(count)], vectors)
    return store


def loaded(path: Path) -> TextStore:
    return _text_files.load(path, mmap=False, verify=True, threads=1)


def test_a_kill_leaves_one_store_or_the_other(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sources, target = [tmp_path / f"{count}" for count in COUNTS], tmp_path / "target"
    for count, source in zip(COUNTS, sources, strict=True):
        _text_files.save(store_of(count), source)
    rng = np.random.default_rng(0)
    seen, left = set(), 0
    for _ in range(max(1, request.config.getoption("--kills") // 2)):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), *map(str, [*sources, target])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            seconds = float(process.stdout.readline())
            time.sleep(rng.uniform(0, 2) * seconds)
            process.kill()
        store = loaded(target)
        assert len(store) in COUNTS
        assert {text.metadata["of"] for text in store.rows if text} == {len(store)}
        seen.add(len(store))
        left += len(list(target.iterdir())) > 4
    _text_files.save(loaded(target), target)
    assert len(list(target.iterdir())) == 4  # what kills left is cleared away
    print(f"stores found: {sorted(seen)}; folders with something left: {left}")


def test_what_is_not_its_own_stays(tmp_path: Path) -> None:
    own = ["texts-7.jsonl", "index-9.hci.tmp-3", "vectors-2.npy.41.partial", "store.json.5.partial"]
    others = ["notes.txt", "index.hci", "texts-7.jsonl.bak", "my-index-1.hci"]
    for name in [*own, *others]:
        (tmp_path / name).write_text("something")
    _text_files.save(store_of(10), tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"store.json", "texts-8.jsonl", "index-8.hci", "vectors-8.npy", *others}
    assert len(loaded(tmp_path)) == 10
