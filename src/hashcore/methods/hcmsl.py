r"""Our reading of HCMSL, "hybrid cross-modal similarity learning": a real-valued method.

The source states [S]: coupled fully connected networks map both modalities into a common subspace;
the branches share weights; two Siamese convolutional networks learn the similarity inside each
modality; labelled and unlabelled cross-modal pairs and intra-modal pairs of one class train them.
No equation or code of it is public: the rest are our choices [R], each a field of `HCMSLConfig`.

With x the input as a vector, z = siamese(x), u and v the image and text embeddings, `[B, K]`, of
length 1, D Euclidean distance and S_ij = 1 where rows i and j share a class:

    encoder     u = W relu-layers([x ; z]), W one for both modalities                           [R]
    siamese     features: strided 1-D convolutions over x; pixels and tokens: a small network
                of `branches` of its own                                                        [R]
    labelled    mean S D^2 + (1 - S) [m - D]_+^2 of u_i and v_j, both rows labelled             [R]
    unlabelled  mean D_ii^2 + mean_{j != i} [m' + D_ii - D_ij]_+ of u and v, I->T and T->I, of the
                unlabelled rows i; j runs over all rows                                         [R]
    intra       the labelled term of z_i and z_j, i != j, in each modality                      [R]

The common subspace has as many dimensions as a code has bits [R], so that one embedding serves
both: it is ranked by cosine, and cut at its mean over the training rows for codes. For the
real-valued method at its usual width, ask for 1024 bits.

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): the labelled pairs
.148/.098 of the mAP `unseen` and .176/.618 `encoded`; sharing the common layer .005/.003 and
.011/.009. The Siamese networks bring .004/.005 `unseen` and cost .008 of T->I `encoded`; the intra-
modal pairs cost .003/.003 `unseen` and .009 of I->T `encoded`. With all rows labelled there are no
unlabelled pairs; with a fifth of them labelled (one seed) they lift mAP `unseen` from .239/.174 to
.273/.217.

On IAPR TC-12: the labelled pairs bring .215/.173 `unseen` and .221/.367 `encoded`; sharing the
common layer .004/.006 and .002/.022; the Siamese networks .004 of T->I `encoded`, while they cost
.003 of I->T; the intra-modal pairs change it by at most .001.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.base import Batch, Components, InputSpec, LossTerms, Method, ProblemSpec, Term
from hashcore.methods.branches import BranchConfig, build_branch, build_stem, hidden_layers
from hashcore.methods.relevance import shared_labels


@dataclass(frozen=True)
class HCMSLConfig:
    """Choices of our reading of HCMSL; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=BranchConfig)
    """Networks of the two modalities."""
    shared: bool = True
    """One linear layer into the common subspace for both modalities; off: one each."""
    normalise: bool = False
    """Standardise every output over the batch, in each modality, before the length is set to 1."""
    siamese: bool = True
    """Join the outputs of Siamese networks to the inputs; off: intra-modal pairs act on u and v."""
    siamese_width: int = 64
    """Width of a Siamese network's output."""
    siamese_channels: tuple[int, int] = (32, 64)
    """Channels of the two convolutions over feature vectors."""
    siamese_pool: int = 8
    """Positions that the convolutions are pooled to before the Siamese network's linear layer."""
    labelled: float = 1.0
    """Weight of the labelled cross-modal pairs."""
    unlabelled: float = 0.1
    """Weight of the unlabelled cross-modal pairs."""
    intra: float = 0.5
    """Weight of the intra-modal pairs."""
    margin: float = 1.4
    """Distance m beyond which dissimilar pairs are left alone: about that of orthogonal
    embeddings."""
    pairing_margin: float = 0.2
    """How much nearer than any other row its partner should be to an unlabelled row, m'."""
    labeled_fraction: float = 1.0
    """Part of the fitted rows that keeps its classes; the others keep their pairing only. Each
    stage of a training draws among its own rows, and validation rows keep their classes: to learn
    from no other class, train without validation."""
    labeled_seed: int = 0
    """Seed of the draw of the labelled rows."""

    def __post_init__(self) -> None:
        if not 0 <= self.labeled_fraction <= 1:
            raise ValueError(
                f"labeled_fraction: expected a fraction in [0, 1]; got {self.labeled_fraction}"
            )


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances of all rows of a `[B, K]` and b `[N, K]`, `[B, N]`.

    Of equal rows it is exactly 0, with gradient 0: no matrix product is used.
    """
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def contrastive_loss(distance: Tensor, similar: Tensor, known: Tensor, margin: float) -> Tensor:
    """Mean of S D^2 + (1 - S) [m - D]_+^2 over the known pairs.

    Args:
        distance: D, `[B, B]`.
        similar: S, bool `[B, B]`.
        known: the pairs that count, bool `[B, B]`.
        margin: m.
    """
    pull, push = distance.square(), F.relu(margin - distance).square()  # [B, B]
    return (torch.where(similar, pull, push) * known).sum() / known.sum().clamp(min=1)


def pairing_loss(distance: Tensor, rows: Tensor, margin: float) -> Tensor:
    """Each row nearer its partner than any other: mean D_ii^2 + mean_{j != i} [m + D_ii - D_ij]_+.

    Args:
        distance: D, `[B, B]`; the partner of a row is on the diagonal.
        rows: the rows i that count, bool `[B]`; j runs over all.
        margin: m.
    """
    own = distance.diagonal()  # [B]
    pairs = rows[:, None] & ~_itself(rows)
    pulled = (own.square() * rows).sum() / rows.sum().clamp(min=1)
    pushed = (F.relu(margin + own[:, None] - distance) * pairs).sum() / pairs.sum().clamp(min=1)
    return pulled + pushed


def _itself(rows: Tensor) -> Tensor:
    """Pairs of a row with itself, bool `[B, B]`."""
    return torch.eye(len(rows), dtype=torch.bool, device=rows.device)


def labelled_rows(rows: int, fraction: float, seed: int) -> Tensor:
    """Which of the fitted rows keep their classes, bool `[rows]`; the same in every process."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return order < round(fraction * rows)


