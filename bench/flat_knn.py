"""Batched exact kNN over random codes beside FAISS IndexBinaryFlat, one thread each."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import faiss
import numpy as np

import hashcore
from bench.measure import take_turns


@dataclass(frozen=True)
class Row:
    """One width: giga-pairs a second of each contender and their ratio."""

    bits: int
    codes: int
    queries: int
    k: int
    rounds: int
    hashcore_gpairs: float
    faiss_gpairs: float
    ratio: float
    hashcore_seconds: float
    faiss_seconds: float


def measure(bits: int, codes: int, queries: int, k: int, rounds: int) -> Row:
    """Time both on the same codes and check that their distances are equal."""
    rng = np.random.default_rng(bits)
    database = rng.integers(0, 256, (codes, bits // 8), np.uint8)
    asked = rng.integers(0, 256, (queries, bits // 8), np.uint8)
    ours = hashcore.Index(bits, kind="flat", threads=1)
    ours.add(database)
    faiss.omp_set_num_threads(1)
    peer = faiss.IndexBinaryFlat(bits)
    peer.add(database)
    peer_distances, _ = peer.search(asked, k)
    if not np.array_equal(peer_distances, ours.search(asked, k).distances):
        raise AssertionError(f"{bits} bits: distances differ from FAISS's")
    timings = take_turns(
        {"hashcore": lambda: ours.search(asked, k), "faiss": lambda: peer.search(asked, k)}, rounds
    )
    pairs = codes * queries / 1e9
    seconds = {name: timing.median for name, timing in timings.items()}
    return Row(
        bits,
        codes,
        queries,
        k,
        rounds,
        pairs / seconds["hashcore"],
        pairs / seconds["faiss"],
        seconds["faiss"] / seconds["hashcore"],
        seconds["hashcore"],
        seconds["faiss"],
    )


def run(quick: bool) -> list[dict[str, object]]:
    """Measure every width; ``quick`` takes small databases and stays under a minute."""
    rows = []
    for bits in (64, 128, 256, 512, 1024):
        codes = 500_000 if quick else (8_000_000 if bits <= 256 else 4_000_000)
        row = measure(bits, codes, queries=256, k=10, rounds=3 if quick else 5)
        print(
            f"{bits:5d} bits  {codes:>9,} codes  hashcore {row.hashcore_gpairs:6.2f} G pairs/s"
            f"  FAISS {row.faiss_gpairs:5.2f}  ratio {row.ratio:5.1f}",
            flush=True,
        )
        rows.append(asdict(row))
    return rows
