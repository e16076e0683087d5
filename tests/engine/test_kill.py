"""What is on the disk when a process dies, or the disk is full, in the middle of writing.

``pytest tests/engine/test_kill.py --kills=50`` kills each kind of writer so many times.
"""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference
from index_files import LAYOUTS, sample, worn

PAGE = 4096
BITS = 16
CODES = 3 << 20
# Three slices of a million entries in each of two tables, which a build cannot hold at once.
BUILD: dict[str, Any] = {
    "layout": "compact", "tables": 2, "radius": 1, "memory_budget": 1, "threads": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (CODES, BITS // 8), np.uint8)


@pytest.fixture(scope="module")
def undisturbed(codes: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("undisturbed") / "f"
    hashcore.Index.build(path, codes, **BUILD)
    return path.read_bytes()


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """Of each of two tests that share the kills of one kind of writer."""
    number: int = request.config.getoption("--kills")
    return max(1, number // 2)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A program that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def names_beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry != path)


def progress_of(path: Path) -> int:
    """Bytes of sections that a build has under way, as the first page of its file says."""
    try:
        with path.with_name(f"{path.name}.building").open("rb") as file:
            page = file.read(PAGE)
    except FileNotFoundError:
        return 0
    if page[:8] != b"\x89HCWRK\r\n":
        return 0
    return sum(np.frombuffer(page[16:-8], "<u8")[::2].tolist())


def bytes_written(call: Callable[[], object]) -> int:
    """What this process hands to the system's write calls meanwhile."""

    def so_far() -> int:
        text = Path("/proc/self/io").read_text()
        return int(text.split("wchar: ")[1].split()[0])

    before = so_far()
    call()
    return so_far() - before


SAVE = """
    import sys, time, hashcore
    old, new, path = sys.argv[1:]
    indexes = [hashcore.Index.load(file) for file in (new, old)]
    print("ready", flush=True)
    while True:
        start = time.perf_counter()
        for index in indexes:
            index.save(path)
        print(time.perf_counter() - start, flush=True)
    """

COMPACT = """
    import sys, time, hashcore
    old, _, path = sys.argv[1:]
    print("ready", flush=True)
    while True:
        start = time.perf_counter()
        index = hashcore.Index.load(old, mmap=True)
        index.save(path)
        index.compact()
        index.save(path)
        print(time.perf_counter() - start, flush=True)
    """


@pytest.mark.parametrize("layout", ["flat", "fast"])
@pytest.mark.parametrize("script", [SAVE, COMPACT], ids=["save", "compact"])
def test_a_killed_save_leaves_the_old_file_or_the_new(
    tmp_path: Path, kills: int, layout: str, script: str
) -> None:
    old, new, path = (tmp_path / name / "f" for name in ("old", "new", "target"))
    for each in (old, new, path):
        each.parent.mkdir()
    worn(LAYOUTS[layout], 100_000).save(old)
    index = hashcore.Index.load(old)
    index.save(path)
    index.compact()
    index.save(new)
    allowed = (old.read_bytes(), new.read_bytes())
    rng = np.random.default_rng(kills)
    found = []
    for _ in range(kills):
        with start(script, old, new, path) as process:
            assert process.stdout is not None
            seconds_a_round = float(process.stdout.readline())
            time.sleep(rng.uniform(0, 2) * seconds_a_round)
            process.kill()
        found.append(allowed.index(path.read_bytes()))
        hashcore.Index.load(path)
    left = names_beside(path)
    assert all(name.startswith("f.tmp-") for name in left)
    index.save(path)
    assert path.read_bytes() == allowed[1]
    assert names_beside(path) == left
    print(f"old or new: {found}; left behind: {len(left)}")


FROM_ARRAY = """
    import sys, numpy as np, hashcore
    path, options = sys.argv[1], eval(sys.argv[2])
    codes = np.load(path + ".npy", mmap_mode="r")
    print("ready", flush=True)
    hashcore.Index.build(path, codes, **options)
    """
FROM_CHUNKS = FROM_ARRAY.replace("build(path, codes", "build(path, np.array_split(codes, 7)")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("script", [FROM_ARRAY, FROM_CHUNKS], ids=["array", "chunks"])
def test_a_killed_build_goes_on_where_it_was(
    tmp_path: Path, kills: int, script: str, codes: NDArray[np.uint8], undisturbed: bytes
) -> None:
    path = tmp_path / "f"
    np.save(f"{path}.npy", codes)
    there = codes if script == FROM_ARRAY else np.array_split(codes, 7)
    rng = np.random.default_rng(kills)
    goals = rng.permutation(np.linspace(0, len(undisturbed), kills)).tolist()
    kept = []
    for goal in goals:
        sample(LAYOUTS["flat"], 10, own_ids=False).save(path)
        with start(script, path, BUILD) as process:
            while process.poll() is None and progress_of(path) < goal:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
        assert len(hashcore.Index.load(path)) in (10, CODES)
        assert names_beside(path) in (["f.npy"], ["f.building", "f.npy"])
        kept.append(progress_of(path))
        written = bytes_written(lambda: hashcore.Index.build(path, there, **BUILD))
        assert path.read_bytes() == undisturbed
        assert names_beside(path) == ["f.npy"]
        collected = 0 if script == FROM_ARRAY else codes.nbytes
        # A page tells how far a build is, after every slice, directory and plan.
        assert written - collected <= len(undisturbed) - kept[-1] + 32 * PAGE
    assert sum(done > 0 for done in kept) >= kills // 2
    print(f"MiB kept of {len(undisturbed) >> 20}: {sorted(done >> 20 for done in kept)}")


class EnoughError(Exception):
    pass


def stop_half_way(done: int, total: int) -> None:
    if total > 0 and done > total / 2:
        raise EnoughError


def leave_half(path: Path, codes: NDArray[np.uint8]) -> None:
    with pytest.raises(EnoughError):
        hashcore.Index.build(path, codes, **BUILD, progress=stop_half_way)
    assert not path.exists()
    assert progress_of(path) > 0


def damage(work: Path) -> None:
    with work.open("r+b") as file:
        file.seek(100 * PAGE)
        byte = file.read(1)
        file.seek(100 * PAGE)
        file.write(bytes([byte[0] ^ 1]))


def cut(work: Path) -> None:
    with work.open("r+b") as file:
        file.truncate(100 * PAGE)


def make_foreign(work: Path) -> None:
    work.write_bytes(b"something else " * 1_000_000)


@pytest.mark.parametrize("change", [damage, cut, make_foreign, Path.unlink])
def test_a_build_that_cannot_go_on_starts_anew(
    tmp_path: Path, codes: NDArray[np.uint8], undisturbed: bytes, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "f"
    leave_half(path, codes)
    change(tmp_path / "f.building")
    hashcore.Index.build(path, codes, **BUILD)
    assert path.read_bytes() == undisturbed
    assert names_beside(path) == []


def other_codes(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    other = codes.copy()
    other[-1, -1] ^= 1
    return other, BUILD


def other_tables(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    return codes, {**BUILD, "tables": 1}


def with_ids(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    return codes, {**BUILD, "ids": np.arange(5, 5 + len(codes))}


@pytest.mark.parametrize("other", [other_codes, other_tables, with_ids])
def test_a_build_of_something_else_takes_nothing_over(
    tmp_path: Path, codes: NDArray[np.uint8], other: Callable[..., Any]
) -> None:
    path, clean = tmp_path / "f", tmp_path / "clean"
    leave_half(path, codes)
    rows, options = other(codes)
    hashcore.Index.build(path, rows, **options)
    hashcore.Index.build(clean, rows, **options)
    assert path.read_bytes() == clean.read_bytes()


def test_one_process_builds_a_file_at_a_time(
    tmp_path: Path, codes: NDArray[np.uint8], undisturbed: bytes
) -> None:
    path = tmp_path / "f"
    np.save(f"{path}.npy", codes)
    outcomes: list[str] = []

    def build_beside(done: int, total: int) -> None:
        if outcomes or total == 0 or done < total / 4:
            return
        for script in (FROM_ARRAY, FROM_CHUNKS):
            with start(script, path, BUILD) as process:
                assert process.stderr is not None
                outcomes.append(process.stderr.read().splitlines()[-1])

    hashcore.Index.build(path, np.array_split(codes, 3), **BUILD, progress=build_beside)
    assert len(outcomes) == 2
    assert all(f"[Errno {errno.EBUSY}]" in outcome for outcome in outcomes)
    assert path.read_bytes() == undisturbed


def test_builders_of_one_file_in_turn(tmp_path: Path) -> None:
    """Nobody takes a file that has just got its name for one under way."""
    path = tmp_path / "f"
    small = reference.random_codes(np.random.default_rng(0), 500, BITS)
    hashcore.Index.build(path, small, tables=2)
    whole = path.read_bytes()
    script = """
        import sys, numpy as np, hashcore
        codes = np.frombuffer(bytes.fromhex(sys.stdin.readline()), np.uint8).reshape(-1, 2)
        built = 0
        while built < 50:
            try:
                hashcore.Index.build(sys.argv[1], codes, tables=2)
                built += 1
            except BlockingIOError:
                pass
            except OSError as error:
                assert error.errno == 16, error
        """
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            stdin=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for builder in builders:
        assert builder.stdin is not None
        builder.stdin.write(small.tobytes().hex() + "\n")
        builder.stdin.close()
    while any(builder.poll() is None for builder in builders):
        assert path.read_bytes() == whole
    assert [builder.wait() for builder in builders] == [0, 0, 0]
    assert names_beside(path) == []


def test_ctrl_c_leaves_a_build_to_go_on_with(
    tmp_path: Path, codes: NDArray[np.uint8], undisturbed: bytes
) -> None:
    path = tmp_path / "f"
    np.save(f"{path}.npy", codes)
    with start(FROM_ARRAY, path, BUILD) as process:
        while process.poll() is None and progress_of(path) == 0:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read().strip().endswith("KeyboardInterrupt")
    kept = progress_of(path)
    assert kept > 0
    assert names_beside(path) == ["f.building", "f.npy"]
    written = bytes_written(lambda: hashcore.Index.build(path, codes, **BUILD))
    assert written <= len(undisturbed) - kept + 32 * PAGE
    assert path.read_bytes() == undisturbed


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("chunks", [False, True])
def test_a_full_disk_stops_a_build_and_a_later_one_goes_on(
    tmp_path: Path, codes: NDArray[np.uint8], undisturbed: bytes, chunks: bool
) -> None:
    path = tmp_path / "f"
    there = np.array_split(codes, 5) if chunks else codes
    # The file is refused half way; one of chunks, before.
    size = codes.nbytes // 2 if chunks else len(undisturbed) // 2
    with files_of_at_most(size), pytest.raises(OSError):
        hashcore.Index.build(path, there, **BUILD)
    assert names_beside(path) == ([] if chunks else ["f.building"])
    assert not path.exists()
    assert chunks or progress_of(path) > 0
    hashcore.Index.build(path, there, **BUILD)
    assert path.read_bytes() == undisturbed


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_disk_leaves_the_file_that_is_there(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "f"
    index = sample(LAYOUTS[layout], 5, own_ids=True)
    index.save(path)
    before = path.read_bytes()
    larger = worn(LAYOUTS[layout], 20_000)
    for size in (0, 100, PAGE, 10 * PAGE):
        with files_of_at_most(size), pytest.raises(OSError) as refused:
            larger.save(path)
        assert refused.value.errno == errno.EFBIG
        assert path.read_bytes() == before
        assert names_beside(path) == []
