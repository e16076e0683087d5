from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from hashcore.experiments import runner
from hashcore.experiments.measure import Outcome, perform
from hashcore.experiments.plan import Run

TINY = """
bits = [8]
seeds = [0, 1]
train = { epochs = 1, selection = "last", validation = 0.0 }

[[dataset]]
name = "shapes"
loader = "shapes"
options = { pairs = 60 }

[[method]]
name = "dth"
config = { branch = { hidden = [8], pixel_channels = [4] } }
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two runs of a second together, and a baseline."""
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Runs go in this process, which starts none; they are noted here."""
    runs: list[Run] = []

    def as_they_end(
        function: Callable[[Run], Outcome], items: Sequence[Run], jobs: int
    ) -> Generator[tuple[int, Outcome], None, None]:
        assert function is perform
        for i, run in enumerate(items):
            runs.append(run)
            yield i, function(run)

    monkeypatch.setattr(runner, "as_they_end", as_they_end)
    return runs
