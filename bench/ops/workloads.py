"""What is measured of the training ops, on which batches, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from bench.workloads import Target, Workload

Device = Literal["cpu", "cuda"]
Labels = Literal["single", "multi"]

HASHCORE = "hashcore"

ALL = "Batch-all triplets"
HARD = "Batch-hard triplets"
SEMI_HARD = "Semi-hard triplets"
RELAXED = "Relaxation of the sign, all terms"
RELAXED_TANH = "Relaxation of the sign, all terms, tanh"
LIKELIHOOD = "Likelihood of pairs"
PACKING = "Packing"

REFERENCE = "reference"
CUBIC = "cubic in chunks"
SORTED = "sorted"
EAGER = "eager"
MINED_FIRST = "mined first"
COMPILED = "torch.compile"
GRAPHED = "torch.compile, CUDA graphs"
METRIC_LEARNING = "pytorch-metric-learning"
NUMPY = "NumPy packbits"

COPY = "copy bandwidth"
MEMORY_LIMIT = 64_000_000
MEMORY = "64 MB over peak memory"
"""A measure of hashcore alone: at least 1 where its peak is at most the limit."""


@dataclass(frozen=True, kw_only=True)
class Step(Workload):
    """One forward and backward pass over a batch of both modalities.

    Attributes:
        batch: rows of each modality, B.
        bits: values of a row, K.
        classes: C.
        labels: of a row: one, or any number.
        peers: contenders beside hashcore.
        devices: where it is measured.
        cuda_targets: in place of `targets` there.
    """

    batch: int
    peers: tuple[str, ...]
    bits: int = 64
    classes: int = 24
    labels: Labels = "single"
    rounds: int = 15
    devices: tuple[Device, ...] = ("cpu", "cuda")
    cuda_targets: tuple[Target, ...] = ()

    @property
    def name(self) -> str:
        kind = "classes" if self.labels == "single" else "labels"
        labels = f", {self.classes} {kind}" if self.table in LABELLED else ""
        return f"B = {self.batch:,}, K = {self.bits:,}{labels}"

    def shape(self) -> dict[str, Any]:
        """What makes the batch, and its table."""
        names = ("table", "batch", "bits", "classes", "labels")
        return {name: getattr(self, name) for name in names}

    def small(self) -> Self:
        return replace(super().small(), batch=min(self.batch, 128), cuda_targets=())


LABELLED = (ALL, HARD, SEMI_HARD, LIKELIHOOD)


def _variations(table: str, *peers: str) -> list[Step]:
    """Other widths and labels than the base's, at B = 1,024."""
    base = Step(table=table, batch=1024, peers=peers)
    others = [replace(base, bits=bits) for bits in (16, 256, 1024)]
    if table in LABELLED:
        others += [replace(base, classes=classes) for classes in (10, 300)]
        others += [replace(base, classes=classes, labels="multi") for classes in (24, 300)]
    return others


BATCH_ALL = [
    Step(table=ALL, batch=128, peers=(REFERENCE, CUBIC, SORTED, METRIC_LEARNING)),
    Step(  # at 1,024 the reference takes 21 GiB
        table=ALL,
        batch=512,
        peers=(REFERENCE, CUBIC, SORTED, METRIC_LEARNING),
        targets=(Target(REFERENCE, 100),),
    ),
    Step(
        table=ALL,
        batch=1024,
        peers=(REFERENCE, CUBIC, SORTED, METRIC_LEARNING),
        targets=(Target(REFERENCE, 100), Target(SORTED, 5), Target(METRIC_LEARNING, 20)),
    ),
    Step(
        table=ALL,
        batch=4096,
        peers=(REFERENCE, SORTED, METRIC_LEARNING),
        cuda_targets=(Target(SORTED, 10),),
    ),
    Step(table=ALL, batch=8192, peers=(SORTED,), targets=(Target(MEMORY, 1),)),
    Step(table=ALL, batch=16_384, peers=(SORTED,)),
    *_variations(ALL, SORTED),
]
BATCH_HARD = [
    Step(
        table=HARD,
        batch=batch,
        peers=(EAGER, MINED_FIRST, COMPILED, METRIC_LEARNING),
        targets=(Target(EAGER, 3),) if batch >= 1024 else (),
    )
    for batch in (128, 1024, 4096, 16_384)
] + [
    Step(
        table=HARD,
        batch=16_384,
        bits=128,
        peers=(EAGER, MINED_FIRST, COMPILED),
        devices=("cuda",),
        cuda_targets=(Target(COMPILED, 3),),
    ),
    *_variations(HARD, EAGER, MINED_FIRST),
]
SEMI_HARDS = [
    Step(table=SEMI_HARD, batch=128, peers=(CUBIC, SORTED)),
    Step(
        table=SEMI_HARD,
        batch=1024,
        peers=(CUBIC, SORTED, COMPILED),
        targets=(Target(CUBIC, 5), Target(SORTED, 5)),
    ),
    Step(table=SEMI_HARD, batch=4096, peers=(SORTED,), targets=(Target(SORTED, 5),)),
    Step(table=SEMI_HARD, batch=16_384, peers=()),  # to sort takes minutes on a CPU
    *_variations(SEMI_HARD, SORTED),
]


def _relaxations(table: str) -> list[Step]:
    over_batches = [
        Step(
            table=table,
            batch=batch,
            peers=(EAGER, COMPILED, GRAPHED),
            targets=(Target(EAGER, 3), Target(COMPILED, 1)) if batch >= 1024 else (),
            cuda_targets=(Target(EAGER, 5),) if batch < 1000 else (),
        )
        for batch in (128, 1024, 4096, 16_384)
    ]
    return over_batches + _variations(table, EAGER)


RELAXATIONS = _relaxations(RELAXED) + _relaxations(RELAXED_TANH)
LIKELIHOODS = [
    Step(table=LIKELIHOOD, batch=batch, labels="multi", peers=(EAGER, COMPILED))
    for batch in (128, 1024, 4096, 16_384)
] + [
    step for step in _variations(LIKELIHOOD, EAGER) if (step.labels, step.classes) != ("multi", 24)
]
PACKED = [
    Step(
        table=PACKING,
        batch=batch,
        peers=(EAGER, COMPILED, NUMPY),
        targets=(Target(EAGER, 5),) if batch >= 1024 else (),
    )
    for batch in (128, 1024, 4096, 16_384)
] + [
    Step(
        table=PACKING,
        batch=262_144,
        bits=1024,
        peers=(EAGER, COMPILED),
        devices=("cuda",),
        cuda_targets=(Target(COPY, 0.9),),
    ),
    *_variations(PACKING, EAGER, NUMPY),
]
STEPS = BATCH_ALL + BATCH_HARD + SEMI_HARDS + RELAXATIONS + LIKELIHOODS + PACKED


def steps_on(device: Device, *, quick: bool = False) -> list[Step]:
    """What is measured on a device, with the targets that hold there."""
    here = [step for step in STEPS if device in step.devices]
    if device == "cuda":
        here = [replace(step, targets=step.cuda_targets) for step in here]
    else:
        here = [
            replace(step, peers=tuple(peer for peer in step.peers if peer != GRAPHED))
            for step in here
        ]
    return _small(here) if quick else here


def _small(steps: list[Step]) -> list[Step]:
    """Each small; those that are the same then become one, with the peers of all."""
    found: dict[str, Step] = {}
    for step in (step.small() for step in steps):
        same = found.setdefault(f"{step.table}: {step.name}", step)
        peers = tuple(dict.fromkeys(same.peers + step.peers))
        found[f"{step.table}: {step.name}"] = replace(same, peers=peers)
    return list(found.values())
