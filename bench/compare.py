"""Two runs of the benches side by side: ``python -m bench.compare old.json new.json``.

Ratios to peers and shares of limits are compared, not times: these belong to the machine and the
hour.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import report as engine_report
from bench.gpu_search import report as gpu_search_report
from bench.kept import Results, Row, read_results
from bench.ops import report as ops_report

MARKED_CHANGE = 0.10


@dataclass(frozen=True)
class Change:
    """One measure in two runs; higher is better."""

    row: Row
    measure: str
    old: float
    new: float

    @property
    def relative(self) -> float:
        """The new value over the old one, less 1."""
        return self.new / self.old - 1

    @property
    def mark(self) -> str:
        """``better`` or ``worse`` beyond a tenth."""
        if abs(self.relative) <= MARKED_CHANGE:
            return ""
        return "better" if self.relative > 0 else "worse"


def changes(old: Results, new: Results) -> Iterator[Change]:
    """Every measure that both runs have, in the new run's order."""
    before = {row.key: row.measures() for row in old.rows}
    for row in new.rows:
        for measure, value in row.measures().items():
            if measure in before.get(row.key, {}):
                yield Change(row, measure, before[row.key][measure], value)


def only_in(results: Results, other: Results) -> list[Row]:
    """Rows that the other run has not."""
    known = {row.key for row in other.rows}
    return [row for row in results.rows if row.key not in known]


def compare(old: Results, new: Results) -> str:
    """The comparison as lines of text."""
    lines = []
    if old.machine["cpu"] != new.machine["cpu"]:
        lines += [f"Two machines: {old.machine['cpu']}, then {new.machine['cpu']}", ""]
    found = list(changes(old, new))
    width = max((len(change.measure) for change in found), default=0)
    last: Row | None = None
    for change in found:
        if last is None or change.row.key != last.key:
            lines.append(f"{change.row.table}: {change.row.workload}")
            last = change.row
        lines.append(
            f"  {change.measure:{width}}  {change.old:8.3g}  {change.new:8.3g}"
            f"  {change.relative:+6.0%}  {change.mark}".rstrip()
        )
    for title, rows in (
        ("Only in the old run", only_in(old, new)),
        ("Only in the new run", only_in(new, old)),
    ):
        lines += [f"{title}: {row.table}: {row.workload}" for row in rows]
    marks = [change.mark for change in found if change.mark]
    lines.append(
        f"{len(found)} measures; beyond {MARKED_CHANGE:.0%}: "
        f"{marks.count('better')} better, {marks.count('worse')} worse"
    )
    return "\n".join(lines)


def read(path: Path) -> Results:
    """Read results of any of these benches.

    Raises:
        ValueError: no such file, or not one that a bench wrote.
    """
    kinds: tuple[type[Results], ...] = (
        engine_report.Results,
        ops_report.Results,
        gpu_search_report.Results,
    )
    return read_results(path, {kind.FORMAT: kind.from_dict for kind in kinds})


def main() -> None:
    """Print the comparison of two files."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    paths = parser.parse_args()
    try:
        old, new = read(paths.old), read(paths.new)
    except ValueError as error:
        sys.exit(f"bench.compare: {error}")
    print(compare(old, new))


if __name__ == "__main__":
    main()
