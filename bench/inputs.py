"""Random inputs, the same in every run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

import hashcore
from bench.peers import Codes
from bench.workloads import Search


def random_codes(seed: int, count: int, bits: int) -> Codes:
    """Uniform codes, uint8 [count, ceil(bits / 8)], pad bits zero."""
    size = (bits + 7) // 8
    codes = np.random.default_rng(seed).integers(0, 256, (count, size), np.uint8)
    codes[:, -1] &= 0xFF << (8 * size - bits) & 0xFF
    return codes


def codes_of(workload: Search) -> tuple[Codes, Codes]:
    """Database and queries of a search."""
    return (
        random_codes(1, workload.codes, workload.bits),
        random_codes(2, workload.queries, workload.bits),
    )


def flat_index(bits: int, codes: Codes) -> hashcore.Index:
    """The flat index: what the benches of kernels and searches measure."""
    index = hashcore.Index(bits, kind="flat")
    index.add(codes)
    return index


def real_data_folder() -> Path:
    """The folder of real data sets: ``HASHCORE_DATA``, or ``../shared/data`` beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("HASHCORE_DATA", beside))
