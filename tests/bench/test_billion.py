"""The out-of-core bench: its codes, what it leaves behind when it is stopped, what it reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.out_of_core import build as build_module
from bench.out_of_core import codes as codes_module
from bench.out_of_core import memory, page_cache
from bench.out_of_core.build import BuildRequest, build, building_path, journal_path
from bench.out_of_core.child import ROOT
from bench.out_of_core.codes import CodeSource, Recipe, make_codes, map_codes, random_flips
from bench.out_of_core.multi_hash import recall
from bench.out_of_core.report import Row, read_rows, store
from bench.out_of_core.room import Room, largest_count, needed
from bench.out_of_core.search import AnswersDifferError, SearchPlan, measure_searches

import hashcore
import reference
from bench import billion

COUNT = 20_000
LINE = ["--quick", "--n", str(COUNT), "--codes", "clustered", "--centres", "500", "--k", "1", "10"]


def ignore(done: int, total: int) -> None:
    """A progress callback."""


def command(tmp_path: Path, *more: str) -> list[str]:
    return [*LINE, "--folder", str(tmp_path / "work"), "--out", str(tmp_path / "out"), *more]


def only_row(tmp_path: Path) -> Row:
    (row,) = read_rows(tmp_path / "out" / "billion.json")
    return row


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(codes_module, "CHUNK_CODES", 1000)
    return 1000


@pytest.mark.parametrize("probability", [1 / 8, 1 / 16, 3 / 256, 1 / 2, 129 / 256, 255 / 256])
def test_bits_are_flipped_with_the_probability(probability: float) -> None:
    words = random_flips(np.random.default_rng(0), 50_000, probability)
    shares = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    deviation = (probability * (1 - probability) / len(words)) ** 0.5
    assert np.abs(shares - probability).max() < 5 * deviation


def test_no_bit_is_flipped_with_probability_zero() -> None:
    assert not random_flips(np.random.default_rng(0), 100, 0.0).any()


@pytest.mark.parametrize("kind", ["uniform", "clustered"])
def test_the_file_of_fewer_codes_begins_the_file_of_more(
    tmp_path: Path, small_chunks: int, kind: codes_module.Kind
) -> None:
    source = CodeSource(Recipe.of(kind, centres=10))
    whole, grown = tmp_path / "whole.u64", tmp_path / "grown.u64"
    make_codes(whole, source, 4500, ignore)
    for count in (1, 1500, 4500, 20):
        make_codes(grown, source, count, ignore)
        assert grown.read_bytes()[: 8 * count] == whole.read_bytes()[: 8 * count]
    assert grown.read_bytes() == whole.read_bytes()
    assert len(np.unique(map_codes(whole, 4500).view(np.uint64))) == 4500


def test_codes_go_on_after_the_last_whole_chunk(tmp_path: Path, small_chunks: int) -> None:
    source = CodeSource(Recipe.of("uniform"))
    whole, path = tmp_path / "whole.u64", tmp_path / "codes.u64"
    make_codes(whole, source, 5000, ignore)

    def stop(done: int, total: int) -> None:
        if done == 2 * small_chunks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_codes(path, source, 5000, stop)
    with path.open("ab") as file:
        file.write(b"part of a chunk")
    drawn: list[int] = []
    make_codes(path, source, 5000, lambda done, total: drawn.append(done))
    assert drawn == [3000, 4000, 5000]
    assert path.read_bytes() == whole.read_bytes()


def test_codes_of_another_recipe_are_drawn_anew(tmp_path: Path, small_chunks: int) -> None:
    path = tmp_path / "codes.u64"
    other = CodeSource(Recipe.of("clustered", centres=10, flip=0.25))
    assert other.name != CodeSource(Recipe.of("clustered", centres=10)).name
    make_codes(path, CodeSource(Recipe.of("clustered", centres=10)), 1000, ignore)
    make_codes(path, other, 500, ignore)
    assert path.read_bytes() == other.chunk(0)[:500].tobytes()
    assert json.loads(path.with_suffix(".json").read_text())["flip"] == 0.25


def test_real_codes_stay_near_the_real_queries(shared_data: Path, small_chunks: int) -> None:
    assert (shared_data / codes_module.SIFT_CODES).is_file()
    source = CodeSource(Recipe.of("sift"))
    queries = source.queries(1000)
    assert queries.shape == (100, 8)
    real = np.fromfile(shared_data / codes_module.SIFT_CODES, np.uint8).reshape(-1, 8)
    drawn = source.chunk(0).view(np.uint8).reshape(-1, 8)
    nearest = reference.knn(real, drawn, 1, 64)[0]
    assert 3 < nearest.mean() < 4.3  # 4 flips on average, of which some lead to another real code


def test_absent_real_codes_are_skipped_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HASHCORE_DATA", str(tmp_path))
    found = billion.sources(billion.parser().parse_args([]))
    assert [source.recipe.kind for source in found] == ["uniform", "clustered"]
    assert "sift: skipped; " in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^bench.billion: [^\n]*set HASHCORE_DATA[^\n]*$"):
        billion.main(["--quick", "--codes", "sift", "--folder", str(tmp_path)])


def test_the_largest_count_is_the_largest_that_fits() -> None:
    gib = 2**30
    assert largest_count(Room(100 * gib, 100 * gib), "compact", 2) == 10**9
    for disk, memory_bytes in ((20 * gib, 20 * gib), (100 * gib, gib), (3 * gib, 3 * gib)):
        room = Room(disk, memory_bytes)
        count = largest_count(room, "compact", 2)
        assert room.holds(needed(count, "compact", 2))
        assert not room.holds(needed(5 * count // 2, "compact", 2))
    assert largest_count(Room(1000, 1000), "compact", 2) == 0


def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(billion, "room_in", lambda folder, memory: Room(10 * 2**30, 2**30))
    with pytest.raises(
        SystemExit, match=r"^[^\n]*N = 1,000,000,000[^\n]*Use --n 50000000, [^\n]*$"
    ):
        billion.main(["--quick", "--n", "1e9", "--folder", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n", "1.5"], "expected a whole number such as 1e9; got 1.5"),
        (["--n", "inf"], "expected a whole number such as 1e9; got inf"),
        (["--codes", "uniform", "--flip", "0.5"], "--flip: expected clustered or sift"),
        (["--codes", "sift", "--centres", "9"], "--centres: expected clustered"),
        (["--n", "1e10"], "expected at most 4,294,967,295; got 10,000,000,000"),
        (["--flip", "0.3"], "expected a multiple of 1/256 below 1, such as 0.125; got 0.3"),
    ],
)
def test_wrong_options_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit):
        billion.main(arguments)
    assert said in capsys.readouterr().err


def test_a_quick_run_measures_everything_and_cleans_up(tmp_path: Path) -> None:
    arguments = ["--quick", "--codes", "clustered", "--folder", str(tmp_path / "work")]
    assert billion.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    row = only_row(tmp_path)
    assert row.key == ("clustered", billion.QUICK_COUNT, "compact")
    assert row.build.attempts == 1
    assert row.build.all_timed
    assert 9 < row.build.bytes_per_code < 22
    assert 0 < row.build.peak_anonymous <= row.build.peak_resident
    assert row.build.peak_anonymous < row.build.budget + 2**28
    assert row.build.seconds > 0
    assert row.build.read_seconds > 0
    settings = [(figure.k, figure.threads) for figure in row.searches.figures]
    assert settings == [(k, threads) for k in (1, 10, 100) for threads in (1, 2)]
    for figure in row.searches.figures:
        times = (figure.cold_ms, figure.warm_ms, figure.batch_ms, figure.flat_ms)
        assert min(*times, figure.flat_batch_ms) > 0
        assert figure.lookups > 0
        assert 0 <= figure.scans <= 1
    assert not list((tmp_path / "work").iterdir())
    report = (tmp_path / "out" / "billion.md").read_text()
    assert "### clustered, 2,000,000, compact" in report


def test_what_is_there_of_a_run_is_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = needed(10**6, "compact", 2)
    monkeypatch.setattr(billion, "room_in", lambda folder, memory: whole)
    source = CodeSource(Recipe.of("uniform"))
    options = billion.parser().parse_args(["--folder", str(tmp_path)])
    run, budget = billion.planned(source, options)
    assert run.count == 10**6
    assert budget == whole.memory
    run.codes_path.write_bytes(bytes(1000))
    building_path(run.index_path).write_bytes(bytes(500))
    monkeypatch.setattr(
        billion, "room_in", lambda folder, memory: replace(whole, disk=whole.disk - 1500)
    )
    assert billion.planned(source, options)[0] == run
    run.remove()
    assert not list(tmp_path.iterdir())
    assert billion.planned(source, options)[0].count == 500_000


def test_a_run_that_keeps_its_files_is_taken_up(tmp_path: Path) -> None:
    assert billion.main(command(tmp_path, "--keep")) == 0
    first = only_row(tmp_path)
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()}
    assert len(files) == 4  # codes and index, each with what is known of them
    assert billion.main(command(tmp_path, "--keep")) == 0
    assert only_row(tmp_path).build == first.build
    assert files == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()}


@pytest.fixture
def request_to_build(tmp_path: Path) -> BuildRequest:
    codes = tmp_path / "codes.u64"
    make_codes(codes, CodeSource(Recipe.of("uniform")), COUNT, ignore)
    return BuildRequest(codes, COUNT, tmp_path / "index.hci", "compact", 2**30, 2)


def stop_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        if 2 * done >= total > 0:
            raise KeyboardInterrupt

    @contextmanager
    def bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        yield stop

    monkeypatch.setattr(build_module, "progress_bar", bar)


def test_a_build_that_was_stopped_counts_all_its_attempts(
    request_to_build: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_half_way(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        build_module.attempt_build(request_to_build)
    assert building_path(request_to_build.index).is_file()
    (stopped,) = build_module.Journal(request_to_build).attempts
    assert stopped.seconds is not None
    assert not stopped.finished
    built = build(request_to_build)
    assert built.attempts == 2
    assert built.all_timed
    assert built.seconds > stopped.seconds
    assert not building_path(request_to_build.index).exists()
    index = hashcore.Index.load(request_to_build.index)
    codes = map_codes(request_to_build.codes, COUNT)
    np.testing.assert_array_equal(index.get(np.arange(COUNT)), codes)


def test_a_killed_attempt_makes_the_time_a_lower_bound(request_to_build: BuildRequest) -> None:
    journal = build_module.Journal(request_to_build)
    journal.attempts.append(build_module.Attempt(2**30, 2))
    journal.write()
    built = build(request_to_build)
    assert built.attempts == 2
    assert not built.all_timed


def test_what_another_engine_built_is_built_again(request_to_build: BuildRequest) -> None:
    build(request_to_build)
    path = journal_path(request_to_build.index)
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "engine": "another"}))
    assert not build_module.Journal(request_to_build).finished
    assert not request_to_build.index.exists()


def test_ctrl_c_reaches_the_build_and_is_said_in_one_line(tmp_path: Path) -> None:
    arguments = command(tmp_path, "--n", "4e6")
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from bench.billion import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not list((tmp_path / "work").glob("*.building")):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == 130
    assert "interrupted; the same command goes on from here" in said
    assert "Traceback" not in said
    (journal,) = (tmp_path / "work").glob("*.build.json")
    (attempt,) = json.loads(journal.read_text())["attempts"]
    assert attempt["seconds"] > 0


def test_an_index_of_other_codes_is_found_out(
    request_to_build: BuildRequest, tmp_path: Path
) -> None:
    build(request_to_build)
    plan = SearchPlan(CodeSource(Recipe.of("uniform")).queries(5), [10], [1], 1, 1)
    codes = map_codes(request_to_build.codes, COUNT)
    found = measure_searches(request_to_build.index, codes, plan, ignore)
    assert len(found.figures) == 1
    with pytest.raises(AnswersDifferError, match="those of a scan"):
        measure_searches(request_to_build.index, codes ^ np.uint8(1), plan, ignore)


def test_pages_are_dropped_and_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    page_cache.drop(path)
    dropped = page_cache.cached_share(path)
    assert page_cache.seconds_to_read(path, 1 << 20) > 0
    assert dropped <= page_cache.cached_share(path) == 1
    with pytest.raises(EOFError, match="1 are missing"):
        page_cache.seconds_to_read(path, (1 << 20) + 1)


def test_the_peak_is_seen_while_it_lasts() -> None:
    before = memory.anonymous()
    with memory.AnonymousPeak() as watch:
        held = np.ones(64 << 20, np.uint8)
        time.sleep(0.2)
        del held
    assert watch.peak - before > 60 << 20
    assert watch.peak <= memory.peak_resident()


def test_recall_counts_ties_as_found() -> None:
    exact = np.array([[1, 3, 3], [0, 2, 5]], np.int32)
    distances = np.array([[1, 3, 4], [0, 5, 65]], np.int32)
    ids = np.array([[7, 8, 9], [1, 2, -1]], np.int64)
    assert recall(distances, ids, exact) == 4 / 6
    assert recall(exact, np.zeros_like(exact, np.int64), exact) == 1


def test_the_peer_is_searched_until_it_misses_nothing(tmp_path: Path) -> None:
    assert billion.main(command(tmp_path, "--faiss")) == 0
    peer = only_row(tmp_path).multi_hash
    assert peer is not None
    assert peer.hashes * peer.key_bits <= 64
    assert peer.bytes_per_code > 8
    for k in (1, 10):
        recalls = [step.recall for step in peer.steps if step.k == k]
        assert recalls == sorted(recalls)
        assert peer.best(k).recall == recalls[-1] == 1
    assert "`IndexBinaryMultiHash`" in (tmp_path / "out" / "billion.md").read_text()
    with pytest.raises(SystemExit, match=r"--faiss: expected --n of at most 20,000,000"):
        billion.main(command(tmp_path, "--faiss", "--n", "3e7"))


def test_rows_are_replaced_by_their_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert billion.main([*LINE, "--folder", "work", "--out", "out"]) == 0
    row = only_row(tmp_path)
    out = tmp_path / "out"
    store(out, replace(row, layout="fast"))
    store(out, replace(row, queries=77))
    assert [(each.layout, each.queries) for each in read_rows(out / "billion.json")] == [
        ("compact", 77),
        ("fast", 10),
    ]
    (out / "billion.json").write_text('{"format": "another"}')
    with pytest.raises(ValueError, match=r"^[^\n]*expected results that python -m bench.billion"):
        store(out, row)


def test_a_red_tree_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billion, "is_green", lambda root: False)
    monkeypatch.setattr(billion, "run_all", lambda options: pytest.fail("measured a red tree"))
    with pytest.raises(SystemExit, match=r"^bench\.billion: the tests are red[^\n]*$"):
        billion.main(["--n", "1000"])
