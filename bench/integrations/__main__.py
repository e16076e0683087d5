"""Measure what integrations cost a call: ``python -m bench.integrations [--quick] [-k NAME]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hashcore
from bench.integrations.cases import BATCH, BITS, INTEGRATIONS, ONE, RADIUS, K, Size
from bench.integrations.cost import (
    MOST_MICROSECONDS,
    MOST_SHARE,
    AnswersDifferError,
    Cost,
    measure,
)
from bench.kept import write_results
from bench.machine import machine
from bench.page import table

FORMAT = "hashcore integration results 1"
RESULTS = Path(__file__).parents[1] / "results"
# Calls of each way; the quick look takes small ones only.
CALLS = {ONE: 3_000, BATCH: 400}
QUICK = {Size(1, 1_000): 50}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m bench.integrations", description=__doc__)
    made.add_argument("--quick", action="store_true", help="few and small calls")
    made.add_argument("-k", choices=INTEGRATIONS, metavar="NAME", help="only this integration")
    made.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write integrations.json and .md here; by default a full run writes bench/results "
        "and any other run nothing",
    )
    return made


def measure_all(names: Sequence[str], calls: Mapping[Size, int]) -> list[Cost]:
    """Every case of some integrations, printed as it comes."""
    costs = []
    for name in names:
        for size, count in calls.items():
            for case in INTEGRATIONS[name](size):
                cost = measure(case, count)
                costs.append(cost)
                print("  " + " | ".join(cells(cost)), flush=True)
    return costs


def cells(cost: Cost) -> tuple[str, ...]:
    """A row of the table."""
    return (
        f"{cost.integration}: {cost.name}",
        f"{cost.bare:,.1f}",
        f"{cost.extra:,.1f}",
        f"{cost.share:.1%}",
        "yes" if cost.met else "no",
    )


def markdown(used: Mapping[str, Any], costs: Sequence[Cost]) -> str:
    """The figures as Markdown, machine included."""
    lines = [
        "# What integrations cost",
        "",
        "The same call through another library's interface and without it, in turns, one thread: "
        f"medians, in microseconds of the processor. Codes of {BITS} bits, {K} hits a query, or "
        f"all within {RADIUS} bits. A cost is little up to {MOST_SHARE:.0%} of the bare call or "
        f"{MOST_MICROSECONDS:g} us. Answers are compared first. Graphs, rows of arrays and "
        "documents stand beside such made by hand.",
        "",
        f"CPU {used['cpu']}, level {used['isa']}.",
        "",
        *table(("call", "bare, us", "extra, us", "extra", "little"), map(cells, costs)),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure; a full run keeps its figures under bench/results."""
    chosen = parser().parse_args(arguments)
    names = [chosen.k] if chosen.k else list(INTEGRATIONS)
    hashcore.set_num_threads(1)
    try:
        costs = measure_all(names, QUICK if chosen.quick else CALLS)
    except (ModuleNotFoundError, AnswersDifferError) as error:
        sys.exit(f"bench.integrations: {error}; no results are kept")
    finally:
        hashcore.set_num_threads(None)
    out = chosen.out or (None if chosen.quick or chosen.k else RESULTS)
    if out is not None:
        used = machine()
        content = {"format": FORMAT, "machine": used, "costs": [asdict(cost) for cost in costs]}
        write_results(out / "integrations", content, markdown(used, costs))
        print(f"Wrote {out / 'integrations.json'} and .md")


if __name__ == "__main__":
    main()
