from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import hashcore
import reference


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("level", hashcore.isa_levels())
def test_the_environment_forces_a_level(level: str) -> None:
    result = run("import hashcore; print(hashcore.isa())", HASHCORE_ISA=level)
    assert result.stdout == f"{level}\n"


def test_an_unknown_level_is_named_with_those_there_are() -> None:
    result = run("import hashcore; hashcore.isa()", HASHCORE_ISA="sse9")
    assert result.returncode == 1
    assert "HASHCORE_ISA: this CPU has no level 'sse9'; it has: portable" in result.stderr


def test_levels_run_different_code() -> None:
    """The proof that a forced level ran: a wide scan takes a time of its own at each."""
    codes = np.random.default_rng(0).integers(0, 256, (100_000, 64), np.uint8)
    levels = hashcore.isa_levels()
    if len(levels) == 1:
        pytest.skip("this CPU has one level only")
    best = {}
    for level in (levels[0], levels[-1]):
        hashcore._core.force_isa(level)
        try:
            times = []
            for _ in range(5):
                start = time.perf_counter()
                hashcore.knn(codes, codes[:16], 1, threads=1)
                times.append(time.perf_counter() - start)
        finally:
            hashcore._core.force_isa("")
        best[level] = min(times)
    assert best[levels[-1]] * 1.5 < best[levels[0]]


def test_the_best_level_is_the_default() -> None:
    result = run("import hashcore; print(hashcore.isa())", HASHCORE_ISA="")
    assert result.stdout.strip() == hashcore.isa_levels()[-1]
    assert hashcore.isa_levels()[0] == "portable"


def test_thread_settings() -> None:
    script = "import hashcore; print(hashcore.num_threads())"
    assert run(script, HASHCORE_NUM_THREADS="3").stdout == "3\n"
    assert run(script, HASHCORE_NUM_THREADS="").stdout == f"{len(os.sched_getaffinity(0))}\n"
    refused = run(script, HASHCORE_NUM_THREADS="many")
    assert "HASHCORE_NUM_THREADS: expected 1..4096, got 'many'" in refused.stderr
    hashcore.set_num_threads(5)
    try:
        assert hashcore.num_threads() == 5
    finally:
        hashcore.set_num_threads(None)
    with pytest.raises(ValueError, match=r"threads: expected 1\.\.4096; got 0"):
        hashcore.set_num_threads(0)


def test_build_info_is_complete() -> None:
    info = hashcore.build_info()
    assert info["version"] == hashcore.__version__
    assert info["isa"] == hashcore.isa()
    assert info["isa_levels"] == hashcore.isa_levels()
    assert set(hashcore.isa_levels()) <= set(hashcore._core.isa_levels_compiled())


def test_other_python_threads_run_during_a_search() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (300_000, 64), np.uint8)
    ticks = 0
    searching = threading.Event()

    def search() -> None:
        searching.set()
        hashcore.knn(codes, codes[:400], 10, threads=1)
        searching.clear()

    thread = threading.Thread(target=search)
    thread.start()
    searching.wait()
    while searching.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    assert ticks > 5


def test_many_python_threads_may_search_at_once() -> None:
    codes = reference.random_codes(np.random.default_rng(0), 20_000, 64)
    index = hashcore.Index(64)
    index.add(codes)
    expected = index.search(codes[:40], 10).ids
    results: list[bool] = []

    def search() -> None:
        same = (
            np.array_equal(index.search(codes[:40], 10, threads=3).ids, expected) for _ in range(20)
        )
        results.append(all(same))

    threads = [threading.Thread(target=search) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "call",
    [
        "hashcore.knn(codes, queries, 10, threads=THREADS)",
        "hashcore.range_search(codes, queries, 3, threads=THREADS)",
        "hashcore.distance_histogram(codes, queries, threads=THREADS)",
        "hashcore.rescore(vectors, shortlist, vectors, 10, threads=THREADS)",
    ],
)
def test_ctrl_c_stops_a_long_call(call: str, threads: int) -> None:
    script = f"""
        import numpy as np, hashcore
        codes = np.random.default_rng(0).integers(0, 256, (2_000_000, 64), np.uint8)
        queries = codes[:100_000]
        vectors = np.ones((2_000, 8_192), np.float32)
        ids = np.zeros((2_000, 10_000), np.int64)
        shortlist = hashcore.SearchResult(ids.astype(np.int32), ids, ids[:, 0])
        print("ready", flush=True)
        {call.replace("THREADS", str(threads))}
        """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
        assert time.monotonic() - started < 5
        assert process.stderr.read().strip().endswith("KeyboardInterrupt")


def test_a_forked_child_searches() -> None:
    result = run(
        """
        import os, numpy as np, hashcore
        codes = np.arange(800_000, dtype=np.uint32).view(np.uint8).reshape(-1, 8)
        first = hashcore.knn(codes, codes[:4], 3, threads=4).ids.tobytes()
        child = os.fork()
        if child == 0:
            same = hashcore.knn(codes, codes[:4], 3, threads=4).ids.tobytes() == first
            os._exit(0 if same else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status))
        """
    )
    assert result.stdout == "0\n", result.stderr


@pytest.mark.parametrize(
    "call",
    [
        "hashcore.knn(codes, codes[:5000], 1, threads=1)",
        "hashcore.knn(codes, codes[:5000], 1, threads=2)",
        "index.search(codes[:5000], 1, progress=lambda done, total: sum(range(10**6)))",
        "index.get(ids)",
        "len(index)",
    ],
)
def test_a_daemon_thread_in_a_call_does_not_crash_the_exit(call: str) -> None:
    script = f"""
        import threading, time, numpy as np, hashcore
        codes = np.zeros((1_000_000, 64), np.uint8)
        ids = np.arange(1_000_000)
        index = hashcore.Index(512)
        index.add(codes)
        def repeat():
            while True:
                {call}
        threading.Thread(target=repeat, daemon=True).start()
        time.sleep(0.5)
        """
    result = run(script)
    assert result.returncode == 0, result.stderr
