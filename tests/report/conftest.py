"""A made-up result, with every kind of hit, for the page's tests."""

from __future__ import annotations

import numpy as np
import pytest

from hashcore.data import CrossModalDataset, load
from hashcore.metrics import PrCurve
from hashcore.report.answers import Answer, Hit
from hashcore.report.result import DemoResult, Direction, Quality, SearchCheck

BITS = 64


def _curve(strength: float) -> PrCurve:
    radius = np.arange(BITS + 1)
    recall = 1 / (1 + np.exp((18 - radius) / 3))
    precision = 0.134 + (strength - 0.134) * (1 - recall**4)
    precision[:4] = np.nan
    recall[:4] = 0
    return PrCurve(recall, precision)


def _quality(value: float) -> Quality:
    return Quality(value, value - 0.002, min(1.0, value + 0.04), value + 0.01, _curve(value))


def _bell(centre: float, width: float) -> np.ndarray:
    share = np.exp(-(((np.arange(BITS + 1) - centre) / width) ** 2) / 2)
    return np.asarray(share / share.sum())


def _direction(name: str) -> Direction:
    return Direction(
        name=name,
        chance=0.1342,
        untrained=_quality(0.206),
        trained=_quality(0.934),
        encoded=_quality(0.951),
        precision_among_distractors=0.961,
        relevant=_bell(14, 5),
        irrelevant=_bell(31, 5),
        distractors=_bell(32, 4),
    )


def _answers(dataset: CrossModalDataset, n: int, k: int) -> tuple[Answer, ...]:
    labels = dataset.labels
    answers = []
    for query in dataset.split.query[:n].tolist():
        order = np.argsort(-(labels[dataset.split.query] & labels[query]).sum(axis=1))
        rows = dataset.split.query[order][:k].tolist()
        hits = [
            Hit("pair", row, 3 + i, bool((labels[row] & labels[query]).any()), row == query)
            for i, row in enumerate(rows)
        ]
        hits[-1] = Hit("distractor", -1, 19, False, False)
        hits[-2] = Hit("pair", (query + 7) % len(dataset), 18, False, False)
        answers.append(Answer(query, tuple(hits)))
    return tuple(answers)


@pytest.fixture(scope="session")
def shapes() -> CrossModalDataset:
    return load("shapes", pairs=600)


@pytest.fixture(scope="session")
def result(shapes: CrossModalDataset) -> DemoResult:
    return DemoResult(
        method="dth",
        bits=BITS,
        seed=0,
        quick=False,
        epochs=12,
        data=shapes.describe(),
        split_hash=shapes.split.hash,
        train_rows=5000,
        unseen_rows=1000,
        distractors=1_000_000,
        directions=(_direction("text -> image"), _direction("image -> text")),
        search=SearchCheck(1_001_000, 64, 10, 0.0213, 4.21, identical=True),
        captions_answered=_answers(shapes, 8, 8),
        images_answered=_answers(shapes, 6, 5),
        seconds={"data": 1.1, "train": 41.2, "encode": 1.9, "index": 0.05},
        environment={"level": "avx512_vpopcnt", "threads": 2},
    )
