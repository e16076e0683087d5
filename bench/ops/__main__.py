"""Measure the training ops beside their peers: ``python -m bench.ops [--quick] [-k TEXT]``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bench.green import is_green
from bench.ops.contest import measure
from bench.ops.devices import Cpu, Cuda, Device
from bench.ops.report import Results, Row, describe
from bench.ops.steps import AnswersDifferError, use_threads
from bench.ops.workloads import Step, steps_on
from hashcore.ops._library import has_kernel

BENCH = Path(__file__).parents[1]
RESULTS = BENCH / "results"
PEERS = ("torch", "pytorch-metric-learning")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m bench.ops", description=__doc__)
    made.add_argument("--quick", action="store_true", help="small batches, few rounds")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--threads", type=int, default=2, help="of hashcore and PyTorch (default 2)")
    made.add_argument("-k", metavar="TEXT", default="", help="only rows whose name contains this")
    made.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write ops.json and ops.md here (ops-GPU.json and .md of a GPU); by default a full "
        "run writes bench/results and any other run nothing",
    )
    return made


def named(steps: list[Step], text: str) -> list[Step]:
    """Those whose table and name contain a text, in any case."""
    return [step for step in steps if text.lower() in f"{step.table}: {step.name}".lower()]


def installed(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those packages that are there, with their versions."""
    for name in names:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def measure_all(steps: list[Step], device: Device) -> list[Row]:
    """Every row, printed as it comes."""
    rows: list[Row] = []
    for step in steps:
        if not rows or rows[-1].table != step.table:
            print(f"\n{step.table}")
        try:
            rows.append(measure(step, device))
        except AnswersDifferError as error:
            sys.exit(f"bench.ops: {step.table}: {step.name}: {error}; no results are kept")
        print(f"  {describe(rows[-1])}", flush=True)
    return rows


def device_name(name: str) -> str:
    """A GPU's name for the names of files."""
    return re.sub(r"\W+", "-", name).strip("-").lower()


def file_name(device: Device) -> str:
    """Of the results on a device."""
    if device.kind == "cpu":
        return "ops"
    return "ops-" + device_name(str(device.describe()["device"]))


def main(arguments: list[str] | None = None) -> None:
    """Measure; a full run keeps its figures under bench/results."""
    chosen = parser().parse_args(arguments)
    peers = dict(installed(PEERS))
    if chosen.device == "cpu" and len(peers) < len(PEERS):
        missing = ", ".join(sorted(set(PEERS) - set(peers)))
        sys.exit(
            f"bench.ops: expected the bench extra to be installed; {missing} is not; make bench"
        )
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bench.ops: expected a GPU that PyTorch can use; got none; use --device cpu")
    device: Device = Cpu(chosen.threads) if chosen.device == "cpu" else Cuda()
    if not has_kernel(torch.empty(0, device=chosen.device)):
        sys.exit("bench.ops: hashcore has no kernels there, only its references; use --device cpu")
    steps = named(steps_on(device.kind, quick=chosen.quick), chosen.k)
    if not steps:
        sys.exit(f"bench.ops: expected -k to be in the name of a row; got {chosen.k!r}")
    # On a GPU, make gpu has just run what the tests can say of its kernels.
    if chosen.device == "cpu" and not is_green(BENCH.parent):
        sys.exit("bench.ops: the tests are red, so nothing is measured; make test shows why")
    use_threads(chosen.threads)
    start = time.monotonic()
    rows = measure_all(steps, device)
    print(f"{len(rows)} rows in {time.monotonic() - start:.0f} s")
    out = chosen.out or (None if chosen.quick or chosen.k else RESULTS)
    if out is not None:
        used = {**device.describe(), **peers, "threads_used": chosen.threads}
        Results(used, tuple(rows)).write(out, file_name(device))
        print(f"Wrote {out / file_name(device)}.json and .md")


if __name__ == "__main__":
    main()
