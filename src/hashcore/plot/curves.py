"""Curves of reports, of timed searches and of a training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from hashcore.metrics import Protocol, Report
from hashcore.plot._style import DASHES, MARKERS, axes_or_new, finish, theme

Average = Literal["micro", "macro"]
Reports = Report | Mapping[str, Report]

_AVERAGES = {
    "micro": "micro average: pairs of all queries pooled",
    "macro": "macro average: mean over queries",
}


def protocol_name(protocol: Protocol) -> str:
    """A protocol in a title: which database, which direction."""
    return ", ".join(filter(None, [f"{protocol.database} database", arrow(protocol.direction)]))


def arrow(direction: str) -> str:
    """A direction such as "T->I" with a real arrow."""
    return direction.replace("->", "\u2192")


def precision_recall(
    reports: Reports, *, average: Average = "micro", chance: bool = True, ax: Axes | None = None
) -> Axes:
    """Precision over recall, a point for each Hamming radius.

    Args:
        reports: a report, or several by the names that the legend shows.
        average: "micro" pools the pairs of all queries, "macro" is the mean over queries.
        chance: draw the precision of a random order, of the first report.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        TypeError: something other than reports.
        ValueError: no report, or an unknown average.
    """
    if average not in _AVERAGES:
        raise ValueError(f"average: expected one of {list(_AVERAGES)}; got {average!r}")
    named = _named(reports)
    ax = axes_or_new(ax)
    for i, (name, report) in enumerate(named.items()):
        curve = report.pr_micro if average == "micro" else report.pr_macro
        precision_over_recall(ax, curve.recall, curve.precision, i, name)
    if chance:
        share = base_rate(next(iter(named.values())))
        ax.axhline(share, color=theme().muted, linewidth=1.2, linestyle=":", label="chance")
    ax.set(xlim=(0, 1.005), ylim=(0, 1.03))
    title = f"Precision and recall, {_protocols(named)}\n{_AVERAGES[average]}"
    return finish(ax, title, "recall, share of 1", "precision, share of 1")


def precision_over_recall(
    ax: Axes, recall: NDArray[np.float64], precision: NDArray[np.float64], place: int, name: str
) -> None:
    """Draw the line of series `place`; radii that retrieve nothing, or next to it, are left out."""
    known = np.isfinite(precision) & (recall > 0.005)  # fewer pairs: noise
    ax.plot(recall[known], precision[known], label=name, linewidth=2.2, **_look(place))


def base_rate(report: Report) -> float:
    """Share of all pairs that are relevant: the precision of a random order."""
    return float(report.pr_micro.precision[-1])


def precision_at(
    reports: Reports, *, by_id: bool = False, chance: bool = True, ax: Axes | None = None
) -> Axes:
    """Precision of the first N items, at the cutoffs that the reports have.

    Args:
        reports: a report, or several by the names that the legend shows.
        by_id: in (distance, id) order; otherwise the expected value over all orders of ties.
        chance: draw the precision of a random order, of the first report.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        TypeError: something other than reports.
        ValueError: no report, or one without cutoffs.
    """
    named = _named(reports)
    for name, report in named.items():
        if not report.precision_at:
            raise ValueError(
                f'reports: "{name}" has no precision@N; evaluate with topn=(1, 10, 100)'
            )
    ax = axes_or_new(ax)
    for i, (name, report) in enumerate(named.items()):
        values = report.precision_at_by_id if by_id else report.precision_at
        cuts = sorted(values)
        ax.plot(
            cuts,
            [values[cut] for cut in cuts],
            label=name,
            linewidth=2,
            marker=MARKERS[i % len(MARKERS)],
            markersize=4.5,
            **_look(i),
        )
    if chance:
        share = base_rate(next(iter(named.values())))
        ax.axhline(share, color=theme().muted, linewidth=1.2, linestyle=":", label="chance")
    _log_x(ax, [cut for report in named.values() for cut in report.precision_at])
    ax.set_ylim(0, 1.03)
    order = "in (distance, id) order" if by_id else "ties at their expected value"
    title = f"Precision of the first N, {_protocols(named)}\n{order}"
    return finish(ax, title, "N, items (log scale)", "precision, share of 1")


def recall_over_time(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    protocol: Protocol | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Recall against the time that a query takes, a point for each setting of a search.

    Args:
        curves: by the names that the legend shows: seconds a query and recall, `[M]` each, in the
            order of the settings.
        protocol: what is searched; named in the title.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        ValueError: no curve, lengths that differ, seconds not above 0, or recall outside 0..1.
    """
    if not curves:
        raise ValueError('curves: expected at least one, such as {"mih": (seconds, recall)}')
    points = {name: _timed(name, *pair) for name, pair in curves.items()}
    ax = axes_or_new(ax)
    for i, (name, (seconds, recall)) in enumerate(points.items()):
        ax.plot(
            1e3 * seconds,
            recall,
            label=name,
            linewidth=2,
            marker=MARKERS[i % len(MARKERS)],
            markersize=4.5,
            **_look(i),
        )
    _log_x(ax, np.concatenate([1e3 * seconds for seconds, _ in points.values()]))
    ax.set_ylim(0, 1.03)
    where = "" if protocol is None else f", {protocol_name(protocol)}"
    return finish(
        ax, f"Recall against time{where}", "time of a query, ms (log scale)", "recall, share of 1"
    )


