"""What a demo found: plain values that the console and the page print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore.metrics import PrCurve
from hashcore.report.answers import Answer


@dataclass(frozen=True)
class Quality:
    """How well codes retrieve, in one direction, under one protocol."""

    map_tie_aware: float
    map_by_id: float
    precision_at_10: float
    ndcg_at_10: float
    curve: PrCurve


@dataclass(frozen=True)
class Direction:
    """One direction of search.

    Attributes:
        name: "text -> image" or "image -> text".
        chance: mAP@all of a random order.
        untrained: CCA with signs, `unseen` protocol.
        trained: the hasher, `unseen` protocol.
        encoded: the hasher, `encoded` protocol.
        precision_among_distractors: relevant share of the ten nearest of all codes.
        relevant: share of codes at each distance, relevant pairs, float64 [K + 1].
        irrelevant: the same, pairs that share no class.
        distractors: the same, distractor codes.
    """

    name: str
    chance: float
    untrained: Quality
    trained: Quality
    encoded: Quality
    precision_among_distractors: float
    relevant: NDArray[np.float64]
    irrelevant: NDArray[np.float64]
    distractors: NDArray[np.float64]


@dataclass(frozen=True)
class SearchCheck:
    """The engine beside the reference on the same queries.

    Attributes:
        codes: codes in the index.
        queries: queries of both directions together.
        k: hits of a query.
        engine_seconds: best of three.
        reference_seconds: one run.
        identical: every distance and every id agrees.
    """

    codes: int
    queries: int
    k: int
    engine_seconds: float
    reference_seconds: float
    identical: bool

    @property
    def ratio(self) -> float:
        """How many times faster the engine is."""
        return self.reference_seconds / max(self.engine_seconds, 1e-9)


@dataclass(frozen=True)
class DemoResult:
    """Everything that a demo found."""

    method: str
    bits: int
    seed: int
    quick: bool
    epochs: int
    data: str
    split_hash: str
    train_rows: int
    unseen_rows: int
    distractors: int
    directions: tuple[Direction, Direction]
    search: SearchCheck
    captions_answered: tuple[Answer, ...]
    images_answered: tuple[Answer, ...]
    seconds: dict[str, float]
    environment: dict[str, Any]

    def failures(self) -> list[str]:
        """Checks that do not hold, in words; none when all is well.

        A quick run trains too little for its quality to be checked.
        """
        failed = []
        if not self.search.identical:
            failed.append("the engine and the PyTorch reference gave different answers")
        for d in () if self.quick else self.directions:
            trained, untrained = d.trained.map_tie_aware, d.untrained.map_tie_aware
            if trained <= max(untrained, d.chance):
                failed.append(
                    f"{d.name}: mAP {trained:.3f} is not above CCA + sign {untrained:.3f} "
                    f"and chance {d.chance:.3f}"
                )
        return failed
