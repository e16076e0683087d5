from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import hashcore
from hashcore import _core

REPOSITORY = Path(__file__).resolve().parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in the background starts without Ctrl-C, and so would every program that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.register_profile("long", max_examples=20_000, deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=8, help="kills of each kind of writer")
    parser.addoption("--large", action="store_true", help="scan more than 2^31 codes")
    parser.addoption("--compile", action="store_true", help="compile the engine for its C++ users")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: ``HASHCORE_DATA``, or ``../shared/data`` beside the project."""
    folder = Path(os.environ.get("HASHCORE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HASHCORE_DATA to the folder that holds it")
    return folder


@pytest.fixture(params=hashcore.isa_levels())
def isa_level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test at every instruction-set level that this CPU has."""
    level: str = request.param
    _core.force_isa(level)
    try:
        assert hashcore.isa() == level
        yield level
    finally:
        _core.force_isa("")
