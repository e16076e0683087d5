"""Tables as text, from figures that are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hashcore.experiments.measure import Outcome
from hashcore.experiments.page import page
from hashcore.experiments.plan import CCA_SIGN, Cell, DataSource, Experiment, Published, Run
from hashcore.experiments.plan import with_seeds as seeded
from hashcore.experiments.results import Row, Spread
from hashcore.experiments.spec import read
from hashcore.experiments.tables import ablation_table, markdown, number
from hashcore.methods import METHODS
from hashcore.train import TrainConfig

DATA = DataSource("few", "shapes")


def outcome(figure: float, labelled: float | None = None) -> Outcome:
    """`unseen` gives the figure, `encoded` a tenth more; chance is .1."""
    protocols = {"unseen": figure, "encoded": figure + 0.1}
    if labelled is not None:
        protocols["labelled"] = labelled
    figures: Any = {
        protocol: {
            direction: {
                "map": value + more,
                "map_by_id": value / 2,
                "precision_at_10": 0.9,
                "precision_at_100": 0.8,
                "ndcg_at_100": 0.7,
                "chance": 0.1,
            }
            for direction, more in (("image_to_text", 0.0), ("text_to_image", 0.2))
        }
        for protocol, value in protocols.items()
    }
    cosine: Any = {"unseen": {"image_to_text": 0.5, "text_to_image": 0.6}}
    return Outcome(figures, cosine, 3, 2.0, 0.001, 10, "abc")


def row(method: str, *figures: float, bits: int = 64, without: str = "", **more: Any) -> Row:
    """A cell with a seed a figure."""
    run = Run(DATA, method, bits, None, TrainConfig(), ("unseen", "encoded"))
    cell = Cell(more.pop("variant", ""), without, seeded(run, range(len(figures))))
    return Row(cell, {seed: outcome(figure, **more) for seed, figure in enumerate(figures)})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def tables(rows: list[Row], published: tuple[Published, ...] = ()) -> dict[str, list[list[str]]]:
    """The page's tables by their headings."""
    experiment = Experiment("T", tuple(r.cell for r in rows), {"v": "how"}, published)
    found: dict[str, list[list[str]]] = {}
    for line in page(experiment, rows, lambda source: "about", {}).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            found.setdefault(heading, []).append(cells(line))
    return found


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.2714, False, ".271"),
        (1.0, False, "1.000"),
        (0.0, False, ".000"),
        (0.9999, False, "1.000"),
        (0.012, True, "+.012"),
        (-0.012, True, "-.012"),
        (-1.0, True, "-1.000"),
    ],
)
def test_numbers_have_three_digits(value: float, signed: bool, text: str) -> None:
    assert number(value, signed=signed) == text


def test_columns_are_aligned() -> None:
    assert markdown(["a", "b"], [["long", "1"], ["x", "22 ±"]]) == [
        "| a    |    b |",
        "| ---- | ---: |",
        "| long |    1 |",
        "| x    | 22 ± |",
    ]


def test_spreads_are_mean_and_sample_deviation() -> None:
    assert Spread.of([]) is None
    one, two = Spread.of([0.5]), Spread.of([0.2, 0.4])
    assert one is not None
    assert one.mean == 0.5
    assert math.isnan(one.deviation)
    assert two is not None
    assert two.mean == pytest.approx(0.3)
    assert two.deviation == pytest.approx(0.02**0.5)


def test_the_main_table_names_protocols_and_marks_the_best_method() -> None:
    rows = [row("dth", 0.2, 0.4), row("drhc", 0.25, variant="v"), row(CCA_SIGN, 0.6)]
    (header, _, *body) = tables(rows)["mAP@all, 64 bits"]
    assert header == [
        "method",
        "unseen I->T",
        "unseen T->I",
        "encoded I->T",
        "encoded T->I",
        "train, s",
        "encode 1000 pairs, ms",
    ]
    assert [line[:2] for line in body] == [
        ["dth", "**.300 ± .141**"],
        ["drhc, v", ".250"],
        ["dth, cosine", ".500 ± .000"],
        ["drhc, v, cosine", ".500"],
        [CCA_SIGN, ".600"],
        ["chance", ".100"],
    ]
    assert body[0][-2:] == ["2.0", "100.0"]
    assert body[-1][-2:] == ["", ""]
    assert body[2][3] == ""


def test_labelled_is_the_last_protocol_and_only_where_it_is_measured() -> None:
    plain, apart = row("dth", 0.2), row("dth", 0.1, variant="labels", labelled=0.7)
    first = replace(apart.cell.first, protocols=("labelled", "unseen", "encoded"))
    apart = replace(apart, cell=replace(apart.cell, runs=(first,)))
    (header, _, *body) = tables([plain, apart])["mAP@all, 64 bits"]
    assert header[1:7:2] == ["unseen I->T", "encoded I->T", "labelled I->T"]
    assert body[0][5] == ""
    assert body[1][5:7] == ["**.700**", "**.900**"]


def test_figures_from_elsewhere_stand_with_their_width() -> None:
    published = tuple(
        Published(name, "few", bits, "encoded", (0.4, 0.5), f"source of {name}")
        for name, bits in (("A", 16), ("B", 32), ("C", 0), ("D", 64))
    )
    found = tables([row("dth", 0.2), row("dth", 0.2, bits=16)], published)
    assert [line[0] for line in found["mAP@all, 64 bits"]][-3:] == ["B, 32 bits", "C", "D"]
    assert found["mAP@all, 16 bits"][-1][:5] == ["A", "", "", ".400", ".500"]


def test_further_figures_have_every_width() -> None:
    found = tables([row("dth", 0.2), row("dth", 0.4, bits=16)])
    by_id = found["mAP@all in (distance, id) order"]
    assert [line[:2] for line in by_id[2:]] == [
        ["dth, 64 bits", ".100"],
        ["dth, 16 bits", "**.200**"],
    ]
    for heading, value in (("Precision of the first 10", ".900"), ("NDCG@100", ".700")):
        assert found[heading][2][1] == f"**{value}**"


def test_an_ablation_compares_seed_by_seed() -> None:
    base = row("dth", 0.50, 0.70, 0.90)
    off = row("dth", 0.45, 0.63, without="pairs")
    lines = ablation_table(base, [off])
    assert cells(lines[2])[:2] == ["all components", ".600 ± .141"]  # the seeds of both
    assert cells(lines[3])[:2] == ["without pairs", ".540 ± .127 (-.060 ± .014)"]
    (heading,) = [h for h in tables([base, off]) if h.startswith("mAP@all without")]
    assert tables([base, off])[heading][3] == cells(lines[3])


def test_an_ablation_without_outcomes_is_empty() -> None:
    nothing = replace(row("dth", 0.5, without="pairs"), outcomes={})
    lines = ablation_table(row("dth", 0.5), [nothing])
    assert cells(lines[3]) == ["without pairs", "", "", "", ""]


def test_the_project_s_own_experiments_are_readable() -> None:
    bench = Path(__file__).resolve().parents[2] / "bench"
    experiment = read(bench / "methods.toml")
    methods = {cell.first.method for cell in experiment.cells}
    assert methods == {*METHODS, CCA_SIGN}
    assert {len(cell.runs) for cell in experiment.cells if not cell.without} == {5}
    known = {source.name for source in experiment.datasets}
    assert {published.dataset for published in experiment.published} == known
