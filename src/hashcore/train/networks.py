"""The network of a hasher: made for a training, recorded without its weights, rebuilt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashcore.methods import (
    METHODS,
    ClassCoded,
    InputSpec,
    LabelEncoder,
    Method,
    Modality,
    ProblemSpec,
)
from hashcore.methods.backbones import architectures, restoring
from hashcore.methods.class_codes import Kernels, below_heads
from hashcore.methods.kernel_classes import MOST_ROWS, KernelClassifier
from hashcore.train import checkpoint
from hashcore.train.config import TrainConfig
from hashcore.train.preprocess import spec_from_json

Prepared = Callable[[Modality, NDArray[np.int64]], Tensor]
"""A modality's rows at positions among those to fit on, as the branches read them."""


def make(
    method: str,
    config: Any,
    spec: ProblemSpec,
    *,
    train: TrainConfig,
    labels: NDArray[np.bool_],
    prepared: Prepared,
) -> Method:
    """An untrained network, with what is fitted before the training.

    Args:
        method: name in `METHODS`.
        config: of the method.
        spec: the problem.
        train: how the training runs.
        labels: bool `[N, C]` of the rows to fit on.
        prepared: gives rows to fit on.
    """
    entry = METHODS[method]
    if train.codes == "outputs":
        return entry.method(config, spec)
    truth = torch.from_numpy(labels)
    # Made first: networks apart have as many members as they like, and the same codes.
    encoder = LabelEncoder.fit(truth, spec.bits, train.seed)
    members = [entry.method(config, below_heads(spec)) for _ in range(train.ensemble)]
    kernels = _kernels(train, spec, encoder, truth, prepared)
    return ClassCoded(members, encoder, train.class_weight, kernels)


def record(network: Method) -> dict[str, Any]:
    """What `rebuild` needs beside the method's name and the kinds of the inputs, for JSON."""
    coded: dict[str, Any] | None = None
    if isinstance(network, ClassCoded):
        coded = {
            "members": len(network.members),
            "exclusive": network.encoder.exclusive,
            "weight": network.weight,
            "kernels": _recorded(network.kernels),
        }
    return {
        "bits": network.spec.bits,
        "classes": network.spec.classes,
        "config": dataclasses.asdict(network.config),
        "classes_coded": coded,
        "backbones": architectures(network),
    }


def rebuild(meta: dict[str, Any]) -> Method:
    """The network that a checkpoint's meta data tells of, with fresh weights."""
    entry = METHODS[meta["method"]]
    image, text = (spec_from_json(meta["inputs"][m]) for m in ("image", "text"))
    spec = ProblemSpec(image, text, meta["classes"], meta["bits"])
    coded = meta["classes_coded"]
    config = checkpoint.from_json(entry.config, meta["config"])
    with restoring(meta.get("backbones", {})):
        if coded is None:
            return entry.method(config, spec)
        members = [entry.method(config, below_heads(spec)) for _ in range(coded["members"])]
    encoder = LabelEncoder(spec.classes, spec.bits, exclusive=coded["exclusive"])
    kernels = _rebuilt(coded.get("kernels"), spec, exclusive=coded["exclusive"])
    return ClassCoded(members, encoder, coded["weight"], kernels)


def _kernels(
    train: TrainConfig, spec: ProblemSpec, encoder: LabelEncoder, labels: Tensor, prepared: Prepared
) -> Kernels | None:
    if train.kernel == 0:
        return None
    some = np.arange(len(labels))
    if len(labels) > MOST_ROWS:
        drawn = np.random.default_rng(train.seed).permutation(len(labels))
        some = np.sort(drawn[:MOST_ROWS])

    def fitted(modality: Modality, side: InputSpec) -> KernelClassifier:
        if side.kind != "features":
            raise ValueError(f"kernel: expected features; {modality} has {side.kind}: use kernel 0")
        return KernelClassifier.fit(
            prepared(modality, some),
            labels[some],
            steepness=train.kernel_steepness,
            ridge=train.kernel_ridge,
            exclusive=encoder.exclusive,
        )

    return Kernels(fitted("image", spec.image), fitted("text", spec.text), train.kernel)


def _recorded(kernels: Kernels | None) -> dict[str, Any] | None:
    if kernels is None:
        return None
    return {"share": kernels.share, "rows": len(kernels.image.rows)}


def _rebuilt(meta: dict[str, Any] | None, spec: ProblemSpec, *, exclusive: bool) -> Kernels | None:
    if meta is None:
        return None
    image, text = (
        KernelClassifier(meta["rows"], side.shape[0], spec.classes, exclusive=exclusive)
        for side in (spec.image, spec.text)
    )
    return Kernels(image, text, meta["share"])
