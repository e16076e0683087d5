r"""Our reading of GANCMH, "generative adversarial networks for cross-modal hashing".

The source states [S]: adversarial networks model the joint distribution over the modalities;
generative and discriminative models learn the correlation between and inside modalities; they play
a minimax game. No equation or code of it is public, so the form comes from a published relative
[F: CM-GANs] and from our choices [R], each a field of `GANCMHConfig`.

With x the prepared image, y the text, and i -> j another row that shares no label with row i:

    common          c = LeakyReLU(BN(W branch(x))), e likewise of y; W shared, the rest own  [F]
    reconstruction  x~ = dec(c), of what `original` makes of x                               [F]
    intra           D(x) against D(x~)                                                       [F]
    inter           D(c_i, x_i) real; D(e_i, x_i) and D(c_j, x_i) fake, half each; and the
                    same of texts                                                            [F]
    codes           u = tanh(H c), v = tanh(H e), H shared                                   [F]

The discriminators minimise -ln s(D(real)) - ln(1 - s(D(fake))), s the logistic function, on every
fifth batch. The generators (encoders, decoders, classifier, codes) minimise on every batch

    inter pairs     mean[ ln(1 + e^theta) - S theta ], theta = kappa u_i . v_j               [R]
    intra pairs     the same of u_i . u_j and of v_i . v_j                                   [R]
    classification  cross entropy of softmax(A c), softmax(A e) where each row has one label, of
                    sigmoids otherwise; A shared                                             [F, R]
    adversaries     -ln s(D(x~)), -ln s(D(e_i, x_i)), and the same of texts                  [F]
    quantisation    mean |u - sign u|^2 + mean |v - sign v|^2                                [R]
    error           mean |x - x~|^2 + mean |y - y~|^2                                        [R]

Adam with beta1 = .5 moves both [F].

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): the intra-modality
pairs .011/.047 of the mAP `encoded`, while they cost .012 of T->I `labelled`. The adversaries of
either kind change it by at most .004, but those inside a modality cost .008 of T->I `labelled`.

On IAPR TC-12: the adversaries between modalities bring .008/.004 `unseen`, those inside one
.001/.002; the intra-modality pairs bring .050 of T->I `encoded` and .067 `labelled`, while they
cost .028 of I->T `unseen` and .025 `encoded`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from hashcore.methods.base import (
    Batch,
    Components,
    InputSpec,
    LossTerms,
    Method,
    Phase,
    ProblemSpec,
    Term,
)
from hashcore.methods.branches import BranchConfig, build_branch, hidden_layers
from hashcore.methods.relevance import shared_labels

LEAK = 0.2


@dataclass(frozen=True)
class GANCMHConfig:
    """Choices of our reading of GANCMH; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=lambda: BranchConfig(hidden=(1024,), leak=LEAK))
    """Networks of the two modalities below the shared layer."""
    common: int = 1024
    """Width of the common representation."""
    judge: int = 512
    """Hidden width of the discriminators."""
    inter_adversary: float = 0.1
    """Weight of deceiving the discriminators between modalities; 0 builds none."""
    intra_adversary: float = 0.1
    """Weight of deceiving the discriminators of reconstructions; 0 builds none."""
    reconstruction: float = 0.1
    """Weight of the squared error of reconstructions; without it and the adversary of
    reconstructions there are no decoders."""
    classification: float = 1.0
    """Weight of the classifier on common representations; 0 builds none."""
    intra: float = 1.0
    """Weight of the pairs inside one modality."""
    scale: float = 0.2
    """kappa of theta: how sure of a pair K equal bits are."""
    quantisation: float = 0.1
    """Weight of the distance to the codes."""
    generator_steps: int = 5
    """Generator steps per discriminator step."""
    momentum: float = 0.5
    """Adam's beta1, of both optimisers."""
    normalise: bool = True
    """Standardise every output over the batch, so that codes cannot collapse into one."""
    picture_side: int = 8
    """Images of pixels are reconstructed at this width and height at most."""
    word_buckets: int = 2048
    """Texts of tokens are reconstructed as bags of words; more words than this share buckets."""


