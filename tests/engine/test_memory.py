"""Memory beyond the codes: O(Q k + threads x tile), and no copy of the database a call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20
CODES = 1_000_000
CODE_BYTES = 32
QUERIES = 256

SETUP = f"""
import json
import sys
from pathlib import Path

import numpy as np

import hashcore
from hashcore import metrics

rng = np.random.default_rng(0)
codes = rng.integers(0, 256, ({CODES}, {CODE_BYTES}), np.uint8)
queries = rng.integers(0, 256, ({QUERIES}, {CODE_BYTES}), np.uint8)
index = hashcore.Index({8 * CODE_BYTES}, threads=4)
index.add(codes)
quarter = {CODES // 4}
labels = rng.integers(0, 10, quarter)
path = sys.argv[1]
mask = hashcore.Filter.mask(rng.random({CODES}) < 0.5)
allow = hashcore.Filter.allow(np.arange(0, {CODES}, 2))
hashcore.set_num_threads(4)
pruned = hashcore.Index.from_codes(codes, copy=False, threads=4)
pruned.remove(np.arange(0, {CODES}, 3))
index.search(queries)  # the threads and their stacks are there from now on


def resident(name):
    text = Path("/proc/self/status").read_text()
    return int(text.split(name + ":")[1].split()[0]) * 1024


def growth(call):
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    result = call()
    return resident("VmHWM") - before
"""

# What the tiles, tables and buffers of four threads may take.
TILES = 4 * MIB
# A bit a code.
FILTER = CODES // 8
# Pieces of a file that are made as they are written: as blocks, and as bytes.
SAVED = 2 * 4 * MIB
# Distances and ids of the result, and room for 2 k hits of 8 bytes in each of the four ranges that
# threads search at once.
HITS = QUERIES * 1000 * (4 + 8 + 4 * 16)

ALLOWED_BYTES = {
    "hashcore.knn(codes, queries, 10)": TILES,
    "hashcore.knn(codes, queries, 1000)": TILES + HITS,
    "hashcore.knn(codes, queries[0], 10)": TILES,
    "hashcore.knn(codes, queries, 10, filter=mask)": TILES + FILTER,
    "hashcore.range_search(codes, queries, 85)": TILES,
    "hashcore.distance_histogram(codes, queries)": TILES,
    "index.search(queries, 10)": TILES,
    "index.search(queries, 1000)": TILES + HITS,
    "index.search(queries[0], 10)": TILES,
    "index.search(queries, 10, filter=allow)": TILES + FILTER,
    "index.range_search(queries, 85)": TILES,
    "index.save(path)": TILES,
    "pruned.search(queries, 10)": TILES + FILTER,
    "pruned.search(queries, 10, filter=allow)": TILES + FILTER,
    "pruned.save(path)": TILES + SAVED,
    # Tables by rank and class, however many queries there are.
    "metrics.evaluate(queries, codes[:quarter], labels[:256], labels)": TILES + 64 * CODES // 4,
}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_no_call_copies_the_database(tmp_path: Path) -> None:
    calls = ["codes.copy()", *ALLOWED_BYTES]
    measured = ", ".join(f"growth(lambda: {call})" for call in calls)
    output = subprocess.run(
        [sys.executable, "-c", f"{SETUP}\nprint(json.dumps([{measured}]))", tmp_path / "codes.hci"],
        # What is freed goes back to the system at once and does not hide the next call's need.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    ).stdout
    growths: dict[str, int] = dict(zip(calls, json.loads(output), strict=True))
    assert growths["codes.copy()"] > 0.9 * CODES * CODE_BYTES
    too_much = {
        call: growths[call] for call, limit in ALLOWED_BYTES.items() if growths[call] > limit
    }
    assert too_much == {}, growths
    print(growths)
