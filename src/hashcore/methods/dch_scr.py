r"""Our reading of DCH-SCR, deep cross-modal hashing by "semantic consistent ranking".

The source states [S]: similarity at the level of labels and at that of features; similarity inside
a modality; a ranking alignment loss that narrows the gap between the modalities; codes learned on a
common semantic space; gradients that give the direction and NDCG that gives their strength, by the
similarity of a pair. The rest comes from published relatives [F: SSAH, LambdaRank] and from our
choices [R], each a field of `DCHSCRConfig`.

Two branches end in one hash layer and one label layer, shared by both modalities [F: SSAH]: codes
u = tanh(hash(x)), v = tanh(hash(y)), `[B, K]`, and class scores, `[B, C]`. With the directions
ab in I->T, T->I and, weighted, I->I and T->T; s^ab_ij = cos(a_i, b_j) of the codes; labels l; and
phi the inputs themselves, which never learn:

    target      S^ab_ij = (1 - lambda) cos(l_i, l_j) + lambda cos(phi_i, phi_j), phi of the
                modality; across modalities the mean of both feature cosines              [R]
    alignment   sum over ab of mean_i KL( softmax_j(S^ab / tau) || P^ab ) with
                P^ab = softmax_j(s^ab / tau), + (KL(P^IT || P^TI) + KL(P^TI || P^IT)) / 2  [R]
    ranking     sum over ab, over r_ij > r_ik, of w_ijk ln(1 + e^{-sigma (s_ij - s_ik)}) / sum w,
                w_ijk = 1 - nu + nu D_ijk / mean D                                       [R]
                D_ijk = (2^r_ij - 2^r_ik) / Z_i |1 / log2(1 + pi_ij) - 1 / log2(1 + pi_ik)|,
                pi_ij the present rank of j for i, without gradient                [F: LambdaRank]
    labels      binary cross-entropy of the class scores, both modalities                 [F: SSAH]
    quantise    (|C - u|^2 + |C - v|^2) / BK, C = sign(u + v)                                [R]

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): similarity of labels
.025/.009 of the mAP `unseen` and .043/.080 `encoded`; alignment .013/.015 and .020/.007; the
directions inside a modality .014 of T->I `encoded`, while they cost .005 of I->T `unseen`; the
ranking .010 and NDCG as its strength .019 of T->I `labelled`, and little else. Similarity of
features changes it by at most .003 `unseen` and `encoded`; the common semantic space costs up to
.004 there.

On IAPR TC-12: alignment brings .032/.018 `unseen` and .030/.160 `encoded`, similarity of labels
.012 of I->T and .014/.079, the ranking .006 of I->T and .009/.101, similarity of features .002/.006
`unseen`. The directions inside a modality bring .058 of T->I `encoded` and cost .013/.015 `unseen`;
NDCG as the strength costs .018/.007 and .021/.012; the common semantic space costs .002.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.base import Batch, Components, InputSpec, LossTerms, Method, ProblemSpec, Term
from hashcore.methods.branches import BranchConfig, build_branch
from hashcore.methods.losses import cosine, joint_codes
from hashcore.methods.relevance import (
    Triplets,
    ndcg_weights,
    ranks,
    scale_to_mean_one,
    shared_labels,
    triplets,
)


@dataclass(frozen=True)
class DCHSCRConfig:
    """Choices of our reading of DCH-SCR; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=BranchConfig)
    """Networks of the two modalities."""
    feature_share: float = 0.2
    """lambda: share of the features in the target similarity, the labels have the rest; from 0,
    labels alone, to 1, features alone."""
    alignment: float = 1.0
    """Weight of the alignment of code similarities with the target and between the modalities."""
    temperature: float = 0.5
    """tau of the alignment's softmax."""
    ranking: float = 1.0
    """Weight of the ranking loss."""
    ndcg: float = 0.5
    """nu: how far the NDCG that swapping them would change sets the weight of triplets; from 0, all
    weigh the same, to 1, it alone. Alone it leaves the lower ranks, most of a mean average
    precision, nearly without a gradient."""
    sigma: float = 1.0
    """Steepness of the ranking loss."""
    intra: float = 1.0
    """Weight of the directions inside one modality in alignment and ranking."""
    label: float = 0.1
    """Weight of the label prediction."""
    quantisation: float = 0.1
    """Weight of the distance to the codes."""