class FeatureSiamese(nn.Module):
    """1-D convolutions over feature vectors, pooled to a few positions, and a linear layer."""

    def __init__(self, features: int, config: HCMSLConfig) -> None:
        super().__init__()
        first, second = config.siamese_channels
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, features)),
            nn.Conv1d(1, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(first, second, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(config.siamese_pool),
            nn.Flatten(),
            nn.Linear(second * config.siamese_pool, config.siamese_width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, D]` -> `[B, siamese_width]`."""
        z: Tensor = self.layers(x)
        return z


class Encoder(nn.Module):
    """One modality up to the common layer: the input as a vector, joined to its Siamese output."""

    def __init__(self, spec: InputSpec, config: HCMSLConfig) -> None:
        super().__init__()
        self.stem = build_stem(spec, config.branch)
        self.siamese = _siamese(spec, config) if config.siamese else None
        joined = self.stem.width + (config.siamese_width if config.siamese else 0)
        self.layers = hidden_layers((joined, *config.branch.hidden), config.branch.dropout)

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor | None]:
        """A batch of the modality's data -> what the common layer reads `[B, width]`, and z."""
        x = self.stem(data)
        if self.siamese is None:
            return self.layers(x), None
        z = self.siamese(data)  # [B, siamese_width]
        return self.layers(torch.cat([x, z], dim=1)), z


def _siamese(spec: InputSpec, config: HCMSLConfig) -> nn.Module:
    if spec.kind == "features":
        return FeatureSiamese(spec.shape[0], config)
    return build_branch(spec, replace(config.branch, hidden=(config.siamese_width,)))


class Common(nn.Module):
    """The layer into the common subspace: embeddings of length 1."""

    def __init__(self, linear: nn.Linear, *, normalise: bool) -> None:
        super().__init__()
        self.linear = linear
        self.norm = (
            nn.BatchNorm1d(linear.out_features, affine=False) if normalise else nn.Identity()
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """`[B, width]` -> `[B, K]`."""
        return F.normalize(self.norm(self.linear(hidden)).float())


class HCMSL(Method):
    """Coupled encoders with Siamese networks, a shared layer, three kinds of pairs."""

    config: HCMSLConfig
    binarisation = "mean"
    components: ClassVar[Components] = {
        "weight sharing": {"shared": False},
        "Siamese networks": {"siamese": False},
        "labelled pairs": {"labelled": 0.0},
        "unlabelled pairs": {"unlabelled": 0.0},
        "intra-modal pairs": {"intra": 0.0},
    }

    def __init__(self, config: HCMSLConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.image_encoder = Encoder(spec.image, config)
        self.text_encoder = Encoder(spec.text, config)
        linear = nn.Linear(config.branch.hidden[-1], spec.bits)
        other = linear if config.shared else nn.Linear(config.branch.hidden[-1], spec.bits)
        self.image_common = Common(linear, normalise=config.normalise)
        self.text_common = Common(other, normalise=config.normalise)
        self.labelled: Tensor
        self.register_buffer("labelled", torch.empty(0, dtype=torch.bool), persistent=False)

    def encode_image(self, image: Tensor) -> Tensor:
        """u, `[B, K]`, of length 1."""
        embedding: Tensor = self.image_common(self.image_encoder(image)[0])
        return embedding

    def encode_text(self, text: Tensor) -> Tensor:
        """v, `[B, K]`, of length 1."""
        embedding: Tensor = self.text_common(self.text_encoder(text)[0])
        return embedding

    def begin_fit(self, rows: int) -> None:
        """Draw the rows that keep their classes."""
        config = self.config
        drawn = labelled_rows(rows, config.labeled_fraction, config.labeled_seed)
        self.labelled = drawn.to(self.labelled.device)

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Labelled and unlabelled pairs across the modalities, labelled ones inside."""
        image_hidden, image_own = self.image_encoder(batch.image)
        text_hidden, text_own = self.text_encoder(batch.text)
        image, text = self.image_common(image_hidden), self.text_common(text_hidden)
        inside = [image if image_own is None else F.normalize(image_own.float())]
        inside.append(text if text_own is None else F.normalize(text_own.float()))
        image, text = self.gather(image), self.gather(text)  # [B, K]
        inside = [self.gather(own) for own in inside]  # [B, siamese_width] or [B, K]
        with torch.autocast(image.device.type, enabled=False):
            return self._terms(image, text, inside, batch)

    def _terms(self, image: Tensor, text: Tensor, inside: list[Tensor], batch: Batch) -> LossTerms:
        config = self.config
        labelled = self.labelled[batch.rows]  # [B]
        similar = shared_labels(batch.labels, batch.labels) > 0  # [B, B]
        known = labelled[:, None] & labelled
        across = distances(image, text)  # [B, B]
        supervised = contrastive_loss(across, similar, known, config.margin)
        paired = [
            pairing_loss(toward, ~labelled, config.pairing_margin) for toward in (across, across.T)
        ]
        others = known & ~_itself(labelled)
        intra = [contrastive_loss(distances(z, z), similar, others, config.margin) for z in inside]
        return LossTerms(
            {
                "labelled": Term(config.labelled, supervised),
                "unlabelled": Term(config.unlabelled, paired[0] + paired[1]),
                "intra": Term(config.intra, intra[0] + intra[1]),
            }
        )
