"""What a comparison says of each training run: settings, metrics, curves, codes and answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore
from hashcore.data import CrossModalDataset
from hashcore.metrics import Report
from hashcore.plot.codes import shares_by_relevance
from hashcore.report.answers import Answer, find
from hashcore.train import Hasher
from hashcore.train.evaluate import (
    Direction,
    ProtocolCodes,
    ProtocolName,
    codes_under,
    evaluate_codes,
)

Codes = NDArray[np.uint8]
Step = Callable[[], None]
ByEpoch = dict[int, dict[str, float]]

PROTOCOLS: tuple[ProtocolName, ...] = ("unseen", "encoded", "labelled")
DIRECTIONS: dict[Direction, str] = {
    "text_to_image": "text \u2192 image",
    "image_to_text": "image \u2192 text",
}
STEPS = 6
"""How often `measure` calls back."""

_CUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_NDCG_AT = (10, 100)
_TIMED_QUERIES = 256
_TIMED_K = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_TIMED_BEST_OF = 5
_MAPPED_ROWS = 300
_ANSWERS, _HITS = 6, 8
# Where things are kept and whether they are shown makes no other hasher.
_NO_SETTING = {"checkpoint_dir", "resume", "progress"}


@dataclass(frozen=True)
class TrainedRun:
    """A run as it was opened.

    Attributes:
        name: what the page calls it.
        hasher: what was trained.
        dataset: what it was trained on.
        source: where the data came from: a name, and options of its loader.
        settings: of the trainer and the method, nested.
    """

    name: str
    hasher: Hasher
    dataset: CrossModalDataset
    source: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Timed:
    """Seconds a query and the share of relevant items among the first k, a point each k."""

    k: list[int]
    seconds: list[float]
    recall: list[float]


@dataclass(frozen=True)
class Findings:
    """All that the page says of a run.

    Attributes:
        run: the run itself.
        settings: by dotted name, in words.
        reports: of each protocol, in both directions.
        scores: of the validation, by epoch.
        losses: mean loss terms, by epoch.
        chosen: the epoch that validation chose; 0 for none.
        timed: searches of the encoded database, text -> image.
        shares: irrelevant and relevant codes by distance, unseen, by direction, `[K + 1, 2]`.
        codes: of the first unseen images, then of their texts, uint8 `[2 * n, B]`.
        labels: of those, bool `[2 * n, C]`.
        captions_answered: unseen texts and the unseen images that they found.
        images_answered: unseen images and the unseen texts that they found.
    """

    run: TrainedRun
    settings: dict[str, str]
    reports: dict[ProtocolName, dict[Direction, Report]]
    scores: ByEpoch
    losses: ByEpoch
    chosen: int
    timed: Timed
    shares: dict[Direction, NDArray[np.float64]]
    codes: Codes
    labels: NDArray[np.bool_]
    captions_answered: tuple[Answer, ...]
    images_answered: tuple[Answer, ...]


def measure(run: TrainedRun, step: Step = lambda: None) -> Findings:
    """Evaluate, time and search a run.

    Args:
        run: the run, whose data set has the split that it was trained on.
        step: called `STEPS` times.
    """
    hasher, dataset = run.hasher, run.dataset
    query, bits = dataset.split.query, hasher.bits
    least = min(query.size, dataset.split.database.size)
    options = {"topn": [n for n in _CUTS if n <= least], "ndcg_at": _NDCG_AT}
    codes: dict[ProtocolName, ProtocolCodes] = {}
    reports: dict[ProtocolName, dict[Direction, Report]] = {}
    for protocol in PROTOCOLS:
        codes[protocol] = codes_under(protocol, hasher, dataset)
        reports[protocol] = evaluate_codes(protocol, codes[protocol], dataset, bits=bits, **options)
        step()
    timed = _time(codes["encoded"], dataset, bits)
    step()
    (image, text), (database_image, database_text), _ = codes["unseen"]
    labels = dataset.labels[query]
    shares = {
        "text_to_image": shares_by_relevance(text, database_image, labels, labels, bits=bits),
        "image_to_text": shares_by_relevance(image, database_text, labels, labels, bits=bits),
    }
    step()
    shown = slice(0, _MAPPED_ROWS)
    findings = Findings(
        run=run,
        settings=_settings(run),
        reports=reports,
        scores=_by_epoch(hasher.info.get("scores", {})),
        losses=_by_epoch(hasher.info.get("losses", {})),
        chosen=int(hasher.info.get("chosen", 0)),
        timed=timed,
        shares=shares,  # type: ignore[arg-type]
        codes=np.concatenate([image[shown], text[shown]]),
        labels=np.concatenate([labels[shown], labels[shown]]),
        captions_answered=_answers(text, database_image, dataset, bits),
        images_answered=_answers(image, database_text, dataset, bits),
    )
    step()
    return findings


def _time(encoded: ProtocolCodes, dataset: CrossModalDataset, bits: int) -> Timed:
    """Texts search the encoded images for more and more hits, on one thread; best of five each."""
    (_, text), (image, _), rows = encoded
    asked = text[:_TIMED_QUERIES]
    labels = dataset.labels[dataset.split.query[:_TIMED_QUERIES]].astype(np.float32)
    relevant = labels @ dataset.labels[rows].T.astype(np.float32) > 0  # [Q, N]
    index = hashcore.Index.from_codes(np.ascontiguousarray(image), bits=bits)
    timed = Timed([], [], [])
    for k in [k for k in _TIMED_K if k < len(rows)] + [min(len(rows), 2 * _TIMED_K[-1])]:
        seconds = []
        for _ in range(_TIMED_BEST_OF):
            start = time.perf_counter()
            found = index.search(asked, k, threads=1)
            seconds.append(time.perf_counter() - start)
        hits = np.take_along_axis(relevant, found.ids, axis=1).sum()
        timed.k.append(k)
        timed.seconds.append(min(seconds) / len(asked))
        timed.recall.append(float(hits / max(int(relevant.sum()), 1)))
    return timed


def _answers(
    queries: Codes, database: Codes, dataset: CrossModalDataset, bits: int
) -> tuple[Answer, ...]:
    rows = dataset.split.query
    index = hashcore.Index(bits, "flat")
    index.add(database, rows)
    asked = rows[:_ANSWERS]
    return find(index, queries[: len(asked)], asked, dataset, hits=_HITS)


def _settings(run: TrainedRun) -> dict[str, str]:
    """Settings by dotted name: what is trained, on what, how."""
    data = {"name": run.source["name"], **run.source["options"]}
    settings = dict(run.settings)
    # Methods share option names, so that theirs stand in one row.
    options = settings.pop(run.hasher.method, {})
    head = {"method": run.hasher.method, "bits": run.hasher.bits, "data": data}
    return dict(_flat({**head, **settings, **options}, ""))


def _flat(nested: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif name not in _NO_SETTING:
            yield f"{prefix}{name}", _word(value)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_word, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_epoch(values: Mapping[Any, dict[str, float]]) -> ByEpoch:
    return {int(epoch): terms for epoch, terms in values.items()}  # of JSON, keys are strings
