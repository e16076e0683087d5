"""Packing values to bits."""

from __future__ import annotations

import numpy as np
import pytest

import hashcore
from bench.contest import Contender, Contest, read_bound
from bench.workloads import NUMPY, PACKED, Pack, Sized


@pytest.mark.parametrize("workload", PACKED, ids=lambda workload: workload.name)
def test_pack(workload: Pack, contest: Contest, sized: Sized) -> None:
    workload = sized(workload)
    values = np.random.default_rng(4).standard_normal((workload.rows, workload.bits), np.float32)
    values = (
        np.where(values > 0, 1, -1).astype(np.int8)
        if workload.dtype == "int8"
        else values.astype(workload.dtype)
    )
    np.testing.assert_array_equal(hashcore.pack(values), np.packbits(values > 0, axis=1))
    contest(
        workload,
        "B",
        Contender(lambda: hashcore.pack(values), values.nbytes),
        {NUMPY: Contender(lambda: np.packbits(values > 0, axis=1), values.nbytes)},
        read_bound(workload.threads, 1.0),
    )
