"""Curves show the numbers of their reports."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hashcore import metrics, plot
from hashcore.metrics import Protocol, Report


def axes() -> Axes:
    return Figure().add_subplot()


def report(seed: int = 0, database: str = "unseen") -> Report:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 60)
    codes = rng.integers(0, 256, (60, 3), np.uint8)
    codes[:, 0] = 85 * labels  # what is alike lies near
    protocol = Protocol(database, "T->I")  # type: ignore[arg-type]
    return metrics.evaluate(codes, codes, labels, labels, topn=(1, 5, 40), protocol=protocol)


def points(ax: Axes, line: int = 0) -> NDArray[np.float64]:
    return np.asarray(ax.lines[line].get_xydata(), dtype=np.float64)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_precision_over_recall_is_the_reports(average: plot.Average) -> None:
    found = report()
    ax = plot.precision_recall(found, average=average, ax=axes())
    curve = found.pr_micro if average == "micro" else found.pr_macro
    known = np.isfinite(curve.precision) & (curve.recall > 0.005)
    assert known.sum() > 5
    expected = np.column_stack([curve.recall, curve.precision])[known]
    assert np.array_equal(points(ax), expected)
    assert "unseen database, T\u2192I" in ax.get_title(loc="left")
    assert average in ax.get_title(loc="left")
    assert "recall" in ax.get_xlabel()
    assert "precision" in ax.get_ylabel()


def test_chance_is_the_share_of_relevant_pairs() -> None:
    found = report()
    assert found.per_query is not None
    share = found.per_query.relevant.sum() / (found.queries * found.database)
    for draw in (plot.precision_recall, plot.precision_at):
        ax = draw(found, ax=axes())
        assert ax.lines[-1].get_label() == "chance"
        assert points(ax, -1)[:, 1] == pytest.approx(share)
        assert len(draw(found, chance=False, ax=axes()).lines) == 1


@pytest.mark.parametrize("by_id", [False, True])
def test_precision_at_n_is_the_reports(by_id: bool) -> None:
    found = report()
    values = found.precision_at_by_id if by_id else found.precision_at
    assert found.precision_at != found.precision_at_by_id
    ax = plot.precision_at(found, by_id=by_id, ax=axes())
    assert points(ax).tolist() == [[n, values[n]] for n in (1, 5, 40)]
    assert ("(distance, id)" in ax.get_title(loc="left")) == by_id
    assert ax.get_xscale() == "log"


def test_several_reports_have_names_dashes_and_all_protocols() -> None:
    reports = {"one": report(), "two": report(1, "encoded")}
    ax = plot.precision_recall(reports, ax=axes())
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two", "chance"]
    assert "unseen database, T\u2192I / encoded database" in ax.get_title(loc="left")
    assert len({line.get_linestyle() for line in ax.lines[:2]}) == 2
    assert len({line.get_color() for line in ax.lines[:2]}) == 2


def test_recall_over_time_is_in_milliseconds_in_the_given_order() -> None:
    ax = plot.recall_over_time(
        {"mih": ([0.004, 0.001], [0.9, 0.2])}, protocol=Protocol("encoded"), ax=axes()
    )
    assert points(ax) == pytest.approx(np.array([[4, 0.9], [1, 0.2]]))
    assert "ms" in ax.get_xlabel()
    assert "encoded database" in ax.get_title(loc="left")


def test_a_learning_curve_skips_epochs_without_a_value() -> None:
    values = {2: {"I->T": 0.4}, 1: {"I->T": 0.3, "T->I": 0.1}, 3: {"T->I": 0.5}}
    ax = plot.learning_curve(values, chosen=2, ax=axes())
    assert points(ax).tolist() == [[1, 0.3], [2, 0.4]]
    assert points(ax, 1).tolist() == [[1, 0.1], [3, 0.5]]
    assert points(ax, 2)[:, 0].tolist() == [2, 2]
    assert "epoch 2 was chosen" in ax.get_title(loc="left")


def test_without_axes_a_figure_is_made_that_can_be_saved(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    monkeypatch.delenv("DISPLAY", raising=False)
    ax = plot.precision_recall(report())
    try:
        file = tmp_path_factory.mktemp("plot") / "curve.png"
        assert isinstance(ax.figure, Figure)
        ax.figure.savefig(file)
        assert file.read_bytes().startswith(b"\x89PNG")
        assert pyplot.get_fignums()
    finally:
        pyplot.close("all")


def test_wrong_input_says_what_is_expected() -> None:
    bare = dataclasses.replace(report(), precision_at={})
    with pytest.raises(ValueError, match=r"average: expected one of .*; got 'mean'"):
        plot.precision_recall(report(), average="mean")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected a Report of hashcore.metrics.*; got list"):
        plot.precision_recall([report()])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one; got none"):
        plot.precision_at({})
    with pytest.raises(ValueError, match=r"no precision@N; evaluate with topn"):
        plot.precision_at(bare)
    with pytest.raises(ValueError, match="at least one epoch"):
        plot.learning_curve({})
    for pair, message in (
        (([1.0], [0.1, 0.2]), r"expected seconds \[M\] and recall \[M\]"),
        (([0.0], [0.1]), "expected seconds above 0"),
        (([1.0], [1.1]), r"expected recall in 0\.\.1"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.recall_over_time({"x": pair}, ax=axes())
    with pytest.raises(ValueError, match="expected at least one"):
        plot.recall_over_time({})


def test_without_matplotlib_one_sentence_says_what_to_install() -> None:
    program = "import sys; sys.modules['matplotlib'] = None; import hashcore.plot"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    said = 'the package matplotlib is missing; pip install "hashcore-search[plot]"'
    assert done.stderr.splitlines()[-1].endswith(said)
