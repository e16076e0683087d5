"""One run: train, encode, and measure both directions on every database."""

from __future__ import annotations

import ast
import functools
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

import hashcore
from hashcore import metrics
from hashcore.data import CrossModalDataset
from hashcore.experiments.plan import CCA_SIGN, DataSource, Run
from hashcore.metrics.report import DatabaseProtocol
from hashcore.report.baseline import cca_sign
from hashcore.train import Hasher, evaluate_hasher, fit
from hashcore.train.evaluate import Direction
from hashcore.train.preprocess import Preparation

TOPN = (10, 100)
NDCG_AT = 100
Figure = Literal["map", "map_by_id", "precision_at_10", "precision_at_100", "ndcg_at_100", "chance"]
_ROWS = 256
Figures = dict[DatabaseProtocol, dict[Direction, dict[Figure, float]]]


@dataclass(frozen=True)
class Outcome:
    """What a run showed.

    Attributes:
        figures: of the codes, by protocol and direction.
        cosine: mAP@all of the real-valued outputs by cosine; empty where it is not asked for.
        epochs: that the returned hasher was trained for.
        train_seconds: of the whole training, choosing the epochs included.
        encode_seconds: of both modalities of every row.
        rows: how many rows that are.
        sources: digest of the sources of methods and trainer that made it.
    """

    figures: Figures
    cosine: dict[DatabaseProtocol, dict[Direction, float]]
    epochs: int
    train_seconds: float
    encode_seconds: float
    rows: int
    sources: str


def perform(run: Run) -> Outcome:
    """Do a run, on one thread.

    Raises:
        ValueError: as `load`, `fit` and `evaluate_hasher` do.
        FloatingPointError: the training diverged.
    """
    dataset = _load(run.data)
    with _one_thread():
        return _cca_sign(run, dataset) if run.method == CCA_SIGN else _trained(run, dataset)


@functools.cache
def sources() -> str:
    """Digest (hex) of the sources of methods and trainer, without comments and docstrings."""
    digest = hashlib.sha256()
    package = Path(hashcore.__file__).parent
    for file in sorted([*package.glob("methods/**/*.py"), *package.glob("train/**/*.py")]):
        digest.update(code_of(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def code_of(source: str) -> str:
    """What Python source does: equal for two that differ in comments, docstrings or layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A string that stands alone says something to the reader and does nothing.
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(line: ast.AST) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )


@functools.lru_cache(maxsize=4)
def _load(source: DataSource) -> CrossModalDataset:
    return source.load()


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch and the engine on one thread, so that runs side by side do not disturb each other."""
    before = torch.get_num_threads(), hashcore.num_threads()
    torch.set_num_threads(1)
    hashcore.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        hashcore.set_num_threads(before[1])


def _trained(run: Run, dataset: CrossModalDataset) -> Outcome:
    start = time.perf_counter()
    hasher = fit(dataset, run.method, run.bits, config=run.config, train=run.train)
    trained = time.perf_counter()
    hasher.encode_image(dataset.image)
    hasher.encode_text(dataset.text)
    encoded = time.perf_counter()
    protocols: Any = run.protocols
    reports = evaluate_hasher(hasher, dataset, protocols, topn=TOPN, ndcg_at=[NDCG_AT])
    return Outcome(
        figures={
            protocol: {direction: _figures(report) for direction, report in directions.items()}
            for protocol, directions in reports.items()
        },
        cosine=_cosine(hasher, dataset, run.protocols) if run.cosine else {},
        epochs=hasher.info["epochs"],
        train_seconds=trained - start,
        encode_seconds=encoded - trained,
        rows=len(dataset),
        sources=sources(),
    )


def _cca_sign(run: Run, dataset: CrossModalDataset) -> Outcome:
    """The baseline, on features that are prepared as for the methods."""
    train, query = dataset.split.train, dataset.split.query
    image = Preparation.fit(dataset.image[train], dataset.image_transform)(dataset.image).numpy()
    text = Preparation.fit(dataset.text[train], dataset.text_transform)(dataset.text).numpy()
    start = time.perf_counter()
    image, text = cca_sign(image, text, train, run.bits, seed=run.train.seed)
    seconds = time.perf_counter() - start
    figures: Figures = {}
    for protocol, database in _databases(dataset, run.protocols):
        labels = dataset.labels[query], dataset.labels[database]
        options: Any = {"bits": run.bits, "topn": TOPN, "ndcg_at": [NDCG_AT]}
        figures[protocol] = {
            "image_to_text": _figures(
                metrics.evaluate(image[query], text[database], *labels, **options)
            ),
            "text_to_image": _figures(
                metrics.evaluate(text[query], image[database], *labels, **options)
            ),
        }
    return Outcome(figures, {}, 0, seconds, 0.0, len(dataset), sources())


def _databases(
    dataset: CrossModalDataset, protocols: Sequence[DatabaseProtocol]
) -> Iterator[tuple[DatabaseProtocol, NDArray[np.int64]]]:
    """The protocols whose database is encoded without labels, and its rows."""
    rows: dict[str, NDArray[np.int64]] = {
        "unseen": dataset.split.query,
        "encoded": dataset.split.database,
    }
    for protocol in protocols:
        if protocol in rows:
            yield protocol, rows[protocol]


def _figures(report: metrics.Report) -> dict[Figure, float]:
    return {
        "map": report.map_tie_aware,
        "map_by_id": report.map_by_id,
        "precision_at_10": report.precision_at[10],
        "precision_at_100": report.precision_at[100],
        "ndcg_at_100": report.ndcg_at[NDCG_AT],
        "chance": report.chance,
    }


def _cosine(
    hasher: Hasher, dataset: CrossModalDataset, protocols: Sequence[DatabaseProtocol]
) -> dict[DatabaseProtocol, dict[Direction, float]]:
    """mAP@all of the real-valued outputs."""
    image, text = hasher.encode_image_real(dataset.image), hasher.encode_text_real(dataset.text)
    query = dataset.split.query
    found: dict[DatabaseProtocol, dict[Direction, float]] = {}
    for protocol, database in _databases(dataset, protocols):
        labels = dataset.labels[query], dataset.labels[database]
        found[protocol] = {
            "image_to_text": cosine_map(image[query], text[database], *labels),
            "text_to_image": cosine_map(text[query], image[database], *labels),
        }
    return found


def cosine_map(
    queries: NDArray[np.float32],
    database: NDArray[np.float32],
    query_labels: NDArray[np.bool_],
    database_labels: NDArray[np.bool_],
) -> float:
    """mAP@all of real-valued outputs ranked by cosine, equal ones by row.

    Args:
        queries: `[Q, D]`.
        database: `[N, D]`.
        query_labels: `[Q, C]`; relevant means a shared class.
        database_labels: `[N, C]`.

    Returns:
        The mean over all queries; one without relevant rows counts 0.
    """
    unit = [
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (queries, database)
    ]
    positions = np.arange(1, len(database) + 1)
    total = 0.0
    for start in range(0, len(queries), _ROWS):
        part = slice(start, start + _ROWS)
        order = np.argsort(-(unit[0][part] @ unit[1].T), axis=1, kind="stable")  # [Q, N]
        relevant = query_labels[part].astype(np.float32) @ database_labels.T.astype(np.float32) > 0
        hits = np.take_along_axis(relevant, order, axis=1)
        precision = np.cumsum(hits, axis=1) / positions
        total += float(((precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)).sum())
    return total / len(queries)
