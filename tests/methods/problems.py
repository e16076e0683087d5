"""Small problems that every method is built for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hashcore.methods import METHODS, Batch, BranchConfig, InputSpec, Method, ProblemSpec

B, C, K = 12, 5, 10
SMALL = BranchConfig(
    hidden=(24, 16), pixel_channels=(4, 8), token_embedding=6, token_filters=5, dropout=0.1
)
FEATURES = ProblemSpec(InputSpec("features", (9,)), InputSpec("features", (7,)), C, K)
SCENES = ProblemSpec(InputSpec("pixels", (3, 8, 8)), InputSpec("tokens", (6,), 11), C, K)


def small(name: str, changes: Mapping[str, Any], spec: ProblemSpec) -> Method:
    """A method with small branches and some fields of its configuration changed."""
    torch.manual_seed(0)
    entry = METHODS[name]
    return entry.method(entry.config(branch=SMALL, **changes), spec)


def batch(spec: ProblemSpec, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)

    def rows(spec: InputSpec) -> Tensor:
        if spec.kind == "tokens":
            return torch.randint(0, spec.vocabulary, (B, *spec.shape), generator=draw)
        return torch.randn((B, *spec.shape), generator=draw)

    labels = torch.rand((B, C), generator=draw) < 0.4
    return Batch(rows(spec.image), rows(spec.text), labels, torch.arange(B))


def begin(method: Method, data: Batch, epoch: int = 0) -> None:
    method.begin_fit(B)
    with torch.no_grad():
        both = method.encode_image(data.image), method.encode_text(data.text)
    method.begin_epoch(epoch, 4, lambda: both)
