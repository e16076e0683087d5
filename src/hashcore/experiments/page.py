"""The page of an experiment's results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from hashcore.experiments.measure import Figure
from hashcore.experiments.plan import CCA_SIGN, DataSource, Experiment, Published
from hashcore.experiments.results import DIRECTIONS, Row, Spread
from hashcore.experiments.tables import (
    Column,
    Line,
    ablation_table,
    columns,
    cosines,
    figure_table,
    spreads,
)

_TIMES = ("train, s", "encode 1000 pairs, ms")
_FIGURES: dict[Figure, str] = {
    "map_by_id": "mAP@all in (distance, id) order",
    "precision_at_10": "Precision of the first 10",
    "precision_at_100": "Precision of the first 100",
    "ndcg_at_100": "NDCG@100",
}
_ABOUT = """\
Mean and standard deviation over the seeds. Relevant is what shares a label with the query; a query
without relevant items counts 0 and stays in the mean. Items at one distance count at their expected
value over all orders (McSherry and Najork, 2008), but where the (distance, id) order is named.
Nothing was chosen on the query rows.

- `unseen`: the database is the query rows' other modality; nothing in it was trained on.
- `encoded`: the database is the training rows, encoded by the learned function.
- `labelled`: the codes of the training rows may use their labels, as those of published shallow
  methods do.

The best mean of the methods is bold. Cosine ranks the real-valued outputs that a method's codes are
the signs of; CCA + sign uses no labels. Each training ran on one thread, others beside it."""


def page(
    experiment: Experiment,
    rows: Sequence[Row],
    describe: Callable[[DataSource], str],
    charts: dict[str, str],
) -> str:
    """Markdown of all results.

    Args:
        experiment: what was asked for.
        rows: what was found, a row a cell.
        describe: one line about a data set.
        charts: file names of charts, by data set.
    """
    done, asked = sum(len(r.seeds) for r in rows), sum(len(r.cell.runs) for r in rows)
    lines = [f"# {experiment.title}", "", _ABOUT, ""]
    if done < asked:
        lines += [f"**{done} of {asked} runs are done.**", ""]
    if about := [f"- {name}: {text}" for name, text in experiment.variants.items() if text]:
        lines += ["How methods were trained, by the name behind the comma:", "", *about, ""]
    for source in experiment.datasets:
        here = [row for row in rows if row.cell.first.data == source]
        beside = [row for row in experiment.published if row.dataset == source.name]
        lines += [f"## {source.name}", "", describe(source), ""]
        if source.name in charts:
            lines += [f"![mAP@all on {source.name}]({charts[source.name]})", ""]
        lines += _of_dataset(here, beside)
    if experiment.published:
        sources = dict.fromkeys(f"- {row.method}: {row.source}" for row in experiment.published)
        lines += ["## Figures from elsewhere", "", *sources, ""]
    return "\n".join(lines).rstrip() + "\n"


def _of_dataset(rows: Sequence[Row], published: Sequence[Published]) -> Iterator[str]:
    """All tables of one data set."""
    whole = [row for row in rows if not row.cell.without]
    shown = columns(whole, published)
    widths = sorted({row.cell.first.bits for row in whole}, reverse=True)
    # Figures from elsewhere at a width that was not run stand beside those of the widest codes.
    place = {row: row.bits if row.bits in widths else widths[0] for row in published}
    for bits in widths:
        own = [row for row in whole if row.cell.first.bits == bits]
        beside = [row for row in published if place[row] == bits]
        yield from (f"### mAP@all, {bits} bits", "")
        yield from figure_table("method", _main(own, beside), shown, _TIMES)
        yield ""
    for figure, title in _FIGURES.items():
        yield from (f"### {title}", "")
        lines = [
            _line(row, figure, f"{row.name}, {bits} bits")
            for bits in widths
            for row in whole
            if row.cell.first.bits == bits
        ]
        yield from figure_table("method", lines, columns(whole))
        yield ""
    yield from _components(rows)


def _main(rows: Sequence[Row], published: Sequence[Published]) -> list[Line]:
    """Methods, then what stands beside them."""
    methods = [row for row in rows if row.cell.first.method != CCA_SIGN]
    lines = [_line(row, "map", row.name, _times(row)) for row in methods]
    lines += [Line(f"{row.name}, cosine", found) for row in methods if (found := cosines(row))]
    lines += [_line(row, "map", row.name) for row in rows if row not in methods]
    chance = [found for row in rows for found in spreads(row, "chance").items()]
    lines.append(Line("chance", {column: Spread(s.mean, math.nan) for column, s in chance}))
    bits = {row.cell.first.bits for row in rows}
    merged: dict[str, dict[Column, Spread]] = {}
    for row in published:
        name = row.method if row.bits in {0, *bits} else f"{row.method}, {row.bits} bits"
        for direction, value in zip(DIRECTIONS, row.map, strict=True):
            merged.setdefault(name, {})[row.protocol, direction] = Spread(value, math.nan)
    return lines + [Line(name, found) for name, found in merged.items()]


def _line(row: Row, figure: Figure, name: str, others: tuple[str, ...] = ()) -> Line:
    return Line(name, spreads(row, figure), row.cell.first.method != CCA_SIGN, others)


def _times(row: Row) -> tuple[str, ...]:
    """Means over the seeds: of a training, and of encoding 1,000 pairs."""
    if row.times is None:
        return ("", "")
    train, encode = row.times
    return f"{train:.1f}", f"{1e6 * encode:.1f}"


def _components(rows: Sequence[Row]) -> Iterator[str]:
    """A table for each cell that is followed by the same with components off."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.cell.without:
            groups[-1].append(row)
        else:
            groups.append([row])
    for i, (base, *others) in enumerate(group for group in groups if len(group) > 1):
        if i == 0:
            yield from ("### mAP@all without a component (and what changes)", "")
        yield from ablation_table(base, others)
        yield ""
