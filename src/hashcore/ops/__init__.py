"""Training ops that are fused where there is a kernel, each with its reference in plain PyTorch."""

from hashcore.ops.choice import OPS, Ops, OpsName
from hashcore.ops.packing import pack_sign, pack_sign_reference
from hashcore.ops.pairwise_likelihood import (
    pairwise_likelihood_loss,
    pairwise_likelihood_loss_reference,
)
from hashcore.ops.relaxed_sign import (
    RelaxedSignTerms,
    decorrelation,
    relaxed_sign_loss,
    relaxed_sign_loss_reference,
    relaxed_sign_terms,
    relaxed_sign_terms_reference,
)
from hashcore.ops.triplet_mining import triplet_mining_loss, triplet_mining_loss_reference

__all__ = [
    "OPS",
    "Ops",
    "OpsName",
    "RelaxedSignTerms",
    "decorrelation",
    "pack_sign",
    "pack_sign_reference",
    "pairwise_likelihood_loss",
    "pairwise_likelihood_loss_reference",
    "relaxed_sign_loss",
    "relaxed_sign_loss_reference",
    "relaxed_sign_terms",
    "relaxed_sign_terms_reference",
    "triplet_mining_loss",
    "triplet_mining_loss_reference",
]
