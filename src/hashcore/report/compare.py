"""The page that compares training runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from hashcore import plot
from hashcore._extras import MissingExtraError
from hashcore.metrics import Protocol, Report
from hashcore.plot._style import LIGHT, PAGE
from hashcore.plot.codes import distance_shares
from hashcore.plot.curves import protocol_name
from hashcore.report import html
from hashcore.report.answers import picture, text_row, words_of
from hashcore.report.charts import chart
from hashcore.report.runs import DIRECTIONS, PROTOCOLS, Findings
from hashcore.train.evaluate import Direction, ProtocolName

ABSENT = "\u2013"

_SHORT = 22
_LEAST_MAPPED = 2  # pairs: t-SNE takes four codes and more
_WIDE = (8.0, 3.6)
_SQUARE = (5.2, 4.2)
_MAP = (8.0, 4.6)
_ABOUT: dict[ProtocolName, str] = {
    "unseen": "The database is the other modality of the query rows: nothing in it was trained on.",
    "encoded": "The database is the training side of the split, encoded by the learned function.",
    "labelled": "The same rows as encoded, but their codes come from their labels.",
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `best` where it is the best of several different ones."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table: its name, a cell a run, and whether the cells differ."""

    name: str
    cells: list[Cell]
    differs: bool = False


@dataclass(frozen=True)
class Table:
    """The metrics of a protocol: about whose database, and rows by direction."""

    protocol: str
    about: str
    groups: dict[str, list[Row]]


@dataclass
class Labels:
    """Letters and names of the runs."""

    letters: list[str]
    names: list[str]
    short: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.short = [
            f"{letter} {name if len(name) <= _SHORT else name[: _SHORT - 1] + chr(0x2026)}"
            for letter, name in zip(self.letters, self.names, strict=True)
        ]


def render(findings: Sequence[Findings], step: Callable[[], None] = lambda: None) -> str:
    """The page, as HTML.

    Args:
        findings: of each run, at least one.
        step: called once a run while charts are drawn.

    Raises:
        ValueError: no run.
    """
    if not findings:
        raise ValueError("runs: expected at least one; hashcore train makes one")
    labels = Labels([_letter(i) for i in range(len(findings))], [f.run.name for f in findings])
    settings = _settings(findings)
    datasets = list(dict.fromkeys(f.run.dataset.describe() for f in findings))
    splits = {f.run.dataset.split.hash for f in findings}
    return html.render(
        "compare.html.j2",
        version=_version(),
        runs=[_card(labels, i, found) for i, found in enumerate(findings)],
        datasets=datasets,
        one_split=len(splits) == 1,
        differing=[row for row in settings if row.differs],
        equal=[row for row in settings if not row.differs],
        tables=[_table(protocol, findings) for protocol in PROTOCOLS],
        learning=_learning(labels, findings),
        curves=_curves(labels, findings),
        timed=_recall_over_time(labels, findings),
        codes=[_codes(labels, i, found, step) for i, found in enumerate(findings)],
        grids=_grids(labels, findings),
        absent=ABSENT,
    )


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else f"R{place + 1}"


def _version() -> str:
    import hashcore

    return hashcore.__version__


def _card(labels: Labels, place: int, found: Findings) -> dict[str, Any]:
    unseen = found.reports["unseen"]
    return {
        "letter": labels.letters[place],
        "name": labels.names[place],
        "colour": place % len(LIGHT.series) + 1,
        "about": f"{found.run.hasher.method.upper()}, {found.run.hasher.bits} bits",
        "figures": [
            (name, unseen[direction].map_tie_aware, unseen[direction].chance)
            for direction, name in DIRECTIONS.items()
        ],
    }


def _settings(findings: Sequence[Findings]) -> list[Row]:
    names = dict.fromkeys(name for found in findings for name in found.settings)
    rows = []
    for name in names:
        values = [found.settings.get(name, ABSENT) for found in findings]
        rows.append(Row(name, [Cell(value) for value in values], len(set(values)) > 1))
    return rows


def _table(protocol: ProtocolName, findings: Sequence[Findings]) -> Table:
    groups = {
        name: list(_rows([found.reports[protocol][direction] for found in findings]))
        for direction, name in DIRECTIONS.items()
    }
    return Table(protocol, _ABOUT[protocol], groups)


def _rows(reports: Sequence[Report]) -> Iterator[Row]:
    yield _row("mAP, ties expected", [r.map_tie_aware for r in reports])
    yield _row("mAP, by id", [r.map_by_id for r in reports])
    for cut in (1, 10, 100):
        if all(cut in r.precision_at for r in reports):
            yield _row(f"precision@{cut}", [r.precision_at[cut] for r in reports])
    for cut in reports[0].ndcg_at:
        yield _row(f"NDCG@{cut}", [r.ndcg_at[cut] for r in reports])
    yield Row("chance", [Cell(html.figure(r.chance)) for r in reports])
    yield Row("queries in codes", [Cell(f"{r.queries:,} in {r.database:,}") for r in reports])


def _row(name: str, values: list[float]) -> Row:
    shown = [html.figure(value) for value in values]
    best = html.figure(max(values))
    several = len(set(shown)) > 1
    return Row(name, [Cell(text, several and text == best) for text in shown], several)


