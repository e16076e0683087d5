"""Run the benches: ``python -m bench [--quick]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import faiss

from bench import flat_knn
from bench.measure import machine

RESULTS = Path(__file__).parent / "results"


def table(result: dict[str, object], rows: list[dict[str, object]]) -> str:
    """The figures as Markdown, machine included."""
    lines = [
        "# Flat kNN beside FAISS IndexBinaryFlat",
        "",
        "Random codes, 256 queries, k = 10, one thread each; medians of alternating rounds of one "
        "run. The ratio is what to compare: absolute figures belong to the machine and the hour.",
        "",
        f"CPU {result['cpu']}, level {result['isa']}, FAISS {faiss.__version__}.",
        "",
        "| bits | codes | hashcore, G pairs/s | FAISS, G pairs/s | ratio |",
        "|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['bits']} | {row['codes']:,} | {row['hashcore_gpairs']:.2f} "
        f"| {row['faiss_gpairs']:.2f} | {row['ratio']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and keep the full run's figures under bench/results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, results not kept")
    quick = parser.parse_args().quick
    result = {**machine(), "faiss": faiss.__version__}
    rows = flat_knn.run(quick)
    if quick:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "flat_knn.json").write_text(json.dumps({**result, "rows": rows}, indent=2) + "\n")
    (RESULTS / "flat_knn.md").write_text(table(result, rows))
    print(f"Wrote {RESULTS / 'flat_knn.json'} and flat_knn.md")


if __name__ == "__main__":
    main()
