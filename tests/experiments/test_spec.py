"""A file becomes cells of runs with every setting in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.conftest import TINY
from hashcore.experiments.plan import CCA_SIGN, Experiment
from hashcore.experiments.spec import read
from hashcore.methods import METHODS, BranchConfig, DTHConfig

TWO = """
title = "Two"
published = "rows.toml"
bits = [8, 16]
seeds = [3, 4]
train = { epochs = 2, selection = "last" }
[[dataset]]
name = "few"
loader = "shapes"
options = { pairs = 60 }
[[dataset]]
name = "more"
loader = "shapes"
options = { pairs = 90, seed = 7 }
[[method]]
name = "dth"
config = { margin = 0.3, branch = { hidden = [8] } }
train = { lr = 0.01 }
on.more = { config = { branch = { dropout = 0.5 } }, train = { epochs = 5 } }
[[method]]
name = "drhc"
[[variant]]
name = "plain"
cosine = ["drhc"]
ablate = { methods = ["dth"], bits = [8], seeds = [4] }
[[variant]]
name = "long"
about = "trained for long"
config = { branch = { dropout = 0.2 } }
train = { epochs = 9 }
on.more = { config = { intra = 0.5 }, train = { patience = 3 } }
bits = [16]
seeds = [5]
methods = ["dth"]
datasets = ["more"]
protocols = ["unseen"]
"""
ROWS = """
row = [
    { method = "X", dataset = "few", bits = 8, protocol = "encoded", map = [0.5, 1] },
    { method = "X", dataset = "other", protocol = "encoded", map = [0.5, 1] },
]
sources.X = "made up"
"""


def experiment_of(folder: Path, text: str, rows: str = ROWS) -> Experiment:
    (folder / "rows.toml").write_text(rows)
    (folder / "x.toml").write_text(text)
    return read(folder / "x.toml")


def test_variants_methods_data_sets_and_components_multiply(tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path, TWO)
    names = [cell.name for cell in experiment.cells if cell.first.method != CCA_SIGN]
    off = list(METHODS["dth"].method.components)
    plain = ["dth 8 bits plain", *(f"dth 8 bits plain without {name}" for name in off)]
    plain += ["dth 16 bits plain", "drhc 8 bits plain", "drhc 16 bits plain"]
    assert names == [
        *(f"few {name}" for name in plain),
        *(f"more {name}" for name in plain),
        "more dth 16 bits long",
    ]
    baselines = [cell.first for cell in experiment.cells if cell.first.method == CCA_SIGN]
    assert [(run.data.name, run.bits) for run in baselines] == [
        ("few", 8),
        ("few", 16),
        ("more", 8),
        ("more", 16),
    ]
    assert [source.name for source in experiment.datasets] == ["few", "more"]
    assert experiment.variants == {"plain": "", "long": "trained for long"}
    assert experiment.title == "Two"


def test_settings_come_from_the_nearest_place(tmp_path: Path) -> None:
    cells = {cell.name: cell for cell in experiment_of(tmp_path, TWO).cells}
    few, more = cells["few dth 8 bits plain"].first, cells["more dth 8 bits plain"].first
    assert few.config == DTHConfig(margin=0.3, branch=replace(DTHConfig().branch, hidden=(8,)))
    assert more.config == DTHConfig(margin=0.3, branch=BranchConfig(hidden=(8,), dropout=0.5))
    assert (few.train.epochs, few.train.lr, few.train.selection) == (2, 0.01, "last")
    assert (more.train.epochs, more.train.lr) == (5, 0.01)
    long = cells["more dth 16 bits long"]
    assert long.first.config == replace(
        more.config, intra=0.5, branch=BranchConfig(hidden=(8,), dropout=0.2)
    )
    assert long.first.train == replace(more.train, epochs=9, patience=3, seed=5)
    assert long.first.protocols == ("unseen",)
    assert [run.train.seed for run in long.runs] == [5]
    assert [run.train.seed for run in cells["few dth 8 bits plain"].runs] == [3, 4]
    off = cells["few dth 8 bits plain without intra-modal triplets"]
    assert off.first.config.intra == 0.0
    assert [run.train.seed for run in off.runs] == [4]
    assert cells["few drhc 8 bits plain"].first.cosine
    assert not few.cosine
    assert not long.first.cosine
    assert dict(more.data.options) == {"pairs": 90, "seed": 7}
    assert few.train.device == "cpu"


def test_the_first_seed_of_everything_runs_first(tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path, TWO)
    runs = list(experiment.runs())
    assert len(runs) == sum(len(cell.runs) for cell in experiment.cells)
    first = [run for _, run in runs[: len(experiment.cells)]]
    assert first == [cell.first for cell in experiment.cells]
    assert runs[0][0].endswith("seed 3")
    only = [run.method for _, run in experiment.runs(["drhc"])]
    assert set(only) == {"drhc"}
    with pytest.raises(ValueError, match="methods: expected any of dth, drhc, CCA"):
        list(experiment.runs(["x"]))


def test_rows_from_elsewhere_are_those_of_the_data_sets(tmp_path: Path) -> None:
    (row,) = experiment_of(tmp_path, TWO).published
    assert (row.method, row.dataset, row.bits, row.map) == ("X", "few", 8, (0.5, 1.0))
    assert row.source == "made up"


def test_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HASHCORE_DATA", raising=False)
    file = tmp_path / "x.toml"
    wiki = '[[dataset]]\nname = "w"\nloader = "wikipedia"\npath = "w.mat"\n'
    file.write_text('data = "../data"\n' + wiki + '[[method]]\nname = "dth"\n')

    def path(data: Path | None = None) -> str | None:
        return read(file, data).datasets[0].path

    assert path() == str(tmp_path / "../data/w.mat")
    monkeypatch.setenv("HASHCORE_DATA", "/elsewhere")
    assert path() == "/elsewhere/w.mat"
    assert path(Path("/here")) == "/here/w.mat"


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("bits = [8]", "bits = [0]", "bits: expected integers >= 1; got 0"),
        ("seeds = [0, 1]", "sedes = [0]", 'sedes: no such key; did you mean "seeds"?'),
        ('"dth"', '"dht"', 'method "dht".name: expected one of dth'),
        ('loader = "shapes"', 'loader = "s"', 'dataset "shapes".loader: expected one of shapes'),
        ('loader = "shapes"', "", 'dataset "shapes".loader: missing; expected a string'),
        ("epochs = 1", "epoch = 1", "train.epoch: no such field of TrainConfig; did you mean"),
        ("epochs = 1", 'epochs = "1"', "train.epochs: expected an integer; got '1'"),
        ("epochs = 1", "epochs = 0", "train.epochs, selection, validation: epochs: expected >= 1"),
        ("epochs = 1", "seed = 1", "train.seed: not set here: the seeds stand under seeds"),
        (
            "hidden = [8]",
            "hiden = [8]",
            'method "dth".config.branch.hiden: no such field of Branch',
        ),
        ('name = "shapes"', 'name = "a/b"', 'dataset "a/b".name: expected letters'),
        ('name = "shapes"', "", "dataset[1].name: missing; expected a string"),
        ("[[dataset]]", "[dataset]", "dataset: expected a list; got"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, was: str, now: str, message: str) -> None:
    assert was in TINY
    with pytest.raises(ValueError, match=r"x\.toml: ") as error:
        experiment_of(tmp_path, TINY.replace(was, now, 1))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[[method]]\nname = "dth"', 'method: the name "dth" stands there twice'),
        ("[method.on.other]\n", 'method "dth".on.other: no such key; expected any of shapes'),
        ('[[variant]]\nname = "v"\nmethods = ["drhc"]', 'variant "v".methods: expected any of dth'),
        ('[[variant]]\nname = "v"\nprotocols = ["x"]', 'variant "v".protocols: expected any of'),
        ('[[variant]]\nname = "v"\nablate = 1', 'variant "v".ablate: expected true, false or a'),
        (
            '[[variant]]\nname = "v"\nablate.bits = [9]',
            'variant "v".ablate.bits: expected any of [8]',
        ),
        (
            '[[variant]]\nname = "v"\nconfig.branch.dropot = 0.5',
            'variant "v".config.branch.dropot: no such field of BranchConfig; did you mean "drop',
        ),
        (
            '[[variant]]\nname = "v"\non.shapes.config.rate = 1',
            'variant "v".on.shapes.config.rate: no such field of DTHConfig; ',
        ),
        ('[[variant]]\nname = "v"\non.shapes.bits = [8]', 'variant "v".on.shapes.bits: no such'),
        ('[[variant]]\nname = "v"\non.other = {}', 'variant "v".on.other: no such key; expected'),
        (
            '[[variant]]\nname = "v"\ntrain.lr = -1',
            'variant "v".train.lr: lr: expected > 0; got -1',
        ),
        ('[[variant]]\nname = "v"\n[ablate]', "ablate: where there are variants, it stands in"),
        ('[[variant]]\nname = "v"\nabout = 1', 'variant "v".about: expected a string; got 1'),
    ],
)
def test_errors_of_further_tables(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"x\.toml: ") as error:
        experiment_of(tmp_path, TINY + more)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("[0.5, 1]", "[0.5]", "row[1].map: expected the numbers [I->T, T->I]; got [0.5]"),
        ('"encoded"', '"seen"', "row[1].protocol: expected one of unseen, encoded"),
        ("sources.X", "sources.Y", "row[1].method: expected one of Y; got 'X'"),
        ("bits = 8", "bots = 8", 'row[1].bots: no such key; did you mean "bits"?'),
    ],
)
def test_errors_of_rows_from_elsewhere(tmp_path: Path, was: str, now: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"rows\.toml: ") as error:
        experiment_of(tmp_path, TWO, ROWS.replace(was, now, 1))
    assert message in str(error.value)