class Original(nn.Module):
    """What is reconstructed of one modality's prepared rows.

    Features as they are; pixels as a smaller picture; tokens as a bag of words, scaled to mean
    square one.
    """

    def __init__(self, spec: InputSpec, config: GANCMHConfig) -> None:
        super().__init__()
        self.kind = spec.kind
        if spec.kind == "pixels":
            channels, height, width = spec.shape
            self.size = min(height, config.picture_side), min(width, config.picture_side)
            self.width = channels * self.size[0] * self.size[1]
        elif spec.kind == "tokens":
            self.width = min(spec.vocabulary - 1, config.word_buckets)
        else:
            self.width = spec.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Prepared rows -> float32 `[B, width]`."""
        if self.kind == "pixels":
            picture: Tensor = F.adaptive_avg_pool2d(x, self.size)
            return picture.flatten(1)
        return bag_of_words(x, self.width) if self.kind == "tokens" else x


def bag_of_words(tokens: Tensor, width: int) -> Tensor:
    """Which words occur, scaled to mean square one.

    Args:
        tokens: int64 `[B, L]`, 0 = padding; word w counts in bucket (w - 1) mod `width`.
        width: buckets, M.

    Returns:
        float32 `[B, M]`; zeros for a row without words.
    """
    seen = torch.zeros(len(tokens), width + 1, device=tokens.device)
    bucket = torch.where(tokens > 0, (tokens - 1) % width + 1, 0)
    seen = seen.scatter(1, bucket, 1.0)[:, 1:]
    return F.normalize(seen) * math.sqrt(width)


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's mean[-ln s(real)] + mean[-ln(1 - s(fake))] of logits `[B]`."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def told_pairs_apart(real: Tensor, other: Tensor, wrong: Tensor, has_wrong: Tensor) -> Tensor:
    """Discriminator's loss where two kinds of fakes count half each.

    Args:
        real: logits of own common representations, `[B]`.
        other: logits of the other modality's, `[B]`.
        wrong: logits of another row's, `[B]`.
        has_wrong: rows that have such another row, bool `[B]`.
    """
    wrong_mean = (F.softplus(wrong) * has_wrong).sum() / has_wrong.sum().clamp(min=1)
    return F.softplus(-real).mean() + 0.5 * F.softplus(other).mean() + 0.5 * wrong_mean


def deceived(fake: Tensor) -> Tensor:
    """Generator's non-saturating mean[-ln s(fake)] of logits `[B]`."""
    return F.softplus(-fake).mean()


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy: softmax where each row has exactly one label, otherwise sigmoids.

    Args:
        logits: `[B, C]`.
        labels: bool `[B, C]`.
    """
    if bool((labels.sum(dim=1) == 1).all()):
        return F.cross_entropy(logits, labels.int().argmax(dim=1))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits))


def wrong_rows(similar: Tensor) -> tuple[Tensor, Tensor]:
    """Another row for each: the next one, cyclically, that shares no label with it.

    Args:
        similar: S, bool `[B, B]`.

    Returns:
        Row numbers int64 `[B]`, and bool `[B]`: whether there is such a row.
    """
    rows = torch.arange(len(similar), device=similar.device)
    ahead = (rows[None, :] - rows[:, None]) % len(rows)  # [B, B]
    distance, found = torch.where(similar | (ahead == 0), len(rows), ahead).min(dim=1)
    return found, distance < len(rows)


class Generated(NamedTuple):
    """What the generators make of one modality's rows."""

    original: Tensor  # [B, M]
    common: Tensor  # [B, common]
    rebuilt: Tensor  # [B, M]; the original where there is no decoder
    code: Tensor  # in -1..1, [B, K]


class Encoder(nn.Module):
    """What one modality owns of the generators."""

    def __init__(self, spec: InputSpec, config: GANCMHConfig, bits: int) -> None:
        super().__init__()
        self.branch = build_branch(spec, config.branch)
        # Weights are shared between the modalities, statistics are not.
        self.norm = nn.BatchNorm1d(config.common)
        self.code_norm = nn.BatchNorm1d(bits, affine=False) if config.normalise else nn.Identity()
        self.original = Original(spec, config)
        decodes = config.intra_adversary or config.reconstruction
        self.decoder = decoder(config.common, self.original.width) if decodes else None


def decoder(common: int, width: int) -> nn.Sequential:
    """From the common representation, `[B, common]`, back to `[B, width]`."""
    return nn.Sequential(
        *hidden_layers((common, common), 0.0, LEAK),
        nn.Linear(common, width),
    )


def discriminator(width: int, hidden: int) -> nn.Sequential:
    """Logits `[B, 1]` of being real, of `[B, width]`."""
    return nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(LEAK), nn.Linear(hidden, 1))


