"""Workloads are told apart, fit a quick run, and ask for what they say."""

from __future__ import annotations

import numpy as np
import pytest
from bench.inputs import random_codes
from bench.workloads import Workload, radius_that_finds

import hashcore
from bench import workloads

ALL = [
    workload
    for value in vars(workloads).values()
    for workload in (value if isinstance(value, list) else [value])
    if isinstance(workload, Workload)
]


def test_a_row_has_one_name() -> None:
    assert len(ALL) > 50
    assert len({(workload.table, workload.name) for workload in ALL}) == len(ALL)


@pytest.mark.parametrize("workload", ALL, ids=lambda w: f"{w.table}: {w.name}")
def test_a_quick_run_is_small_and_judges_nothing(workload: Workload) -> None:
    quick = workload.small()
    assert quick.rounds <= 2
    assert quick.targets == ()
    assert quick.small() == quick


def test_the_radius_finds_about_as_many_as_asked() -> None:
    radius = radius_that_finds(100, 32, 200_000)
    database, queries = random_codes(1, 200_000, 32), random_codes(2, 20, 32)
    counts = hashcore.distance_histogram(database, queries).mean(axis=0).cumsum()
    assert radius == np.argmin(np.abs(np.log(np.maximum(counts, 0.1) / 100)))


def test_pad_bits_are_zero() -> None:
    codes = random_codes(1, 100, 13)
    assert codes.shape == (100, 2)
    bits = np.unpackbits(codes, axis=1)
    assert not bits[:, 13:].any()
    assert bits[:, :13].any(axis=0).all()
