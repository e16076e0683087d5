r"""Our reading of MIDRM, "multilabel information deep ranking model".

A real-valued method: it ranks by cosine. The source states [S]: a network with two branches; a
common subspace; a triplet loss that uses multilabel semantics; the similarity of similar pairs and
the distance of dissimilar ones. The rest comes from a published relative [F: DADH] and from our
choices [R], each a field of `MIDRMConfig`.

With f, g the image and text embeddings, `[B, D]` with rows of length 1, d(a, b) = 1 - cos(a, b)
and r_ij the number of labels that rows i and j share:

    triplets    mean over active of w_apn [m + d(f_a, g_p) - d(f_a, g_n)]_+ for r_ap > r_an,
                I->T and T->I, w_apn = (2^r_ap - 2^r_an) / Z_a the NDCG weight       [F: DADH]
                over its mean in the batch                                           [R]
    pairs       mean_{r>0} d(f_i, g_j) + mean_{r=0} [m' - d(f_i, g_j)]_+             [R]

Codes [R] are the signs of the embedding about its training mean.

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): pairs .009/.006 of
the mAP `unseen` and .010/.008 `encoded`; multilabel semantics nothing, for its rows have one label
each. The triplets cost .024/.022 `unseen` and .007/.008 `encoded` there.

On IAPR TC-12: the triplets bring .007/.028 `unseen` and .012/.191 `encoded`, the pairs .009/.006
and .010/.011; multilabel semantics .002/.003 `unseen`, while they cost .010 of T->I `encoded`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.base import Batch, Components, LossTerms, Method, ProblemSpec, Term
from hashcore.methods.branches import BranchConfig, build_branch, output_layers
from hashcore.methods.losses import bidirectional_ranking, cosine_distance, pair_loss
from hashcore.methods.relevance import shared_labels


@dataclass(frozen=True)
class MIDRMConfig:
    """Choices of our reading of MIDRM; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=BranchConfig)
    """Networks of the two modalities."""
    common: int | None = None
    """Width D of the common subspace. None: as many axes as the code has bits, so that bit k is
    the sign of axis k. A number: bit k is the sign along one of K fixed directions in it, drawn at
    random, orthonormal while K <= D."""
    normalise: bool = False
    """Standardise every axis over the batch before rows are scaled to length 1."""
    ranking: float = 1.0
    """Weight of the triplets."""
    graded: bool = True
    """Use how many labels rows share; off: whether they share any."""
    mining: Literal["all", "hardest"] = "all"
    """Triplets of a batch: all valid ones, or the hardest of each anchor."""
    margin: float = 0.2
    """Triplet margin m, in cosine distance."""
    pair: float = 0.1
    """Weight of the pairs."""
    pair_margin: float = 0.5
    """Distance m' beyond which dissimilar pairs are left alone."""


class MIDRM(Method):
    """Two branches and a linear layer each into the common subspace; ranking and pair terms."""

    config: MIDRMConfig
    binarisation: ClassVar[Literal["zero", "mean"]] = "mean"
    components: ClassVar[Components] = {
        "triplets": {"ranking": 0.0},
        "multilabel semantics": {"graded": False},
        "pairs": {"pair": 0.0},
    }
    directions: Tensor | None

    def __init__(self, config: MIDRMConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        width = spec.bits if config.common is None else config.common
        self.image_branch = build_branch(spec.image, config.branch)
        self.text_branch = build_branch(spec.text, config.branch)
        self.image_head = output_layers(self.image_branch.width, width, normalise=config.normalise)
        self.text_head = output_layers(self.text_branch.width, width, normalise=config.normalise)
        along_axes = config.common is None
        drawn = None if along_axes else nn.init.orthogonal_(torch.empty(width, spec.bits))
        self.register_buffer("directions", drawn)  # [D, K]

    def embed_image(self, image: Tensor) -> Tensor:
        """f, `[B, D]`."""
        return F.normalize(self.image_head(self.image_branch(image)).float())

    def embed_text(self, text: Tensor) -> Tensor:
        """g, `[B, D]`."""
        return F.normalize(self.text_head(self.text_branch(text)).float())

    def encode_image(self, image: Tensor) -> Tensor:
        """Component of f along the direction of each bit, `[B, K]`."""
        return self._project(self.embed_image(image))

    def encode_text(self, text: Tensor) -> Tensor:
        """Component of g along the direction of each bit, `[B, K]`."""
        return self._project(self.embed_text(text))

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Graded ranking and pairs."""
        image = self.gather(self.embed_image(batch.image))  # [B, D]
        text = self.gather(self.embed_text(batch.text))
        with torch.autocast(image.device.type, enabled=False):
            return self._terms(image, text, batch)

    def _terms(self, image: Tensor, text: Tensor, batch: Batch) -> LossTerms:
        config = self.config
        relevance = shared_labels(batch.labels, batch.labels)  # [B, B]
        distance = cosine_distance(image, text)  # [B, B]
        ranking = bidirectional_ranking(
            self.ops,
            image,
            text,
            batch.labels,
            config.margin,
            graded=config.graded,
            hardest=config.mining == "hardest",
        )
        pairs = pair_loss(distance, relevance > 0, config.pair_margin)
        return LossTerms(
            {"ranking": Term(config.ranking, ranking), "pair": Term(config.pair, pairs)}
        )

    def _project(self, embedding: Tensor) -> Tensor:
        return embedding if self.directions is None else embedding @ self.directions
