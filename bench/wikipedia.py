"""Both methods on the Wikipedia features: ``python -m bench.wikipedia wikiData.mat``.

Nothing is chosen on the query rows: epochs are chosen on a part of the training rows, and every
other setting is the method's default.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bench.machine import machine
from hashcore.data import load
from hashcore.train import TrainConfig, evaluate_hasher, fit

RESULTS = Path(__file__).parent / "results"
PROTOCOLS: tuple[Literal["unseen", "encoded"], ...] = ("unseen", "encoded")
DIRECTIONS: tuple[Literal["image_to_text", "text_to_image"], ...] = (
    "image_to_text",
    "text_to_image",
)


def run_one(path: Path, method: str, bits: int, seed: int) -> dict[str, object]:
    """Train and evaluate one method with one seed."""
    dataset = load("wikipedia", path)
    start = time.perf_counter()
    hasher = fit(dataset, method, bits, train=replace(TrainConfig(), seed=seed, progress=False))
    seconds = time.perf_counter() - start
    reports = evaluate_hasher(hasher, dataset, PROTOCOLS)
    row: dict[str, object] = {"method": method, "bits": bits, "seed": seed, "seconds": seconds}
    for protocol in PROTOCOLS:
        for direction in DIRECTIONS:
            report = reports[protocol][direction]
            row[f"{protocol} {direction}"] = report.map_tie_aware
            row[f"{protocol} {direction} by id"] = report.map_by_id
            row[f"{protocol} {direction} chance"] = report.chance
    return row


def table(rows: list[dict[str, object]]) -> str:
    """Mean and standard deviation over the seeds, as Markdown."""
    columns = [f"{protocol} {direction}" for protocol in PROTOCOLS for direction in DIRECTIONS]
    lines = [
        "# Wikipedia (wikiData.mat): 2,173 training and 693 query rows",
        "",
        "Tie-aware mAP@all, mean and standard deviation over the seeds; defaults of each method, "
        "epochs chosen on a tenth of the training rows, then trained on all of them. `unseen`: the "
        "database is the other modality's query rows; `encoded`: the training rows, encoded by the "
        "learned function.",
        "",
        "| method | bits | seeds | " + " | ".join(columns) + " |",
        "|---|---:|---:|" + "---:|" * len(columns),
    ]
    for method in dict.fromkeys(str(row["method"]) for row in rows):
        own = [row for row in rows if row["method"] == method]
        cells = []
        for column in columns:
            values = [float(str(row[column])) for row in own]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.3f} +- {spread:.3f}")
        lines.append(f"| {method} | {own[0]['bits']} | {len(own)} | " + " | ".join(cells) + " |")
    chance = " | ".join(f"{float(str(rows[0][f'{column} chance'])):.3f}" for column in columns)
    lines.append(f"| chance | | | {chance} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.wikipedia", description=__doc__)
    parser.add_argument("path", type=Path, help="wikiData.mat")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, default=64)
    arguments = parser.parse_args()
    rows = []
    for method in ("dth", "drhc"):
        for seed in range(arguments.seeds):
            rows.append(run_one(arguments.path, method, arguments.bits, seed))
            print(rows[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "wikipedia.json").write_text(
        json.dumps({**machine(), "rows": rows}, indent=2) + "\n"
    )
    (RESULTS / "wikipedia.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
