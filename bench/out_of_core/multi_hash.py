"""FAISS's ``IndexBinaryMultiHash`` over the same codes, in a process of its own.

It looks up keys within ``nflip`` bits of the query's and so misses what stands further away: more
flips find more, in more time. It is measured with ever more flips until it misses nothing.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore
from bench.out_of_core import memory
from bench.out_of_core.child import run_module
from bench.out_of_core.codes import map_codes
from bench.peers import Codes

BITS = 64
MOST_CODES = 20_000_000  # they are added on one thread
PEER_BYTES_PER_CODE = 300  # more than was ever seen, to plan with
SECONDS_A_STEP = 20.0  # a step that takes longer is the last


@dataclass(frozen=True)
class Flips:
    """Searches with so many flips, one thread.

    Attributes:
        ms: median milliseconds of a query, one by one.
        recall: by k, the share of the k hits that are as near as the k nearest.
    """

    nflip: int
    k: int
    ms: float
    recall: float


@dataclass(frozen=True)
class MultiHash:
    """What the peer took.

    Attributes:
        hashes: tables.
        key_bits: bits of a table's key.
        bytes_per_code: growth of the process's own memory while codes were added.
        steps: one for each k and number of flips, up to the first that misses nothing.
    """

    hashes: int
    key_bits: int
    build_seconds: float
    bytes_per_code: float
    steps: tuple[Flips, ...]

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> MultiHash:
        """Read what ``asdict`` made of it."""
        return cls(**{**found, "steps": tuple(Flips(**step) for step in found["steps"])})

    def best(self, k: int) -> Flips:
        """The step with the highest recall for k, the fastest of those."""
        return max((step for step in self.steps if step.k == k), key=lambda s: (s.recall, -s.ms))


def recall(distances: NDArray[np.int32], ids: NDArray[np.int64], exact: NDArray[np.int32]) -> float:
    """The share of exact hits that were found; among ties any will do.

    Args:
        distances: of the hits, [Q, k].
        ids: of the hits; -1 where there is none.
        exact: distances of the k nearest, [Q, k].
    """
    return float(((ids >= 0) & (distances <= exact[:, -1:])).mean())


def measure_multi_hash(codes: Path, count: int, queries: Codes, ks: list[int]) -> MultiHash:
    """Measure in another process, with tables of about as many keys as there are codes.

    Args:
        codes: file of 64-bit codes.
        count: how many of them.
        queries: uint8 [Q, 8].
        ks: hits a query.
    """
    hashes = max(1, round(BITS / math.log2(count + 1)))
    request = {"codes": str(codes), "count": count, "ks": ks, "hashes": hashes}
    printed = run_module(__name__, json.dumps({**request, "queries": queries.tolist()}))
    return MultiHash.from_dict(json.loads(printed))


def _steps(index: Any, queries: Codes, exact: NDArray[np.int32], key_bits: int) -> list[Flips]:
    k = exact.shape[1]
    steps: list[Flips] = []
    for nflip in range(key_bits + 1):
        index.nflip = nflip
        taken, found = [], []
        for query in queries:
            start = time.perf_counter()
            found.append(index.search(query[None], k))
            taken.append(time.perf_counter() - start)
        distances, ids = (np.concatenate(parts) for parts in zip(*found, strict=True))
        steps.append(Flips(nflip, k, 1e3 * statistics.median(taken), recall(distances, ids, exact)))
        if steps[-1].recall == 1 or sum(taken) > SECONDS_A_STEP:
            break
    return steps


def measure_here(request: dict[str, Any]) -> MultiHash:
    """Measure in this process, which has done nothing else."""
    import faiss

    faiss.omp_set_num_threads(1)
    codes = map_codes(Path(request["codes"]), request["count"])
    queries = np.array(request["queries"], np.uint8)
    exact = {k: hashcore.knn(codes, queries, k).distances for k in request["ks"]}
    hashes = request["hashes"]
    index = faiss.IndexBinaryMultiHash(BITS, hashes, BITS // hashes)
    before = memory.anonymous()
    start = time.perf_counter()
    index.add(codes)
    seconds = time.perf_counter() - start
    grown = memory.anonymous() - before
    steps = [
        step for k in request["ks"] for step in _steps(index, queries, exact[k], BITS // hashes)
    ]
    return MultiHash(hashes, BITS // hashes, seconds, grown / request["count"], tuple(steps))


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(measure_here(json.loads(sys.argv[1])))))
    except KeyboardInterrupt:
        sys.exit(130)