def learning_curve(
    values: Mapping[int, Mapping[str, float]],
    *,
    title: str = "Validation",
    y: str = "mAP, share of 1",
    chosen: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Scores or loss terms of a training, epoch by epoch.

    Args:
        values: by epoch, then by name, as in `Hasher.info["scores"]` and `["losses"]`.
        title: what the values are.
        y: label of the values, with their unit.
        chosen: mark this epoch; 0 marks none.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        ValueError: there are no values.
    """
    by_epoch = {int(epoch): terms for epoch, terms in values.items()}
    names = list(dict.fromkeys(name for terms in by_epoch.values() for name in terms))
    if not names:
        raise ValueError("values: expected at least one epoch with a value")
    ax = axes_or_new(ax)
    for i, name in enumerate(names):
        epochs = sorted(epoch for epoch in by_epoch if name in by_epoch[epoch])
        ax.plot(
            epochs,
            [by_epoch[epoch][name] for epoch in epochs],
            label=arrow(name),
            linewidth=2,
            marker=MARKERS[i % len(MARKERS)],
            markersize=3.5,
            **_look(i),
        )
    if chosen:
        ax.axvline(chosen, color=theme().muted, linewidth=1.2, linestyle=":")
        title = f"{title}, epoch {chosen} was chosen"
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(ax, title, "epoch", y)


def _look(place: int) -> dict[str, Any]:
    series = theme().series
    return {"color": series[place % len(series)], "linestyle": DASHES[place % len(DASHES)]}


def _named(reports: Reports) -> dict[str, Report]:
    named = {"": reports} if isinstance(reports, Report) else reports
    if not isinstance(named, Mapping) or not all(isinstance(r, Report) for r in named.values()):
        got = type(reports).__name__
        raise TypeError(
            f"reports: expected a Report of hashcore.metrics, or several by name; got {got}"
        )
    if not named:
        raise ValueError("reports: expected at least one; got none")
    if list(named) == [""]:
        return {"codes": named[""]}
    return dict(named)


def _protocols(named: Mapping[str, Report]) -> str:
    return " / ".join(dict.fromkeys(protocol_name(r.protocol) for r in named.values()))


def _timed(
    name: str, seconds: ArrayLike, recall: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(seconds, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise ValueError(
            f'curves: expected seconds [M] and recall [M] of "{name}"; '
            f"got {list(x.shape)} and {list(y.shape)}"
        )
    if not (np.isfinite(x) & (x > 0)).all():
        raise ValueError(f'curves: expected seconds above 0 in "{name}"; got {x.min()}')
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError(f'curves: expected recall in 0..1 in "{name}"; got {y.min()}..{y.max()}')
    return x, y


def _log_x(ax: Axes, values: Iterable[float]) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 where it spans little, at powers otherwise."""
    found = list(values)
    low, high = min(found), max(found)
    ax.set_xscale("log")
    steps = (1.0,) if high > 2000 * low else (1.0, 2.0, 5.0)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    shown = [tick for tick in ticks if 0.8 * low <= tick <= 1.25 * high]
    if len(shown) > 1:
        ax.set_xticks(shown, [f"{tick:g}" for tick in shown])
        ax.minorticks_off()
    ax.set_xlim(0.85 * low, 1.18 * high)
