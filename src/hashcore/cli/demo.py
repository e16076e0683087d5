"""`hashcore demo`: train on generated pictures, search a million codes, write a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from hashcore.cli._parse import parse
from hashcore.report.config import DemoConfig
from hashcore.report.result import DemoResult

_DESCRIPTION = """Train on generated pictures, search a million codes, and write a report.

Every answer of the engine is compared with a plain PyTorch search; a check that fails makes
the exit code 1.

Example:  hashcore demo --report demo/report.html"""
CHECK_FAILED = 1


def main(args: Sequence[str]) -> int:
    """Run the subcommand."""
    config = parse(DemoConfig, args, command="demo", description=_DESCRIPTION)
    start = time.perf_counter()
    from hashcore.report import demo, html, page

    result, dataset = demo.run(config, lambda line: print(line, flush=True))
    html.write(page.render(result, dataset), config.report)
    print(summary(result))
    print(f"report: {config.report}")
    failures = result.failures()
    for failure in failures:
        print(f"hashcore: check failed: {failure}", file=sys.stderr)
    if not failures:
        print(f"all checks passed in {time.perf_counter() - start:.0f} s")
    return CHECK_FAILED if failures else 0


def summary(result: DemoResult) -> str:
    """The figures, for a terminal."""
    search, engine = result.search, f"hashcore, {result.environment['instruction set']}"
    same = "identical answers" if search.identical else "DIFFERENT ANSWERS"
    return "\n".join(
        [
            "",
            f"{'mAP@all, unseen pairs':<22}{'chance':>8}{'CCA+sign':>10}{'trained':>9}",
            *(
                f"  {d.name:<20}{d.chance:>8.3f}{d.untrained.map_tie_aware:>10.3f}"
                f"{d.trained.map_tie_aware:>9.3f}   P@10 among all codes "
                f"{d.precision_among_distractors:.3f}"
                for d in result.directions
            ),
            "",
            f"{search.queries} queries in {search.codes:,} codes, {search.k} hits each",
            f"  {engine:<30}{1e3 * search.engine_seconds:>10.1f} ms",
            f"  {'plain PyTorch':<30}{1e3 * search.reference_seconds:>10.1f} ms",
            f"  {search.ratio:,.0f} times faster, {same}",
            "",
        ]
    )
