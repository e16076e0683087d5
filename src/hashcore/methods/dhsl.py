r"""Our reading of DHSL, "deep hashing similarity learning" for cross-modal retrieval.

The source states [S]: relation networks match images and texts in pairs, with an emphasis inside
the modalities, and give a hash similarity matrix; a feature selector joins distinctive original
features to low-dimensional ones; a weighted cosine triplet loss and a quantisation loss train the
hash layer. No equation or code of it is public, so the form comes from published relatives
[F: DRSL, DADH] and from our choices [R], each a field of `DHSLConfig`.

With x the input as a vector, h and g the image and text outputs, `[B, K]`, d(a, b) = 1 - cos(a, b)
and S_ij = 1 where rows i and j share a class:

    selector    s = sigmoid(W_2 ReLU(W_1 x)), m = 1 at the largest quarter of s, else 0, with the
                gradient of s; the hash layer reads [low(x) ; W_3 (m x)]                        [R]
    relations   M_ij = net([a_i ; b_j]) of all B^2 pairs; mean (M_ij - S_ij)^2: inter for
                (h, g), intra for (h, h) and (g, g), a net each, used in training only   [F: DRSL]
    triplets    mean over active of w_apn [m + d_ap - d_an]_+, I->T and T->I,
                w_apn the NDCG weight of the triplet, over its mean in the batch     [F: DADH, R]
    quantise    (|C - h|^2 + |C - g|^2) / BK,  C = sign(h + g)                                  [R]

Pixels and tokens become vectors in the small networks of `branches` [R].

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): everything rests on
the triplets, .125/.054 of the mAP `unseen` and .150/.450 `encoded`; relations, the intra-modal ones
alone and quantisation change it by at most .005, and the selector costs .006/.010 `unseen` and
.007/.009 `encoded` there.

On IAPR TC-12: the triplets bring .111/.082 `unseen` and .113/.272 `encoded`, quantisation .003/.003
and .004 of I->T; the selector costs .002/.003 `unseen`, relations .008 of T->I `encoded`, and the
intra-modal ones alone change it by at most .001 in both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from hashcore.methods.base import Batch, Components, InputSpec, LossTerms, Method, ProblemSpec, Term
from hashcore.methods.branches import BranchConfig, build_stem, hidden_layers, output_layers
from hashcore.methods.losses import (
    bidirectional_ranking,
    joint_codes,
)
from hashcore.methods.relevance import shared_labels


@dataclass(frozen=True)
class DHSLConfig:
    """Choices of our reading of DHSL; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=BranchConfig)
    """Networks of the two modalities."""
    selector: bool = True
    """Join selected original features to the low-dimensional ones."""
    selected: float = 0.25
    """Fraction of the original features that is selected, in each row anew."""
    gate_hidden: int = 128
    """Hidden width of the gate that scores the original features."""
    selector_width: int = 512
    """Width of the layer over the selected features."""
    normalise: bool = False
    """Standardise every output over the batch before the tanh."""
    relation: float = 1.0
    """Weight of the relation nets; 0 builds none."""
    intra: float = 0.5
    """Weight of the intra-modal relations beside the inter-modal ones; 0 builds no such net."""
    relation_width: int = 32
    """Width of the relation nets. They run over all B^2 pairs: memory and time go with it."""
    triplet: float = 1.0
    """Weight of the triplets."""
    margin: float = 0.4
    """Triplet margin m, in cosine distance."""
    quantisation: float = 0.02
    """Weight of the distance to the codes."""

    def __post_init__(self) -> None:
        if not 0 < self.selected <= 1:
            raise ValueError(f"selected: expected a fraction in (0, 1]; got {self.selected}")


def top_mask(scores: Tensor, fraction: float) -> Tensor:
    """1 at the largest scores of each row, else 0, with the gradient of the scores themselves.

    Args:
        scores: `[B, D]`.
        fraction: of the D columns, rounded up.

    Returns:
        `[B, D]`.
    """
    count = math.ceil(fraction * scores.shape[1])
    top = scores.topk(count, dim=1).indices  # [B, count]
    return torch.zeros_like(scores).scatter(1, top, 1.0) + (scores - scores.detach())


def relation_loss(relation: Tensor, similar: Tensor) -> Tensor:
    """Mean of (M - S)^2 for the outputs M of a relation net and S, both `[B, B]`."""
    return (relation - similar.to(relation)).square().mean()


