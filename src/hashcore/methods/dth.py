r"""Our reading of DTH, "deep triplet-based hashing" for cross-modal retrieval.

The source states [S]: triplet labels supervise; a regularity term acts against the discontinuity
of codes; the code carries maximal information. No equation or code of it is public, so the form
comes from published relatives [F: DTSH, TDH, DCMH] and from our choices [R], each a field of
`DTHConfig`.

With F, G the image and text outputs, `[B, K]`, and theta_qp = F_q . G_p / 2:

    triplets    -mean[ Delta - ln(1 + e^Delta) ],  Delta = theta_qp - theta_qn - alpha
                inter: I->T and T->I; intra: I->I and T->T                           [F: DTSH, TDH]
    regularity  (|C - F|^2 + |C - G|^2) / BK,  C = sign(F + G) of every training row,
                refreshed at the start of each epoch                                 [F: DCMH]
    balance     (|F^T 1|^2 + |G^T 1|^2) / BK: every bit is 1 for half of the rows    [F: DCMH]

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): regularity .031/.022
of the mAP `unseen` and .034/.025 `encoded`; maximal information .004/.004 `unseen`; the intra-modal
triplets .004/.011 `encoded`, while they cost .003/.006 `unseen`.

On IAPR TC-12: regularity brings .014/.018 `unseen`; the intra-modal triplets .024 of T->I
`encoded`, while they cost .002/.005 `unseen`; maximal information costs .041/.011 `unseen` and
.040/.011 `encoded`, and brings .022 of T->I `labelled`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hashcore.methods.base import (
    Batch,
    Components,
    EmbedAll,
    LossTerms,
    Method,
    ProblemSpec,
    Term,
)
from hashcore.methods.branches import BranchConfig, build_branch, output_layers
from hashcore.methods.losses import joint_codes


@dataclass(frozen=True)
class DTHConfig:
    """Choices of our reading of DTH; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(
        default_factory=lambda: BranchConfig(hidden=(2048, 1024), dropout=0.1)
    )
    """Networks of the two modalities."""
    margin: float = 0.1
    """Triplet margin alpha as a fraction of the bits. With half of the bits, hardly any triplet is
    ever satisfied: the loss stays linear and all bits end up alike where rows have many labels."""
    graded: bool = False
    """Negatives share fewer labels than the positive; off: they share none."""
    intra: float = 1.0
    """Weight of the triplets inside one modality."""
    regularity: float = 4.0
    """Weight gamma of the distance to the codes."""
    balance: float = 1.0
    """Weight eta of the bit balance."""
    normalise: bool = True
    """Standardise every output over the batch, so that codes cannot collapse into one."""
    head: Literal["linear", "tanh"] = "linear"
    """Last layer: plain, or bounded to -1..1."""


class DTH(Method):
    """Two branches, a linear layer of K outputs each, triplet likelihood."""

    config: DTHConfig
    components: ClassVar[Components] = {
        "intra-modal triplets": {"intra": 0.0},
        "regularity": {"regularity": 0.0},
        "maximal information": {"balance": 0.0, "normalise": False},
    }

    def __init__(self, config: DTHConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.image_branch = build_branch(spec.image, config.branch)
        self.text_branch = build_branch(spec.text, config.branch)
        self.image_head = output_layers(
            self.image_branch.width, spec.bits, normalise=config.normalise
        )
        self.text_head = output_layers(
            self.text_branch.width, spec.bits, normalise=config.normalise
        )
        self.codes = torch.empty(0, spec.bits)

    def encode_image(self, image: Tensor) -> Tensor:
        """F, `[B, K]`."""
        return self._bound(self.image_head(self.image_branch(image)).float())

    def encode_text(self, text: Tensor) -> Tensor:
        """G, `[B, K]`."""
        return self._bound(self.text_head(self.text_branch(text)).float())

    def begin_epoch(self, epoch: int, epochs: int, embed_all: EmbedAll) -> None:
        """Refresh C = sign(F + G) over all training rows."""
        image, text = embed_all()  # [N, K]
        self.codes = joint_codes(image, text)

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Triplet likelihood inside and across the modalities, regularity, balance."""
        image = self.gather(self.encode_image(batch.image))  # [B, K]
        text = self.gather(self.encode_text(batch.text))
        with torch.autocast(image.device.type, enabled=False):
            return self._terms(image, text, batch)

    def _terms(self, image: Tensor, text: Tensor, batch: Batch) -> LossTerms:
        config = self.config
        labels = batch.labels
        inter = self._likelihood(image, text, labels) + self._likelihood(text, image, labels)
        terms = {"inter": Term(1.0, inter)}
        if config.intra:
            own = [self._likelihood(u, u, labels, exclude_self=True) for u in (image, text)]
            terms["intra"] = Term(config.intra, own[0] + own[1])
        codes = self.codes[batch.rows]  # [B, K]
        of_image, of_text = (self.ops.relaxed_sign_terms(u, codes) for u in (image, text))
        terms["regular"] = Term(config.regularity, of_image.quantisation + of_text.quantisation)
        terms["balance"] = Term(config.balance, of_image.balance + of_text.balance)
        return LossTerms(terms)

    def _likelihood(
        self, anchors: Tensor, candidates: Tensor, labels: Tensor, *, exclude_self: bool = False
    ) -> Tensor:
        """Negative mean log-likelihood of the triplet labels; 0 when there is no triplet.

        -[Delta - ln(1 + e^Delta)] is ln(1 + e^-Delta).
        """
        return self.ops.triplet_mining_loss(
            anchors / 2,
            candidates,
            labels,
            labels,
            margin=self.config.margin * self.spec.bits,
            similarity="inner",
            graded=self.config.graded,
            penalty="logistic",
            exclude_self=exclude_self,
        )

    def _bound(self, output: Tensor) -> Tensor:
        return torch.tanh(output) if self.config.head == "tanh" else output
