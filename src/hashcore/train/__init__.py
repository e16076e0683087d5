"""Training: from a data set to a `Hasher`, resumable and reproducible."""

from __future__ import annotations

from hashcore.train.config import TrainConfig
from hashcore.train.evaluate import evaluate_hasher
from hashcore.train.fit import fit
from hashcore.train.hasher import Hasher

__all__ = ["Hasher", "TrainConfig", "evaluate_hasher", "fit"]
