"""Measure the search on a GPU: ``python -m bench.gpu_search [--quick] [-k TEXT]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

import torch

from bench.gpu_search import ceilings as limits
from bench.gpu_search.ceilings import Ceilings, shown
from bench.gpu_search.contenders import Ours, free_bytes
from bench.gpu_search.contest import measure
from bench.gpu_search.inputs import draw
from bench.gpu_search.report import Results, Row, describe
from bench.gpu_search.workloads import GpuSearch, searches
from bench.machine import machine
from bench.ops.__main__ import device_name
from bench.ops.devices import Cuda
from bench.ops.steps import AnswersDifferError
from hashcore._gpu import cuda_info, why_no_cuda

RESULTS = Path(__file__).parents[1] / "results"
_SHARE_FOR_CODES = 0.4  # of what is free: codes as drawn and as tiles; peers have the rest
_READ = 4 << 30  # bytes; several times any cache


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m bench.gpu_search", description=__doc__)
    made.add_argument("--quick", action="store_true", help="few codes, few rounds")
    made.add_argument("-k", metavar="TEXT", default="", help="only rows whose name contains this")
    made.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write search-GPU.json and .md here; by default a full run writes bench/results and "
        "any other run nothing",
    )
    return made


def clocks() -> str:
    """Of multiprocessors and memory as they are now and at most, as nvidia-smi says."""
    query = "clocks.sm,clocks.max.sm,clocks.mem"
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", "--id=0"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    now, most, memory = (part.strip() for part in done.stdout.strip().split(","))
    return f"{now} of {most}, memory {memory}"


def described_machine() -> dict[str, object]:
    """What figures are taken on."""
    try:
        cupy = version("cupy-cuda13x")
    except PackageNotFoundError:
        cupy = "absent"
    return {
        **machine(),
        "device": torch.cuda.get_device_name(),
        "driver": cuda_info()["driver"],
        "clocks": clocks(),
        "torch": torch.__version__,
        "cupy": cupy,
    }


def measure_ceilings() -> Ceilings:
    """Of this device, in this run."""
    capability = torch.cuda.get_device_capability()
    library = limits.build(limits.architecture_of(capability))
    return limits.measure(library, int(min(_READ, free_bytes() / 4)))


def measure_all(asked: list[GpuSearch], ceilings: Ceilings) -> Iterator[Row]:
    """Every row, printed as it comes; a database is drawn once for the rows that share it."""
    table = ""
    device = Cuda()

    def alike(search: GpuSearch) -> tuple[object, ...]:
        return search.bits, search.codes, search.drawn

    for _, group in groupby(asked, alike):
        rows = list(group)
        most = max(rows, key=lambda search: search.queries)
        database, queries = draw(most, "cuda")
        ours = Ours(database)
        for search in rows:
            if search.table != table:
                table = search.table
                print(f"\n{table}")
            try:
                row = measure(
                    search,
                    database,
                    queries[: search.queries].contiguous(),
                    ours,
                    room=free_bytes,
                    seconds_of=device.seconds,
                    ceilings=ceilings,
                )
            except AnswersDifferError as error:
                sys.exit(f"bench.gpu_search: {table}: {search.name}: {error}; nothing is kept")
            print(f"  {describe(row)}", flush=True)
            yield row
        del database, queries, ours
        torch.cuda.empty_cache()


def main(arguments: list[str] | None = None) -> None:
    """Measure; a full run keeps its figures under bench/results."""
    chosen = parser().parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit("bench.gpu_search: expected a GPU that PyTorch can use; got none")
    if (missing := why_no_cuda()) is not None:
        sys.exit(f"bench.gpu_search: {missing}")
    asked = [
        search
        for search in searches(_SHARE_FOR_CODES * free_bytes(), quick=chosen.quick)
        if chosen.k.lower() in f"{search.table}: {search.name}".lower()
    ]
    if not asked:
        sys.exit(f"bench.gpu_search: expected -k to be in the name of a row; got {chosen.k!r}")
    start = time.monotonic()
    ceilings = measure_ceilings()
    for name, rate in shown(asdict(ceilings)):
        print(f"{rate} {name}")
    rows = tuple(measure_all(asked, ceilings))
    print(f"{len(rows)} rows in {time.monotonic() - start:.0f} s")
    out = chosen.out or (None if chosen.quick or chosen.k else RESULTS)
    if out is not None:
        name = f"search-{device_name(torch.cuda.get_device_name())}"
        Results(described_machine(), ceilings, rows).write(out, name)
        print(f"Wrote {out / name}.json and .md")


if __name__ == "__main__":
    main()
