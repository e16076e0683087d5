"""Fixtures of the benches; ``python -m bench`` is the usual way in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import hashcore
from bench import limits
from bench.contest import Contest, MeasureLimits
from bench.workloads import Sized, as_it_is, small


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="small sizes and few rounds")


@pytest.fixture(scope="session")
def sized(request: pytest.FixtureRequest) -> Sized:
    """Gives a workload the size of this run."""
    return small if request.config.getoption("--quick") else as_it_is


@pytest.fixture(scope="session")
def measure_limits(request: pytest.FixtureRequest) -> MeasureLimits:
    """Measures a part of the machine's limits: anew each time, but once in a quick run."""
    program = limits.build()
    if request.config.getoption("--quick"):
        found = limits.measure(program)
        return lambda part: found
    return lambda part: limits.measure(program, part)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Nobody uses more than a thread that was not told to."""
    import faiss
    import torch

    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    hashcore.set_num_threads(1)
    yield
    hashcore.set_num_threads(None)


@pytest.fixture
def contest(
    request: pytest.FixtureRequest, benchmark: Any, measure_limits: MeasureLimits
) -> Contest:
    """Times hashcore beside its peers and leaves the row in the test's report."""
    properties = request.node.user_properties
    return Contest(benchmark, measure_limits, lambda row: properties.append(("row", row)))
