"""Real data: the floor that the defaults of every method keep, with nothing chosen on queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashcore.data import load
from hashcore.train import TrainConfig, evaluate_hasher, fit


@pytest.mark.parametrize("method", ["dth", "drhc"])
def test_wikipedia_floor(method: str, shared_data: Path) -> None:
    data = load("wikipedia", shared_data / "wikiData.mat")
    train = TrainConfig(validation=0.0, selection="last", progress=False)
    report = evaluate_hasher(fit(data, method, 64, train=train), data, ["encoded"])["encoded"]
    assert report["image_to_text"].map_tie_aware >= 0.26
    assert report["text_to_image"].map_tie_aware >= 0.66
