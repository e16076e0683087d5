"""The network of a hasher as a checkpoint records it: its kind and shape, without the weights."""

from __future__ import annotations

import dataclasses
from typing import Any

from hashcore.methods import METHODS, ClassCoded, LabelEncoder, Method, ProblemSpec
from hashcore.methods.backbones import architectures, restoring
from hashcore.methods.class_codes import below_heads
from hashcore.train import checkpoint
from hashcore.train.preprocess import spec_from_json


def record(network: Method) -> dict[str, Any]:
    """What `rebuild` needs beside the method's name and the kinds of the inputs, for JSON."""
    coded: dict[str, Any] | None = None
    if isinstance(network, ClassCoded):
        coded = {
            "members": len(network.members),
            "exclusive": network.encoder.exclusive,
            "weight": network.weight,
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
    return ClassCoded(members, encoder, coded["weight"])