class RelationNet(nn.Module):
    """How related two outputs are: Linear-BN-ReLU twice over both, then one value."""

    def __init__(self, bits: int, width: int) -> None:
        super().__init__()
        # The first layer over the concatenation [a ; b], as its two halves: each then runs over
        # B rows and only their sums are B^2.
        self.first = nn.Linear(bits, width, bias=False)
        self.second = nn.Linear(bits, width, bias=False)
        self.rest = nn.Sequential(
            nn.BatchNorm1d(width), nn.ReLU(), *hidden_layers((width, width), 0.0)
        )
        self.value = nn.Linear(width, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """All pairs of a `[B, K]` and b `[N, K]`, `[B, N]`."""
        pairs = self.first(a)[:, None] + self.second(b)  # [B, N, width]
        values: Tensor = self.value(self.rest(pairs.flatten(0, 1)))  # [B N, 1]
        return values.view(len(a), len(b))


class Selector(nn.Module):
    """A layer over the features that a gate selects, in each row anew."""

    def __init__(self, features: int, config: DHSLConfig) -> None:
        super().__init__()
        self.fraction = config.selected
        self.gate = nn.Sequential(
            nn.Linear(features, config.gate_hidden),
            nn.ReLU(),
            nn.Linear(config.gate_hidden, features),
            nn.Sigmoid(),
        )
        self.layer = nn.Linear(features, config.selector_width)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, D]` -> `[B, selector_width]`."""
        selected: Tensor = self.layer(top_mask(self.gate(x), self.fraction) * x)
        return selected


class Encoder(nn.Module):
    """One modality: low-dimensional features, the selected ones, K outputs in -1..1."""

    def __init__(self, spec: InputSpec, config: DHSLConfig, bits: int) -> None:
        super().__init__()
        self.stem = build_stem(spec, config.branch)
        self.low = hidden_layers((self.stem.width, *config.branch.hidden), config.branch.dropout)
        self.selector = Selector(self.stem.width, config) if config.selector else None
        width = config.branch.hidden[-1] + (config.selector_width if config.selector else 0)
        self.head = output_layers(width, bits, normalise=config.normalise)

    def forward(self, data: Tensor) -> Tensor:
        """A batch of the modality's data -> `[B, K]`."""
        x = self.stem(data)  # [B, D]
        joined = self.low(x)
        if self.selector is not None:
            joined = torch.cat([joined, self.selector(x)], dim=1)
        return torch.tanh(self.head(joined).float())


class DHSL(Method):
    """Two encoders with feature selectors; relation nets, triplets and codes train them."""

    config: DHSLConfig
    components: ClassVar[Components] = {
        "relation networks": {"relation": 0.0},
        "intra-modal emphasis": {"intra": 0.0},
        "feature selector": {"selector": False},
        "weighted cosine triplets": {"triplet": 0.0},
        "quantisation": {"quantisation": 0.0},
    }

    def __init__(self, config: DHSLConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.image_encoder = Encoder(spec.image, config, spec.bits)
        self.text_encoder = Encoder(spec.text, config, spec.bits)
        kinds = ["inter", "image", "text"] if config.intra else ["inter"]
        self.relations = nn.ModuleDict(
            {kind: RelationNet(spec.bits, config.relation_width) for kind in kinds}
            if config.relation
            else {}
        )

    def encode_image(self, image: Tensor) -> Tensor:
        """h, `[B, K]`."""
        outputs: Tensor = self.image_encoder(image)
        return outputs

    def encode_text(self, text: Tensor) -> Tensor:
        """g, `[B, K]`."""
        outputs: Tensor = self.text_encoder(text)
        return outputs

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Relations between and inside the modalities, weighted triplets, quantisation."""
        image = self.gather(self.encode_image(batch.image))  # [B, K]
        text = self.gather(self.encode_text(batch.text))
        sides = {"inter": (image, text), "image": (image, image), "text": (text, text)}
        relations = {kind: net(*sides[kind]).float() for kind, net in self.relations.items()}
        with torch.autocast(image.device.type, enabled=False):
            relevance = shared_labels(batch.labels, batch.labels)  # [B, B]
            terms = self._relation_terms(relations, relevance > 0)
            terms |= self._code_terms(image, text, batch.labels)
        return LossTerms(terms)

    def _relation_terms(self, relations: dict[str, Tensor], similar: Tensor) -> dict[str, Term]:
        config = self.config
        values = {kind: relation_loss(relation, similar) for kind, relation in relations.items()}
        terms = {}
        if config.relation:
            terms["inter"] = Term(config.relation, values["inter"])
        if config.relation and config.intra:
            terms["intra"] = Term(config.relation * config.intra, values["image"] + values["text"])
        return terms

    def _code_terms(self, image: Tensor, text: Tensor, labels: Tensor) -> dict[str, Term]:
        config, terms = self.config, {}
        if config.triplet:
            ranking = bidirectional_ranking(self.ops, image, text, labels, config.margin)
            terms["ranking"] = Term(config.triplet, ranking)
        codes = joint_codes(image, text)  # [B, K]
        quantised = [self.ops.relaxed_sign_terms(x, codes).quantisation for x in (image, text)]
        terms["quantise"] = Term(config.quantisation, quantised[0] + quantised[1])
        return terms