def _learning(labels: Labels, findings: Sequence[Findings]) -> list[Markup]:
    """Validation scores and loss terms of every run that kept them."""
    charts = []
    for name, short, found in zip(labels.names, labels.short, findings, strict=True):
        if found.scores:
            best = max(sum(s.values()) / len(s) for s in found.scores.values())
            charts.append(
                chart(
                    f"Validation mAP of {name} by epoch, best mean {best:.3f}",
                    plot.learning_curve,
                    found.scores,
                    title=f"{short}: validation",
                    chosen=found.chosen,
                )
            )
        if found.losses:
            last = max(found.losses)
            terms = ", ".join(f"{term} {v:.3g}" for term, v in found.losses[last].items())
            charts.append(
                chart(
                    f"Loss terms of {name} by epoch; at the last, {last}: {terms}",
                    plot.learning_curve,
                    found.losses,
                    title=f"{short}: loss terms, mean of an epoch",
                    y="loss term, no unit",
                )
            )
    return [Markup(svg) for svg in charts]


def _curves(labels: Labels, findings: Sequence[Findings]) -> list[dict[str, Any]]:
    """By protocol: precision and recall, micro and macro, and precision@N, both directions."""
    return [
        {
            "protocol": protocol,
            "about": _ABOUT[protocol],
            "charts": [
                Markup(svg)
                for direction in DIRECTIONS
                for svg in _curves_of(labels, findings, protocol, direction)
            ],
        }
        for protocol in PROTOCOLS
    ]


def _curves_of(
    labels: Labels, findings: Sequence[Findings], protocol: ProtocolName, direction: Direction
) -> Iterator[str]:
    reports = {
        short: found.reports[protocol][direction]
        for short, found in zip(labels.short, findings, strict=True)
    }
    where = f"{protocol} database, {DIRECTIONS[direction]}"
    averages: tuple[plot.Average, ...] = ("micro", "macro")
    for average in averages:
        maps = ", ".join(f"{name} {r.map_tie_aware:.3f}" for name, r in reports.items())
        said = f"Precision over recall, {average} average, {where}; mAP {maps}"
        yield chart(said, plot.precision_recall, reports, average=average)
    first = ", ".join(f"{name} {r.precision_at[1]:.3f}" for name, r in reports.items())
    said = f"Precision of the first N, {where}; of the first one {first}"
    yield chart(said, plot.precision_at, reports)


def _recall_over_time(labels: Labels, findings: Sequence[Findings]) -> Markup:
    timed = {
        short: (found.timed.seconds, found.timed.recall)
        for short, found in zip(labels.short, findings, strict=True)
    }
    whole = ", ".join(
        f"{short} {html.duration(found.timed.seconds[-1])}"
        for short, found in zip(labels.short, findings, strict=True)
    )
    said = f"Recall against the time of a query; for the longest lists {whole}"
    protocol = Protocol("encoded", "T->I")
    return Markup(chart(said, plot.recall_over_time, timed, protocol=protocol, size=_WIDE))


def _codes(labels: Labels, place: int, found: Findings, step: Callable[[], None]) -> dict[str, Any]:
    """Distances, balance, correlation and map of the codes of a run."""
    name, bits = labels.names[place], found.run.hasher.bits
    charts = [
        chart(
            f"Distances of relevant and irrelevant codes, {name}, {_unseen(found, direction)}",
            distance_shares,
            [
                ("shares no class", found.shares[direction][:, 0], PAGE.irrelevant),
                ("shares a class", found.shares[direction][:, 1], PAGE.relevant),
            ],
            f"Distance from a query, {_unseen(found, direction)}",
        )
        for direction in DIRECTIONS
    ]
    charts += [
        chart(
            f"Share of ones in each bit, {name}",
            plot.bit_balance,
            found.codes,
            bits=bits,
            size=_SQUARE,
        ),
        chart(
            f"Correlation of every two bits, {name}",
            plot.bit_correlation,
            found.codes,
            bits=bits,
            size=_SQUARE,
        ),
    ]
    places, missing = _map(name, found)
    step()
    return {
        "letter": labels.letters[place],
        "name": name,
        "rows": len(found.codes) // 2,
        "charts": [Markup(svg) for svg in charts],
        "map": Markup(places),
        "missing": missing,
    }


def _map(name: str, found: Findings) -> tuple[str, str]:
    """The map of a run's codes, or why there is none."""
    rows = len(found.codes) // 2
    if rows < _LEAST_MAPPED:
        return "", "there are too few codes"
    try:
        places = chart(
            f"Map of the codes by t-SNE, {name}, coloured by class",
            plot.tsne,
            found.codes,
            found.labels,
            bits=found.run.hasher.bits,
            class_names=found.run.dataset.class_names,
            groups=["image"] * rows + ["text"] * rows,
            size=_MAP,
        )
    except MissingExtraError as error:
        return "", str(error)
    return places, ""


def _unseen(found: Findings, direction: Direction) -> str:
    return protocol_name(found.reports["unseen"][direction].protocol)


def _grids(labels: Labels, findings: Sequence[Findings]) -> list[dict[str, Any]]:
    """By data set: what captions and pictures found, the runs below each other."""
    grids: dict[str, dict[str, Any]] = {}
    for letter, name, found in zip(labels.letters, labels.names, findings, strict=True):
        dataset = found.run.dataset
        pictured = dataset.image_kind == "pixels"
        grid = grids.setdefault(
            f"{dataset.name} {dataset.split.hash}",
            {"data": dataset.name, "pictured": pictured, "texts": {}, "images": {}},
        )
        if not pictured:
            continue
        for answer in found.captions_answered:
            entry = grid["texts"].setdefault(
                answer.row, {"caption": words_of(dataset, answer.row), "runs": []}
            )
            entry["runs"].append({"letter": letter, "name": name, **text_row(answer, dataset)})
        for answer in found.images_answered:
            entry = grid["images"].setdefault(
                answer.row,
                {
                    "caption": words_of(dataset, answer.row),
                    **picture(dataset, answer.row),
                    "runs": [],
                },
            )
            entry["runs"].append({"letter": letter, "name": name, **text_row(answer, dataset)})
    return list(grids.values())