class GANCMH(Method):
    """Encoders under one shared layer and hash layer, played against discriminators."""

    config: GANCMHConfig
    components: ClassVar[Components] = {
        "inter-modality adversaries": {"inter_adversary": 0.0},
        "intra-modality adversaries": {"intra_adversary": 0.0},
        "intra-modality pairs": {"intra": 0.0},
    }

    def __init__(self, config: GANCMHConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.image = Encoder(spec.image, config, spec.bits)
        self.text = Encoder(spec.text, config, spec.bits)
        self.shared = nn.Linear(self.image.branch.width, config.common, bias=False)
        self.hash = nn.Linear(config.common, spec.bits)
        if config.classification:
            self.classifier = nn.Linear(config.common, spec.classes)
        self.discriminators = nn.ModuleDict()
        for name, side in (("image", self.image), ("text", self.text)):
            width = side.original.width
            if config.inter_adversary:
                self.discriminators[f"inter_{name}"] = discriminator(
                    config.common + width, config.judge
                )
            if config.intra_adversary:
                self.discriminators[f"intra_{name}"] = discriminator(width, config.judge)

    def encode_image(self, image: Tensor) -> Tensor:
        """u, `[B, K]`."""
        return self._code(self.image, self._common(self.image, image))

    def encode_text(self, text: Tensor) -> Tensor:
        """v, `[B, K]`."""
        return self._code(self.text, self._common(self.text, text))

    def phases(self) -> tuple[Phase, ...]:
        """Generators on every batch, discriminators on every fifth."""
        betas = self.config.momentum, 0.999
        judges = list(self.discriminators.parameters())
        own = {id(p) for p in judges}
        generators = Phase(
            "generators", [p for p in self.parameters() if id(p) not in own], betas=betas
        )
        if not judges:
            return (generators,)
        every = self.config.generator_steps
        return generators, Phase("discriminators", judges, every=every, betas=betas)

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """One side of the game; neither works out gradients of the other."""
        if phase == "discriminators":
            with torch.no_grad():
                image, text = self.generate(batch)
            return self._judge(image, text, batch.labels)
        image, text = self.generate(batch)
        return self._learn(image, text, batch.labels)

    def generate(self, batch: Batch) -> tuple[Generated, Generated]:
        """What the generators make of the images and of the texts of a whole batch."""
        return self._made(self.image, batch.image), self._made(self.text, batch.text)

    def _learn(self, image: Generated, text: Generated, labels: Tensor) -> LossTerms:
        """What the generators minimise."""
        config = self.config
        with torch.autocast(image.code.device.type, enabled=False):
            terms = self._code_terms(image.code, text.code, labels)
        both = ("image", image), ("text", text)
        if config.classification:
            losses = [classification_loss(self.classifier(x.common), labels) for _, x in both]
            terms["class"] = Term(config.classification, losses[0] + losses[1])
        if config.inter_adversary:
            fakes = (text.common, image.original), (image.common, text.original)
            losses = [
                deceived(self._logits(f"inter_{name}", torch.cat(fake, dim=1), learn=False))
                for (name, _), fake in zip(both, fakes, strict=True)
            ]
            terms["inter fooled"] = Term(config.inter_adversary, losses[0] + losses[1])
        if config.intra_adversary:
            losses = [
                deceived(self._logits(f"intra_{name}", x.rebuilt, learn=False)) for name, x in both
            ]
            terms["intra fooled"] = Term(config.intra_adversary, losses[0] + losses[1])
        if config.reconstruction:
            losses = [F.mse_loss(x.rebuilt, x.original) for _, x in both]
            terms["reconstruction"] = Term(config.reconstruction, losses[0] + losses[1])
        return LossTerms(terms)

    def _code_terms(self, u: Tensor, v: Tensor, labels: Tensor) -> dict[str, Term]:
        config = self.config

        def likelihood(a: Tensor, b: Tensor) -> Tensor:
            return self.ops.pairwise_likelihood_loss(a, b, labels, labels, scale=config.scale)

        terms = {"inter": Term(1.0, likelihood(u, v))}
        if config.intra:
            terms["intra"] = Term(config.intra, likelihood(u, u) + likelihood(v, v))
        to_codes = [self.ops.relaxed_sign_terms(x).quantisation for x in (u, v)]
        terms["quantisation"] = Term(config.quantisation, to_codes[0] + to_codes[1])
        return terms

    def _judge(self, image: Generated, text: Generated, labels: Tensor) -> LossTerms:
        """What the discriminators minimise."""
        terms = {}
        both = ("image", image, text), ("text", text, image)
        if self.config.inter_adversary:
            wrong, has_wrong = wrong_rows(shared_labels(labels, labels) > 0)
            losses = []
            for name, own, other in both:
                real, fake, mismatched = (
                    self._logits(f"inter_{name}", torch.cat([c, own.original], dim=1), learn=True)
                    for c in (own.common, other.common, own.common[wrong])
                )
                losses.append(told_pairs_apart(real, fake, mismatched, has_wrong))
            terms["inter judged"] = Term(1.0, losses[0] + losses[1])
        if self.config.intra_adversary:
            losses = [
                told_apart(
                    self._logits(f"intra_{name}", own.original, learn=True),
                    self._logits(f"intra_{name}", own.rebuilt, learn=True),
                )
                for name, own, _ in both
            ]
            terms["intra judged"] = Term(1.0, losses[0] + losses[1])
        return LossTerms(terms)

    def _logits(self, name: str, x: Tensor, *, learn: bool) -> Tensor:
        """One discriminator's logits of rows x, `[B]`; its parameters get gradients if `learn`."""
        judge = self.discriminators[name]
        state = {n: p if learn else p.detach() for n, p in judge.named_parameters()}
        out: Tensor = functional_call(judge, state, (x,))
        return out.float().squeeze(1)

    def _made(self, side: Encoder, x: Tensor) -> Generated:
        original, common = self.gather(side.original(x)), self._common(side, x)
        rebuilt = original if side.decoder is None else self.gather(side.decoder(common).float())
        code = self.gather(self._code(side, common))
        return Generated(original, self.gather(common), rebuilt, code)

    def _common(self, side: Encoder, x: Tensor) -> Tensor:
        out: Tensor = side.norm(self.shared(side.branch(x)))
        return F.leaky_relu(out.float(), LEAK)

    def _code(self, side: Encoder, common: Tensor) -> Tensor:
        return torch.tanh(side.code_norm(self.hash(common)).float())
