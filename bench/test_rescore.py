"""Scoring shortlists against the vectors behind their codes."""

from __future__ import annotations

import numpy as np
import pytest

import hashcore
from bench.contest import Contender, Contest
from bench.workloads import NUMPY_GATHER, PYTORCH_GATHER, RESCORED, Rescore, Sized

K = 10


@pytest.mark.parametrize("workload", RESCORED, ids=lambda workload: workload.name)
def test_rescore(workload: Rescore, contest: Contest, sized: Sized) -> None:
    import torch

    workload = sized(workload)
    rng = np.random.default_rng(6)
    shape = (workload.vectors, workload.dims)
    vectors = (
        rng.integers(-128, 128, shape, np.int8)
        if workload.dtype == "int8"
        else rng.standard_normal(shape, np.float32)
    )
    queries = vectors[: workload.queries].copy()
    width = min(workload.shortlist, workload.vectors)
    ids = np.stack([rng.permutation(workload.vectors)[:width] for _ in queries])
    shortlist = hashcore.SearchResult(np.zeros_like(ids, np.int32), ids, np.full(len(ids), width))
    tensor, asked = torch.from_numpy(vectors), torch.from_numpy(queries)

    def by_numpy() -> list[np.ndarray]:
        found = []
        for query, row in zip(queries, ids, strict=True):
            scores = vectors[row].astype(np.float32) @ query.astype(np.float32)
            best = np.argpartition(-scores, K)[:K]
            found.append(row[best[np.argsort(-scores[best])]])
        return found

    def by_torch() -> list[torch.Tensor]:
        found = []
        for query, row in zip(asked, torch.from_numpy(ids), strict=True):
            scores = tensor[row].float() @ query.float()
            found.append(row[scores.topk(K).indices])
        return found

    ours = hashcore.rescore(queries, shortlist, vectors, K)[1]
    np.testing.assert_array_equal(ours, np.stack(by_numpy()))
    np.testing.assert_array_equal(ours, torch.stack(by_torch()).numpy())
    work = float(ids.size)
    contest(
        workload,
        "pairs",
        Contender(lambda: hashcore.rescore(queries, shortlist, vectors, K), work),
        {NUMPY_GATHER: Contender(by_numpy, work), PYTORCH_GATHER: Contender(by_torch, work)},
    )
