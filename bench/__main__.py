"""Measure the engine beside its peers: ``python -m bench [--quick] [-k EXPR]``."""

from __future__ import annotations

import argparse
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from bench import limits
from bench.green import is_green
from bench.machine import machine
from bench.peers import faiss_chosen_level
from bench.report import Results, Row, describe

BENCH = Path(__file__).parent
RESULTS = BENCH / "results"
SUITES = ("kernels", "search", "index", "rescore", "metrics", "pack")
PEERS = ("faiss-cpu", "usearch", "numba", "torch")


class RowCollector:
    """A pytest plugin that keeps the rows of the benches and prints each as it comes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or not report.passed:
            return
        for name, row in report.user_properties:
            if name == "row" and isinstance(row, Row):
                if not self.rows or self.rows[-1].table != row.table:
                    print(f"\n{row.table}")
                print(f"  {describe(row)}", flush=True)
                self.rows.append(row)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return ("passed", "", "") if report.when == "call" and report.passed else None


def peers() -> dict[str, str]:
    """Versions of the peers, and the level that FAISS chose."""
    found = {name.removesuffix("-cpu"): version(name) for name in PEERS}
    return {**found, "faiss_level": faiss_chosen_level()}


def run_benches(quick: bool, expression: str) -> tuple[int, list[Row]]:
    """Run the benches in this process: pytest's exit status and the rows."""
    arguments = [str(BENCH / f"test_{suite}.py") for suite in SUITES]
    arguments += ["-q", "--benchmark-quiet", "--benchmark-disable-gc", "--timeout=900"]
    arguments += ["--quick"] if quick else []
    arguments += ["-k", expression] if expression else []
    collector = RowCollector()
    status = pytest.main(arguments, plugins=[collector])
    return int(status), collector.rows


def main() -> None:
    """Measure; a full run keeps its figures under bench/results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds")
    parser.add_argument("-k", metavar="EXPR", default="", help="only benches that match, as pytest")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write engine.json and engine.md here; by default a full run writes bench/results "
        "and any other run nothing",
    )
    chosen = parser.parse_args()
    try:
        found_peers = peers()
    except (ImportError, PackageNotFoundError) as error:
        sys.exit(f"bench: expected the bench extra to be installed; got {error}; run make bench")
    if not is_green(BENCH.parent):
        sys.exit("bench: the tests are red, so nothing is measured; make test shows why")
    start = time.monotonic()
    print("Measuring the limits of this machine", flush=True)
    found = limits.measure(limits.build())
    status, rows = run_benches(chosen.quick, chosen.k)
    if status != pytest.ExitCode.OK:
        sys.exit(f"bench: pytest ended with {pytest.ExitCode(status).name}; no results are kept")
    print(f"{len(rows)} rows in {time.monotonic() - start:.0f} s")
    out = chosen.out or (None if chosen.quick or chosen.k else RESULTS)
    if out is not None:
        Results({**machine(), **found_peers}, found, tuple(rows)).write(out, "engine")
        print(f"Wrote {out / 'engine.json'} and engine.md")


if __name__ == "__main__":
    main()