def frozen_features(x: Tensor, spec: InputSpec) -> Tensor:
    """The features of the target similarity: inputs as they come, float32 `[B, D]`.

    Feature vectors stand for themselves, pixels are flattened, and tokens are counted by word
    (bag of words, without padding).

    Args:
        x: prepared inputs, `[B, D]`, `[B, 3, H, W]` or `[B, L]`.
        spec: their kind.
    """
    if spec.kind != "tokens":
        return x.flatten(1)
    counts = torch.zeros(len(x), spec.vocabulary, device=x.device)
    return counts.scatter_add_(1, x, (x != 0).to(counts))


def alignment_loss(scores: Tensor, target: Tensor, temperature: float) -> Tensor:
    """mean_i KL( softmax_j(S / tau) || softmax_j(s / tau) ), scores s and target S `[B, B]`."""
    return F.kl_div(
        F.log_softmax(scores / temperature, dim=1),
        F.log_softmax(target / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def lambda_weights(scores: Tensor, relevance: Tensor, t: Triplets) -> Tensor:
    """|Delta NDCG| of swapping the two rows of each triplet in the present order, `[P, B]`.

    Args:
        scores: `[B, B]`, anchors in rows.
        relevance: r, float `[B, B]`.
        t: valid triplets.

    Returns:
        (2^r_ap - 2^r_an) / Z_a |1 / log2(1 + pi_ap) - 1 / log2(1 + pi_an)|, without gradient; 0
        where there is no triplet.
    """
    discount = 1 / torch.log2(1 + ranks(scores))  # [B, B]
    own = discount.index_select(0, t.anchor)  # [P, B]
    return ndcg_weights(relevance, t) * (own.gather(1, t.positive[:, None]) - own).abs()


def triplet_logistic(scores: Tensor, t: Triplets, weight: Tensor, sigma: float) -> Tensor:
    """Weighted mean of ln(1 + e^{-sigma (s_ap - s_an)}).

    Args:
        scores: s, `[B, B]`, anchors in rows.
        t: valid triplets.
        weight: `[P, B]`, 0 where there is no triplet.
        sigma: steepness.

    Returns:
        Scalar; 0 when there is no triplet.
    """
    own = scores.index_select(0, t.anchor)  # [P, B]
    gap = own.gather(1, t.positive[:, None]) - own
    tiny = torch.finfo(weight.dtype).tiny
    return (weight * F.softplus(-sigma * gap)).sum() / weight.sum().clamp(min=tiny)


class _Direction(NamedTuple):
    """Queries of one modality against the rows of one."""

    weight: float
    scores: Tensor  # [B, B]
    features: Tensor  # [B, B], cosines of the frozen features
    triplets: Triplets


class DCHSCR(Method):
    """Two branches under one hash layer and one label layer; alignment and LambdaRank."""

    config: DCHSCRConfig
    components: ClassVar[Components] = {
        "label-level similarity": {"feature_share": 1.0},
        "feature-level similarity": {"feature_share": 0.0},
        "intra-modal similarity": {"intra": 0.0},
        "ranking alignment": {"alignment": 0.0},
        "ranking": {"ranking": 0.0},
        "NDCG as strength": {"ndcg": 0.0},
        "common semantic space": {"label": 0.0},
    }

    def __init__(self, config: DCHSCRConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.image_branch = build_branch(spec.image, config.branch)
        self.text_branch = build_branch(spec.text, config.branch)
        width = self.image_branch.width
        self.hash_layer = nn.Linear(width, spec.bits)
        self.label_layer = nn.Linear(width, spec.classes) if config.label else None

    def encode_image(self, image: Tensor) -> Tensor:
        """u, `[B, K]`."""
        return self._hash(self.image_branch(image))

    def encode_text(self, text: Tensor) -> Tensor:
        """v, `[B, K]`."""
        return self._hash(self.text_branch(text))

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Alignment, ranking, label prediction and quantisation."""
        image, text = self.image_branch(batch.image), self.text_branch(batch.text)
        u = self.gather(self._hash(image))  # [B, K]
        v = self.gather(self._hash(text))
        classes = [
            self.gather(self.label_layer(x).float())  # [B, C]
            for x in (image, text)
            if self.label_layer is not None
        ]
        features = (
            self.gather(frozen_features(batch.image, self.spec.image)),
            self.gather(frozen_features(batch.text, self.spec.text)),
        )
        with torch.autocast(u.device.type, enabled=False):
            terms = self._similarity_terms(u, v, features, batch.labels)
            codes = joint_codes(u, v)
            quantised = [self.ops.relaxed_sign_terms(x, codes).quantisation for x in (u, v)]
            terms["quantisation"] = Term(self.config.quantisation, quantised[0] + quantised[1])
            if classes:
                truth = batch.labels.float()
                entropies = [F.binary_cross_entropy_with_logits(x, truth) for x in classes]
                terms["label"] = Term(self.config.label, entropies[0] + entropies[1])
        return LossTerms(terms)

    def _similarity_terms(
        self, u: Tensor, v: Tensor, features: tuple[Tensor, Tensor], labels: Tensor
    ) -> dict[str, Term]:
        config = self.config
        relevance = shared_labels(labels, labels)  # [B, B]
        directions = self._directions(u, v, features, relevance)
        same_labels = cosine(labels.float(), labels.float())  # [B, B]
        terms: dict[str, Term] = {}
        if config.alignment:
            terms["alignment"] = Term(config.alignment, self._align(directions, same_labels))
        if config.ranking:
            terms["ranking"] = Term(config.ranking, self._rank(directions, relevance))
        return terms

    def _directions(
        self, u: Tensor, v: Tensor, features: tuple[Tensor, Tensor], relevance: Tensor
    ) -> list[_Direction]:
        image, text = (cosine(phi, phi) for phi in features)
        across, both = triplets(relevance, graded=True), (image + text) / 2
        scores = cosine(u, v)
        directions = [
            _Direction(1.0, scores, both, across),
            _Direction(1.0, scores.T, both, across),
        ]
        if self.config.intra:
            inside = triplets(relevance, graded=True, exclude_self=True)
            directions += [
                _Direction(self.config.intra, cosine(u, u), image, inside),
                _Direction(self.config.intra, cosine(v, v), text, inside),
            ]
        return directions

    def _align(self, directions: Sequence[_Direction], same_labels: Tensor) -> Tensor:
        share, temperature = self.config.feature_share, self.config.temperature
        to_text, to_image = directions[0].scores, directions[1].scores
        total = alignment_loss(to_text, to_image, temperature)
        total = (total + alignment_loss(to_image, to_text, temperature)) / 2
        for d in directions:
            target = (1 - share) * same_labels + share * d.features
            total = total + d.weight * alignment_loss(d.scores, target, temperature)
        return total

    def _rank(self, directions: Iterable[_Direction], relevance: Tensor) -> Tensor:
        nu, total = self.config.ndcg, relevance.new_zeros(())
        for d in directions:
            weight = (1 - nu) * d.triplets.negative.to(d.scores)  # [P, B]
            if nu:
                gain = lambda_weights(d.scores, relevance, d.triplets)
                weight = weight + nu * scale_to_mean_one(gain, d.triplets)
            ranked = triplet_logistic(d.scores, d.triplets, weight, self.config.sigma)
            total = total + d.weight * ranked
        return total

    def _hash(self, hidden: Tensor) -> Tensor:
        return torch.tanh(self.hash_layer(hidden).float())
