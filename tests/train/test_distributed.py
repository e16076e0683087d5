"""Two processes by torchrun on gloo against one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from hashcore.methods import METHODS
from hashcore.train import distributed
from train import parallel_program
from train.parallel_program import RUNS

Found = dict[str, Tensor]
TESTS = Path(__file__).parents[1]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    """What came out in each of two processes."""
    folder = tmp_path_factory.mktemp("two")
    done = subprocess.run(
        [*LAUNCH, "-m", "train.parallel_program", str(folder)],
        cwd=TESTS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "from 0\n"
    files = (folder / f"{rank}.safetensors" for rank in (0, 1))
    first, second = (safetensors.torch.load_file(file) for file in files)
    return first, second


@pytest.fixture(scope="module")
def one() -> Found:
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        found = parallel_program.results(distributed.current())
    torch.set_num_threads(threads)
    return found


def of(name: str, found: Found) -> Found:
    return {key: value for key, value in found.items() if key.startswith(f"{name}/")}


def difference(part: str, found: Found, expected: Found) -> float:
    """The largest, relative to the largest value of its tensor."""
    a, b = of(part, found), of(part, expected)
    assert a
    assert a.keys() == b.keys()
    return max(
        float((a[key] - b[key]).abs().max() / b[key].abs().max().clamp(min=1e-3)) for key in a
    )


def test_two_processes_give_what_one_gives(one: Found, two: tuple[Found, Found]) -> None:
    """In training, rounding is enlarged by Adam, most of all where a gradient is nothing else."""
    first, second = two
    assert len(of("probe", one)) > 15
    assert {key for key in first if not torch.equal(first[key], second[key])} == set()
    torch.testing.assert_close(of("probe", first), of("probe", one), rtol=1e-10, atol=1e-12)
    apart = {f"{name}/step": difference(f"{name}/step", first, one) for name in METHODS}
    assert {name: found for name, found in apart.items() if found > 1e-3} == {}
    apart = {f"{name}/curve": difference(f"{name}/curve", first, one) for name in RUNS}
    assert {name: found for name, found in apart.items() if found > 0.03} == {}
    codes = {key for name in RUNS for key in (f"{name}/image", f"{name}/text")}
    same = {key: float(((first[key] > 0) == (one[key] > 0)).float().mean()) for key in codes}
    assert {key: share for key, share in same.items() if share < 0.97} == {}
