"""One run: what it measures, and that it gives the same again."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hashcore
from hashcore.experiments.measure import code_of, cosine_map, perform
from hashcore.experiments.plan import CCA_SIGN, Run
from hashcore.experiments.spec import read
from hashcore.report.baseline import cca_sign
from hashcore.train import evaluate_hasher, fit


@pytest.fixture
def run(tiny: Path) -> Run:
    return next(run for _, run in read(tiny).runs(["dth"]))


def test_comments_and_docstrings_are_no_other_source() -> None:
    said = '''"""About."""\nclass A:\n    x: int = 1\n    """A field."""\n'''
    bare = "class A:  # nothing\n    x: int = 1"
    assert code_of(said) == code_of(bare)
    assert code_of(bare) != code_of(bare.replace("1", "2"))
    assert code_of("x = 'text'") != code_of("x = 'other'")


def test_figures_are_those_of_the_hasher(run: Run) -> None:
    threads = torch.get_num_threads(), hashcore.num_threads()
    outcome = perform(replace(run, cosine=True))
    assert (torch.get_num_threads(), hashcore.num_threads()) == threads
    data = run.data.load()
    hasher = fit(data, "dth", 8, config=run.config, train=run.train)
    reports = evaluate_hasher(hasher, data)
    assert list(outcome.figures) == ["unseen", "encoded"]
    for protocol, directions in reports.items():
        for direction, report in directions.items():
            found = outcome.figures[protocol][direction]
            assert found["map"] == report.map_tie_aware
            assert found["map_by_id"] == report.map_by_id
            assert found["precision_at_100"] == report.precision_at[100]
            assert found["ndcg_at_100"] == report.ndcg_at[100]
            assert found["chance"] == report.chance
    image, text = hasher.encode_image_real(data.image), hasher.encode_text_real(data.text)
    rows, labels = data.split.query, data.labels
    encoded = cosine_map(
        image[rows], text[data.split.train], labels[rows], labels[data.split.train]
    )
    assert outcome.cosine["encoded"]["image_to_text"] == encoded
    assert outcome.epochs == 1
    assert outcome.rows == 60
    assert outcome.train_seconds > 0
    assert outcome.encode_seconds > 0


def test_a_run_gives_the_same_again(run: Run) -> None:
    def figures(run: Run) -> dict[str, object]:
        return {k: v for k, v in asdict(perform(run)).items() if "seconds" not in k}

    assert figures(run) == figures(run)
    other = replace(run, train=replace(run.train, seed=9))
    assert figures(other) != figures(run)


def test_the_baseline_uses_no_labels(tiny: Path) -> None:
    run = next(run for _, run in read(tiny).runs([CCA_SIGN]))
    outcome = perform(run)
    data = run.data.load()
    assert data.image_transform == data.text_transform == "none"
    query, train = data.split.query, data.split.train
    images, texts = cca_sign(data.image.astype(np.float32), data.text, train, 8)
    labels = data.labels[query], data.labels[train]
    report = hashcore.metrics.evaluate(images[query], texts[train], *labels, bits=8)
    assert outcome.figures["encoded"]["image_to_text"]["map"] == pytest.approx(
        report.map_tie_aware, abs=0.05
    )
    assert outcome.cosine == {}


@pytest.mark.parametrize("rows", [1, 300])
def test_cosine_map_is_the_mean_precision_at_hits(rows: int) -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(rows, 5)).astype(np.float32)
    database = rng.normal(size=(40, 5)).astype(np.float32)
    query_labels, labels = rng.random((rows, 3)) < 0.3, rng.random((40, 3)) < 0.3
    query_labels[0] = False
    expected = []
    for q, own in zip(queries, query_labels, strict=True):
        cosine = [float(q @ d / np.linalg.norm(q) / np.linalg.norm(d)) for d in database]
        hits = [bool((own & labels[i]).any()) for i in np.argsort(-np.array(cosine))]
        precisions = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
        expected.append(sum(precisions) / max(len(precisions), 1))
    found = cosine_map(queries, 3 * database, query_labels, labels)
    assert found == pytest.approx(np.mean(expected), abs=1e-12)
