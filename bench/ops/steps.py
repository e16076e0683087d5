"""Batches to run steps over, steps, and whether two gave the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import hashcore
from bench.ops.contenders import Compute, Op
from bench.ops.peers import Batch
from bench.ops.workloads import Device, Step

_NOISE = 2.0
_LABELS_PER_ROW = 2
_LOSS_TOLERANCE = 1e-4


class AnswersDifferError(RuntimeError):
    """A peer computes something else."""


@dataclass(frozen=True)
class Answer:
    """What a step gave: a loss, or codes, and the gradients."""

    value: Tensor
    gradients: tuple[Tensor, ...]


def use_threads(threads: int) -> None:
    """On both sides."""
    torch.set_num_threads(threads)
    hashcore.set_num_threads(threads)


def draw(step: Step, device: Device) -> Batch:
    """Rows around the sum of the centres of their labels, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    classes = None
    if step.labels == "single":
        classes = torch.randint(step.classes, (step.batch,), generator=generator)
        labels = F.one_hot(classes, step.classes).bool()
        classes = classes.to(device)
    else:
        share = _LABELS_PER_ROW / step.classes
        labels = torch.rand(step.batch, step.classes, generator=generator) < share
    centres = labels.float() @ torch.randn(step.classes, step.bits, generator=generator)
    anchors, candidates = (
        centres + _NOISE * torch.randn(centres.shape, generator=generator) for _ in range(2)
    )
    return Batch(
        anchors.to(device).requires_grad_(),
        candidates.to(device).requires_grad_(),
        labels.to(device),
        classes,
    )


def run(op: Op, compute: Compute, batch: Batch) -> Answer:
    """One forward and backward pass."""
    value = compute(batch)
    inputs = (batch.anchors, batch.candidates)[: op.inputs]
    return Answer(value.detach(), torch.autograd.grad(value, inputs) if inputs else ())


def check_same(ours: Answer, theirs: Answer, tolerance: float) -> None:
    """Refuse to compare what is not the same.

    Args:
        tolerance: of gradients, relative to the norm of ours.

    Raises:
        AnswersDifferError: codes that are not equal, or losses or gradients that are not close, or
            nothing to compare: no triplet, no bit.
    """
    if not ours.value.any():
        raise AnswersDifferError(f"expected anything but zero; hashcore gives {ours.value}")
    if not ours.value.is_floating_point():
        if not torch.equal(ours.value, theirs.value):
            raise AnswersDifferError("expected the same codes")
        return
    if not torch.isclose(ours.value, theirs.value.to(ours.value), rtol=_LOSS_TOLERANCE, atol=0):
        raise AnswersDifferError(
            f"expected the loss {float(ours.value):.6g}; got {float(theirs.value):.6g}"
        )
    for a, b in zip(ours.gradients, theirs.gradients, strict=True):
        apart = float((a - b).norm() / a.norm())
        if not apart <= tolerance:
            raise AnswersDifferError(
                f"expected gradients within {tolerance:g} of their norm; got {apart:.2g}"
            )
