from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from hashcore.data import CrossModalDataset
from train.synthetic import make_features, make_scenes


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from threads, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def features() -> CrossModalDataset:
    return make_features()


@pytest.fixture
def scenes() -> CrossModalDataset:
    return make_scenes()
