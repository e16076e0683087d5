"""Ranking metrics beside the loop of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hashcore
import hashcore.metrics
from bench.contest import Contender, Contest
from bench.inputs import random_codes
from bench.peers import torch_mean_average_precision
from bench.workloads import EVALUATED, PYTORCH_LOOP, Evaluate, Sized


@pytest.mark.parametrize("workload", EVALUATED, ids=lambda workload: workload.name)
def test_ranking_metrics(workload: Evaluate, contest: Contest, sized: Sized) -> None:
    import torch

    workload = sized(workload)
    rng = np.random.default_rng(5)
    sides = (workload.queries, workload.codes)
    codes = [random_codes(seed, count, workload.bits) for seed, count in enumerate(sides)]
    labels = [rng.random((count, workload.classes)) < 0.1 for count in sides]
    signs = [
        torch.from_numpy(hashcore.unpack(side, workload.bits, signed=True)).float()
        for side in codes
    ]
    multi_hot = [torch.from_numpy(side).float() for side in labels]
    asked: dict[str, Any] = {}
    if not workload.every_metric:
        asked = {"topn": (), "ndcg_at": (), "map_at": ()}
    report = hashcore.metrics.evaluate(*codes, *labels, **asked)
    by_loop = torch_mean_average_precision(*signs, *multi_hot)
    assert report.map_by_id == pytest.approx(by_loop, rel=1e-5)
    pairs = workload.queries * workload.codes
    contest(
        workload,
        "pairs",
        Contender(lambda: hashcore.metrics.evaluate(*codes, *labels, **asked), pairs),
        {PYTORCH_LOOP: Contender(lambda: torch_mean_average_precision(*signs, *multi_hot), pairs)},
    )
