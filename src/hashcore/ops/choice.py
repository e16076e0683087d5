"""All training ops as one value, so that a training can be handed the fused ones or the plain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from hashcore.ops.pairwise_likelihood import (
    pairwise_likelihood_loss,
    pairwise_likelihood_loss_reference,
)
from hashcore.ops.relaxed_sign import (
    RelaxedSignTerms,
    relaxed_sign_terms,
    relaxed_sign_terms_reference,
)
from hashcore.ops.triplet_mining import triplet_mining_loss, triplet_mining_loss_reference

OpsName = Literal["fused", "reference"]


class Ops(NamedTuple):
    """The training ops, under their names."""

    triplet_mining_loss: Callable[..., Tensor]
    pairwise_likelihood_loss: Callable[..., Tensor]
    relaxed_sign_terms: Callable[..., RelaxedSignTerms]


OPS: dict[OpsName, Ops] = {
    "fused": Ops(triplet_mining_loss, pairwise_likelihood_loss, relaxed_sign_terms),
    "reference": Ops(
        triplet_mining_loss_reference,
        pairwise_likelihood_loss_reference,
        relaxed_sign_terms_reference,
    ),
}
