r"""Our reading of DRHC, "deep regularized hashing constraint".

The source states [S]: a regularised function replaces the binary constraint; outputs are
constrained to a numerical range; learning is end to end. The rest comes from published relatives
[F: DSH, GreedyHash, DPN, HashNet] and from our choices [R], each a field of `DRHCConfig`.

Triplets and pairs are those of our reading of MIDRM (`midrm.py`), on K unbounded outputs behind its
common subspace [R]. With u, v the image and text outputs, `[B, K]`, the code is tied to them by

    range       R(u) + R(v), by name:
                "dsh"           mean| |u| - 1 | + rho mean[ |u| - 1 ]_+              [F: DSH]
                "cubic"         mean| |u| - 1 |^3                                    [F: GreedyHash]
                "polarisation"  mean[ m'' - u t ]_+, t = sign(u + v)                 [F: DPN]
                "tanh"          u <- tanh(beta u), beta growing by the epoch         [F: HashNet]

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): the regularised
function .035/.010 of the mAP `unseen` and .033/.027 `encoded`; the numerical range at most .003.
The pairs cost .003/.004 `unseen`, .005/.005 `encoded` and .009/.019 `labelled` there.

On IAPR TC-12: the regularised function brings .021/.030 `unseen`; the numerical range .008 of T->I
`encoded` and little else; the pairs bring .004 of T->I and cost .005 of I->T `unseen`, and cost
.022 of T->I `encoded`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

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
from hashcore.methods.losses import (
    bidirectional_ranking,
    cosine_distance,
    joint_codes,
    pair_loss,
)
from hashcore.methods.relevance import shared_labels

Relaxation = Literal["dsh", "cubic", "polarisation", "tanh"]
_PENALTIES = {"dsh": "power_1", "cubic": "power_3", "polarisation": "polarisation"}


@dataclass(frozen=True)
class DRHCConfig:
    """Choices of our reading of DRHC; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=BranchConfig)
    """Networks of the two modalities."""
    common: int = 1024
    """Width of the linear common subspace before the K outputs."""
    normalise: bool = False
    """Standardise every output over the batch. It keeps bits from standing still where nearly all
    rows share labels, and costs accuracy on Wikipedia and IAPR."""
    margin: float = 0.2
    """Triplet margin m, in cosine distance."""
    pair: float = 0.1
    """Weight of the pair term."""
    pair_margin: float = 0.5
    """Distance m' beyond which dissimilar pairs are left alone."""
    relaxation: Relaxation = "dsh"
    """What stands for the binary constraint."""
    regularisation: float = 0.1
    """Weight of the range term R."""
    range_weight: float = 1.0
    """rho of "dsh": extra cost of leaving -1..1."""
    polar_margin: float = 1.0
    """m'' of "polarisation"."""
    tanh_growth: float = 10.0
    """Last beta of "tanh"; it grows geometrically from 1."""


class DRHC(Method):
    """Two branches, a linear common subspace, K linear outputs; ranking and range terms."""

    config: DRHCConfig
    components: ClassVar[Components] = {
        "pairs": {"pair": 0.0},
        "regularised function": {"regularisation": 0.0},
        "numerical range": {"range_weight": 0.0},
    }
    beta: Tensor

    def __init__(self, config: DRHCConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.image_branch = build_branch(spec.image, config.branch)
        self.text_branch = build_branch(spec.text, config.branch)
        self.image_head = _head(self.image_branch.width, config, spec.bits)
        self.text_head = _head(self.text_branch.width, config, spec.bits)
        self.register_buffer("beta", torch.ones(()))

    def encode_image(self, image: Tensor) -> Tensor:
        """u, `[B, K]`."""
        return self._bound(self.image_head(self.image_branch(image)).float())

    def encode_text(self, text: Tensor) -> Tensor:
        """v, `[B, K]`."""
        return self._bound(self.text_head(self.text_branch(text)).float())

    def begin_epoch(self, epoch: int, epochs: int, embed_all: EmbedAll) -> None:
        """Sharpen "tanh"."""
        self.beta.fill_(self.config.tanh_growth ** (epoch / max(epochs - 1, 1)))

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Graded ranking, pairs, and the range term of the chosen relaxation."""
        image = self.gather(self.encode_image(batch.image))  # [B, K]
        text = self.gather(self.encode_text(batch.text))
        with torch.autocast(image.device.type, enabled=False):
            return self._terms(image, text, batch)

    def _terms(self, image: Tensor, text: Tensor, batch: Batch) -> LossTerms:
        config = self.config
        relevance = shared_labels(batch.labels, batch.labels)  # [B, B]
        distance = cosine_distance(image, text)  # [B, B]
        ranking = bidirectional_ranking(self.ops, image, text, batch.labels, config.margin)
        pairs = pair_loss(distance, relevance > 0, config.pair_margin)
        terms = {"ranking": Term(1.0, ranking), "pair": Term(config.pair, pairs)}
        if config.relaxation != "tanh":
            terms["range"] = Term(config.regularisation, self._range(image, text))
        return LossTerms(terms)

    def _range(self, image: Tensor, text: Tensor) -> Tensor:
        """R of both modalities.

        "dsh": mean| |u| - 1 | + rho mean[ |u| - 1 ]_+; "cubic": mean| |u| - 1 |^3; "polarisation":
        mean[ m'' - u t ]_+, t the joint codes.
        """
        config = self.config
        polar = config.relaxation == "polarisation"
        target = joint_codes(image, text) if polar else None
        total = image.new_zeros(())
        for outputs in (image, text):
            terms = self.ops.relaxed_sign_terms(
                outputs,
                target,
                relaxation=_PENALTIES[config.relaxation],
                margin=config.polar_margin,
            )
            total = total + terms.relaxation
            if config.relaxation == "dsh":
                total = total + config.range_weight * terms.excess
        return total

    def _bound(self, output: Tensor) -> Tensor:
        return torch.tanh(self.beta * output) if self.config.relaxation == "tanh" else output


def _head(width: int, config: DRHCConfig, bits: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, config.common),
        *output_layers(config.common, bits, normalise=config.normalise),
    )
