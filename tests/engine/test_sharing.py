"""One file in several processes, and one index in several threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference
from index_files import LAYOUTS, Layout, answers, near, nearest, sample, worn

COUNT = 3000


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


def queries_from(index: hashcore.Index) -> NDArray[np.uint8]:
    return index.get(index.ids[:: len(index) // 30].copy())


def run_beside(calls: list[Callable[[], None]]) -> None:
    """Runs each on a thread of its own; the first error of any is raised."""
    errors: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


READER = """
    import sys, numpy as np, hashcore
    from index_files import answers
    index = hashcore.Index.load(sys.argv[1], mmap=True)
    queries = np.load(sys.argv[2])
    first = answers(index, queries)
    print(first.hex(), flush=True)
    for line in sys.stdin:
        assert all(answers(index, queries) == first for _ in range(20))
        print("the same", flush=True)
    """


def test_a_reader_keeps_its_answers_while_others_replace_the_file(
    tmp_path: Path, layout: Layout
) -> None:
    path = tmp_path / "f"
    index = worn(layout, COUNT)
    index.save(path)
    queries = queries_from(index)
    np.save(tmp_path / "queries.npy", queries)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(READER), path, tmp_path / "queries.npy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == answers(index, queries).hex() + "\n"
    for version in range(1, 6):
        newer = sample(layout, COUNT // version, own_ids=False)
        for reader in readers:
            assert reader.stdin is not None
            reader.stdin.write("again\n")
            reader.stdin.flush()
        newer.save(path)
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "the same\n"
        mapped = hashcore.Index.load(path, mmap=True)
        assert answers(mapped, queries) == answers(newer, queries)
    for reader in readers:
        reader.communicate()
        assert reader.returncode == 0


def test_a_mapped_index_is_saved_over_its_own_file(tmp_path: Path, layout: Layout) -> None:
    path = tmp_path / "f"
    worn(layout, COUNT).save(path)
    before = path.read_bytes()
    mapped, bystander = (hashcore.Index.load(path, mmap=True) for _ in range(2))
    queries = queries_from(mapped)
    expected = answers(mapped, queries)
    mapped.save(path)
    assert path.read_bytes() == before
    mapped.remove(mapped.ids[::7].copy())
    changed = answers(mapped, queries)
    assert changed != expected
    mapped.save(path)
    mapped.compact()
    mapped.save(path)
    assert answers(mapped, queries) == changed
    assert answers(hashcore.Index.load(path), queries) == changed
    assert answers(bystander, queries) == expected


def test_building_over_a_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    old, new = (reference.random_codes(np.random.default_rng(i), COUNT, 60) for i in range(2))
    first = hashcore.Index.build(path, old, bits=60)
    queries = old[:30]
    expected = answers(first, queries)
    second = hashcore.Index.build(path, new, bits=60)
    assert answers(second, queries) != expected
    assert answers(first, queries) == expected


@pytest.mark.parametrize("mmap", [False, True])
def test_many_python_threads_get_the_same_bytes(tmp_path: Path, layout: Layout, mmap: bool) -> None:
    worn(layout, COUNT).save(tmp_path / "f")
    index = hashcore.Index.load(tmp_path / "f", mmap=mmap)
    queries = queries_from(index)
    expected = answers(index, queries)

    def search(threads: int) -> None:
        for _ in range(15):
            assert answers(index, queries, threads) == expected

    run_beside([partial(search, threads) for threads in (1, 1, 2, 3, 4, 8)])


def test_searches_beside_changes_see_a_state_that_was(layout: Layout) -> None:
    """Every answer is that of the index before a change or after it."""
    rng = np.random.default_rng(0)
    codes = reference.random_codes(rng, COUNT, layout.bits)
    ids = rng.permutation(2 * COUNT)[:COUNT].astype(np.int64)
    queries = codes[::100].copy()
    staying = slice(0, COUNT * 2 // 3)
    half, rest = slice(COUNT * 2 // 3, COUNT * 5 // 6), slice(COUNT * 5 // 6, COUNT)
    index = layout.index()
    index.add(codes[staying], ids[staying])
    changes: list[Callable[[], object]] = [
        lambda: index.add(codes[half], ids[half]),
        lambda: index.add(codes[rest], ids[rest]),
        index.compact,
        lambda: index.remove(ids[rest]),
        index.compact,
        lambda: index.remove(ids[half]),
    ]
    seen_before = [(nearest(index, queries), near(index, queries))]
    for change in changes:
        change()
        seen_before.append((nearest(index, queries), near(index, queries)))
    states = [set(kind) for kind in zip(*seen_before, strict=True)]
    assert [len(kind) for kind in states] == [3, 3]
    done = threading.Event()

    def change_often() -> None:
        try:
            for change in changes * 5:
                change()
        finally:
            done.set()

    def search(threads: int) -> None:
        while not done.is_set():
            assert nearest(index, queries, threads) in states[0]
            assert near(index, queries, threads) in states[1]
            assert len(index) in (COUNT * 2 // 3, COUNT * 5 // 6, COUNT)

    run_beside([change_often, *(partial(search, threads) for threads in (1, 2, 3))])
    assert nearest(index, queries) == seen_before[-1][0]
