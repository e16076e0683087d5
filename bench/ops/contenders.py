"""Hashcore and its peers in each table, and what a peer needs to take part."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from bench.ops import peers
from bench.ops.peers import MARGIN, Batch
from bench.ops.workloads import (
    ALL,
    COMPILED,
    CUBIC,
    EAGER,
    GRAPHED,
    HARD,
    LIKELIHOOD,
    METRIC_LEARNING,
    MINED_FIRST,
    NUMPY,
    PACKING,
    REFERENCE,
    RELAXED,
    RELAXED_TANH,
    SEMI_HARD,
    SORTED,
    Device,
    Step,
)
from hashcore import ops
from hashcore.ops.triplet_mining import Mining

Compute = Callable[[Batch], Tensor]
Bytes = Callable[[Step], float]
Mode = Literal["", "default", "reduce-overhead"]


@dataclass(frozen=True)
class Peer:
    """Another way to compute an op.

    Attributes:
        make: its function, of a package that may be absent.
        needs: bytes of memory at its peak, as measured on small batches.
        mode: of `torch.compile`; empty: not compiled.
        package: that has to be installed.
    """

    make: Callable[[], Compute]
    needs: Bytes
    mode: Mode = ""
    package: str = "torch"

    def absence(self, step: Step, device: Device, room: float) -> str:
        """Why it cannot take part within this many bytes; nothing where it can."""
        if find_spec(self.package) is None:
            return "not installed"
        if self.mode and device == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
            return "no C++ compiler"
        if self.needs(step) > room:
            return f"does not fit: {self.needs(step) / 2**30:,.0f} GiB"
        return ""

    def prepare(self) -> Compute:
        """Its function, which `torch.compile` compiles for one shape when it is first called."""
        compute = self.make()
        if not self.mode:
            return compute
        compiled: Compute = torch.compile(compute, fullgraph=True, dynamic=False, mode=self.mode)
        if self.mode == "default":
            return compiled

        def next_step(batch: Batch) -> Tensor:
            # The results of the last step may be written over.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            return compiled(batch)

        return next_step


@dataclass(frozen=True)
class Op:
    """What a table compares.

    Attributes:
        inputs: that are differentiated by: both modalities, the anchors, or none, where the result
            is codes.
        tolerance: of gradients, relative to their norm. Distances of which only the last bit
            differs may be mined in either order, which moves a whole row.
    """

    ours: Compute
    inputs: int
    peers: Mapping[str, Peer]
    tolerance: float = 1e-3


def _of(compute: Compute, needs: Bytes, mode: Mode = "") -> Peer:
    return Peer(lambda: compute, needs, mode)


def _pairs(count: float) -> Bytes:
    """So many bytes for each pair of rows."""
    return lambda step: count * step.batch**2


def _values(count: float) -> Bytes:
    """So many bytes for each value of the anchors."""
    return lambda step: count * step.batch * step.bits


def _triplets(mining: Mining) -> Compute:
    def compute(batch: Batch) -> Tensor:
        a, c, labels, _ = batch
        return ops.triplet_mining_loss(a, c, labels, labels, margin=MARGIN, mining=mining)

    return compute


def _triplets_reference(batch: Batch) -> Tensor:
    a, c, labels, _ = batch
    return ops.triplet_mining_loss_reference(a, c, labels, labels, margin=MARGIN)


def _metric_learning(mining: Literal["all", "hard"], needs: Bytes) -> Peer:
    make = partial(peers.MetricLearning, mining)
    return Peer(make, needs, package="pytorch_metric_learning")


def _mined_by_metric_learning(step: Step) -> float:
    """Bytes of its triplets; up to 2^31 that it asks about, it marks each of them first."""
    asked = step.batch**3
    return 56 * asked / step.classes + (asked if asked < 2**31 else 0)


def _likelihood(batch: Batch) -> Tensor:
    a, c, labels, _ = batch
    return ops.pairwise_likelihood_loss(a, c, labels, labels)


def _likelihood_reference(batch: Batch) -> Tensor:
    a, c, labels, _ = batch
    return ops.pairwise_likelihood_loss_reference(a, c, labels, labels)


def _relaxation(loss: Callable[..., Tensor], beta: float | None) -> Compute:
    def compute(batch: Batch) -> Tensor:
        return loss(
            batch.anchors,
            beta=beta,
            excess_weight=1.0,
            quantisation_weight=1.0,
            balance_weight=1.0,
            decorrelation_weight=1.0,
        )

    return compute


def _relaxations(beta: float | None) -> Op:
    plain = _relaxation(ops.relaxed_sign_loss_reference, beta)
    return Op(
        ours=_relaxation(ops.relaxed_sign_loss, beta),
        inputs=1,
        peers={
            EAGER: _of(plain, _values(64)),
            COMPILED: _of(plain, _values(64), "default"),
            GRAPHED: _of(plain, _values(64), "reduce-overhead"),
        },
    )


def _pack(batch: Batch) -> Tensor:
    return ops.pack_sign(batch.anchors.detach())


def _pack_reference(batch: Batch) -> Tensor:
    return ops.pack_sign_reference(batch.anchors.detach())


OPS = {
    ALL: Op(
        ours=_triplets("all"),
        inputs=2,
        peers={
            REFERENCE: _of(_triplets_reference, lambda step: 21 * step.batch**3),
            CUBIC: _of(peers.cubic_all, _pairs(30)),
            SORTED: _of(peers.sorted_all, _pairs(42)),
            METRIC_LEARNING: _metric_learning("all", _mined_by_metric_learning),
        },
    ),
    HARD: Op(
        ours=_triplets("hard"),
        inputs=2,
        peers={
            EAGER: _of(peers.eager_hard, _pairs(14)),
            MINED_FIRST: _of(peers.mined_first_hard, _pairs(11)),
            COMPILED: _of(peers.eager_hard, _pairs(14), "default"),
            METRIC_LEARNING: _metric_learning("hard", _pairs(30)),
        },
        tolerance=0.05,
    ),
    SEMI_HARD: Op(
        ours=_triplets("semi_hard"),
        inputs=2,
        peers={
            CUBIC: _of(peers.cubic_semi_hard, _pairs(55)),
            SORTED: _of(peers.sorted_semi_hard, _pairs(52)),
            COMPILED: _of(peers.sorted_semi_hard, _pairs(52), "default"),
        },
        tolerance=0.05,
    ),
    RELAXED: _relaxations(None),
    RELAXED_TANH: _relaxations(1.0),
    LIKELIHOOD: Op(
        ours=_likelihood,
        inputs=2,
        peers={
            EAGER: _of(_likelihood_reference, _pairs(26)),
            COMPILED: _of(_likelihood_reference, _pairs(26), "default"),
        },
    ),
    PACKING: Op(
        ours=_pack,
        inputs=0,
        peers={
            EAGER: _of(_pack_reference, _values(10)),
            COMPILED: _of(_pack_reference, _values(10), "default"),
            NUMPY: _of(peers.numpy_packed, _values(2)),
        },
    ),
}
