r"""Our reading of DRH, "deep ranking-based hashing" for cross-modal retrieval.

The source states [S]: learning is end to end with a pairwise loss; a ranking-based hash function
cuts the encoding error; AdaBoost acts against redundancy between the codes. No equation or code of
it is public, so the rest is our choice [R], each a field of `DRHConfig`.

T heads rank Kc symbols each. With phi(x), psi(y) the features of image and text:

    symbol      c_t(x) = argmax_j (W_t phi(x))_j,  W_t [Kc, d], own for each modality        [S]
    relaxed     p_t(x) = softmax(beta W_t phi(x)), q_t(y) likewise; beta grows by the epoch  [R]
    agreement   a_t,ij = p_t(x_i) . q_t(y_j)
    pairs       -mean_t sum_ij D_t,ij [ S ln a' + (1 - S) ln(1 - a') ],
                a' = delta + (1 - 2 delta) a                                                 [R]

One head of Kc symbols cannot tell more classes apart than that, and with delta = 0 it would pay
for every class that it must merge with another until it commits itself to none; a large delta asks
it for a small edge, which is what AdaBoost builds on.

D_t are the pair weights of AdaBoost, computed inside each batch, heads in order, without gradient.
D_1 gives half of its mass to the similar and half to the dissimilar pairs. With m_t,ij = +-1 as the
symbols agree or not, S' = 2 S - 1, and nu the shrinkage:

    error       eps_t = sum D_t 1[m_t != S']
    strength    alpha_t = nu / 2 ln((1 - eps_t) / eps_t), 0 where eps_t >= .5
    weights     D_{t+1} ~ D_t exp(-alpha_t S' m_t)

A head whose mean error of an epoch is no better than chance, .5, starts anew                [R].

Codes: Kc = 2 takes one bit a head. More symbols are stored one-hot, Kc bits a head, and the Hamming
distance is twice the number of heads that disagree. The bits that are asked for are what a code
says, T log2 Kc; more than that is stored where Kc > 2.

What the components bring on wikiData.mat (64 bits, three seeds, I->T / T->I): AdaBoost .071/.037 of
the mAP `unseen` and .091/.344 `encoded`; ranking .015/.011 and .017/.054.

On IAPR TC-12: AdaBoost brings .104/.054 `unseen` and .112/.328 `encoded`; ranking .036/.011 and
.037/.020, while it costs .019 of T->I `labelled`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from hashcore.methods.base import (
    Batch,
    Components,
    EmbedAll,
    LossTerms,
    Method,
    Phase,
    ProblemSpec,
    Term,
)
from hashcore.methods.branches import BranchConfig, build_branch, output_layers
from hashcore.methods.relevance import shared_labels

MIN_ERROR = 1e-3
"""Errors below count as this one: a head without any would have infinite strength."""


@dataclass(frozen=True)
class DRHConfig:
    """Choices of our reading of DRH; every field is [R] where the source leaves it open."""

    branch: BranchConfig = field(default_factory=lambda: BranchConfig(hidden=(2048, 1024)))
    """Networks of the two modalities. Heads that learn from mistakes of others gain from a width
    that other methods do not need."""
    symbols: int = 2
    """Kc, symbols that a head ranks; T = floor(bits / log2 Kc) heads."""
    ranking: bool = True
    """Bits are argmax symbols; off: signs of one linear output u a head, learned as
    a_t,ij = sigmoid(u_ti v_tj), which leaves the outputs unbounded."""
    boosting: bool = True
    """Weigh the pairs of a head by the mistakes of the heads before it; off: D_t = D_1."""
    shrinkage: float = 0.4
    """Factor nu on the strength of every head. With 1, the pairs that no head gets right soon have
    all the weight."""
    balanced: bool = True
    """Similar and dissimilar pairs weigh the same in all; off: D_1 is uniform over pairs."""
    beta: float = 7.0
    """Last sharpness of the softmax; it grows geometrically from 1."""
    smoothing: float = 0.43
    """delta, below 0.5: how far agreements stay from 0 and 1; it bounds what one pair costs."""
    redraw_until: float = 0.1
    """Fraction of the epochs during which heads no better than chance start anew; late ones learn
    too little before the end, and cost accuracy on IAPR TC-12."""
    sequential: bool = False
    """Strictly sequential heads: each has an optimiser of its own and steps after the heads before
    it, whose mistakes after their step weigh its pairs; the branches step before all of them."""
    normalise: bool = True
    """Standardise every score over the batch, so that no symbol takes all rows."""

    def __post_init__(self) -> None:
        if self.symbols < 2:
            raise ValueError(f"symbols: expected >= 2; got {self.symbols}")
        if not self.ranking and self.symbols != 2:
            raise ValueError(f"symbols: expected 2 where ranking is off; got {self.symbols}")
        if not 0 <= self.smoothing < 0.5:
            raise ValueError(f"smoothing: expected in [0, 0.5); got {self.smoothing}")


def first_weights(similar: Tensor, *, balanced: bool) -> Tensor:
    """D_1, the weights of all pairs before any head.

    Args:
        similar: S, bool `[B, B]`.
        balanced: similar and dissimilar pairs get the same mass, where there are both.

    Returns:
        float32 `[B, B]`, sum 1.
    """
    if not balanced:
        return torch.full(similar.shape, 1 / similar.numel(), device=similar.device)
    near, far = similar.sum().clamp(min=1), (~similar).sum().clamp(min=1)
    weights = torch.where(similar, 1 / near, 1 / far)
    return weights / weights.sum()


def boost(weights: Tensor, wrong: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """One round of AdaBoost over pairs.

    Args:
        weights: D_t, `[B, B]`, sum 1.
        wrong: where head t agrees on a dissimilar or disagrees on a similar pair, bool `[B, B]`.
        shrinkage: nu.

    Returns:
        D_{t+1}, `[B, B]`, sum 1, and eps_t, scalar. The weights stay where eps_t >= .5.
    """
    error = (weights * wrong).sum()
    odds = (1 - error) / error.clamp(min=MIN_ERROR)
    # exp(2 alpha): right pairs need no factor, for weights are scaled to sum 1 anyway
    raised = torch.where(wrong, weights * odds.clamp(min=1) ** shrinkage, weights)
    return raised / raised.sum(), error


def boosted_weights(wrong: Tensor, first: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    """D_t and eps_t of all heads in order.

    Args:
        wrong: bool `[T, B, B]`.
        first: D_1, `[B, B]`.
        shrinkage: nu.

    Returns:
        Weights `[T, B, B]` and errors `[T]`.
    """
    weights, errors, current = [], [], first
    for head in wrong:
        weights.append(current)
        current, error = boost(current, head, shrinkage)
        errors.append(error)
    return torch.stack(weights), torch.stack(errors)


def symbol_agreement(image: Tensor, text: Tensor, beta: float) -> Tensor:
    """a_t,ij = softmax(beta x_ti) . softmax(beta y_tj) of scores `[B, T, Kc]`, `[T, B, B]`."""
    p, q = torch.softmax(beta * image, dim=2), torch.softmax(beta * text, dim=2)
    return p.permute(1, 0, 2) @ q.permute(1, 2, 0)


def sign_agreement(image: Tensor, text: Tensor) -> Tensor:
    """a_t,ij = sigmoid(u_ti v_tj) of outputs `[B, T, 1]`, `[T, B, B]`."""
    return torch.sigmoid(image.permute(1, 0, 2) @ text.permute(1, 2, 0))


def agreement_likelihood(
    agreement: Tensor, similar: Tensor, weights: Tensor, smoothing: float
) -> Tensor:
    """-mean_t sum_ij D_t,ij [ S ln a' + (1 - S) ln(1 - a') ], a' = delta + (1 - 2 delta) a.

    Args:
        agreement: a, `[T, B, B]`.
        similar: S, bool `[B, B]`.
        weights: D, `[T, B, B]`.
        smoothing: delta.
    """
    # a' where S = 1, 1 - a' where S = 0, linear in a
    slope = (1 - 2 * smoothing) * (2 * similar.to(agreement) - 1)
    likelihood = torch.addcmul(0.5 - 0.5 * slope, slope, agreement)  # [T, B, B]
    return -(weights * likelihood.log()).sum() / len(agreement)


class Heads(nn.Module):
    """T hash functions over the features of one modality.

    Args:
        width: features, d.
        heads: T.
        columns: scores a head: Kc, or one where bits are signs.
        separate: every head has parameters of its own; otherwise all share one matrix.
        normalise: standardise every score over the batch.
    """

    def __init__(
        self, width: int, heads: int, columns: int, *, separate: bool, normalise: bool
    ) -> None:
        super().__init__()
        self.columns = columns
        sizes = [columns] * heads if separate else [heads * columns]
        self.parts = nn.ModuleList(output_layers(width, n, normalise=normalise) for n in sizes)

    def forward(self, features: Tensor) -> Tensor:
        """Scores of all heads, `[B, d]` -> `[B, T, columns]`."""
        joined = torch.cat([part(features) for part in self.parts], dim=1).float()
        return joined.reshape(len(features), -1, self.columns)

    def one(self, head: int, features: Tensor) -> Tensor:
        """Scores of one of the separate heads, `[B, d]` -> `[B, 1, columns]`."""
        scores: Tensor = self.parts[head](features).float()
        return scores[:, None]

    @torch.no_grad()
    def redraw(self, head: int) -> None:
        """Weights of a new linear layer for one head; in place, so that its optimiser goes on."""
        separate = len(self.parts) > 1
        linear: nn.Linear = self.parts[head if separate else 0][0]  # type: ignore[index]
        start = 0 if separate else head * self.columns
        rows = slice(start, start + self.columns)
        fresh = nn.Linear(linear.in_features, self.columns)
        linear.weight[rows] = fresh.weight.to(linear.weight)
        linear.bias[rows] = fresh.bias.to(linear.bias)


class _Round(NamedTuple):
    """How far strictly sequential heads have come on one batch."""

    image: Tensor  # phi, [B, d]
    text: Tensor  # psi, [B, d]
    similar: Tensor  # S, bool [B, B]
    weights: Tensor  # D_t, [B, B]


class DRH(Method):
    """Two branches under T heads each that rank symbols, boosted pair by pair."""

    config: DRHConfig
    components: ClassVar[Components] = {
        "ranking-based hash function": {"ranking": False},
        "AdaBoost": {"boosting": False},
    }
    error_sum: Tensor
    error_count: Tensor

    def __init__(self, config: DRHConfig, spec: ProblemSpec) -> None:
        super().__init__(config, spec)
        self.heads = int(spec.bits / math.log2(config.symbols))
        if self.heads < 1:
            raise ValueError(
                f"symbols: expected at most 2 ** bits, {2**spec.bits}; got {config.symbols}"
            )
        self.image_branch = build_branch(spec.image, config.branch)
        self.text_branch = build_branch(spec.text, config.branch)
        self.image_heads = self._new_heads(self.image_branch.width)
        self.text_heads = self._new_heads(self.text_branch.width)
        # What the epoch so far says of each head; begin_epoch acts on it, also after a resume.
        self.register_buffer("error_sum", torch.zeros(self.heads))
        self.register_buffer("error_count", torch.zeros(()))
        self.beta = 1.0
        self._round: _Round | None = None

    @property
    def code_bits(self) -> int:
        """Stored bits: T where symbols are two, T Kc otherwise."""
        return self.heads * (1 if self.config.symbols == 2 else self.config.symbols)

    @property
    def information_bits(self) -> float:
        """What a code can say, T log2 Kc."""
        return self.heads * math.log2(self.config.symbols)

    def encode_image(self, image: Tensor) -> Tensor:
        """Above zero where a bit of the code is 1, `[B, code_bits]`."""
        return self._bits(self.image_heads(self.image_branch(image)))

    def encode_text(self, text: Tensor) -> Tensor:
        """Above zero where a bit of the code is 1, `[B, code_bits]`."""
        return self._bits(self.text_heads(self.text_branch(text)))

    def phases(self) -> tuple[Phase, ...]:
        """One optimiser, or the branches' and one for each head."""
        if not self.config.sequential:
            return super().phases()
        branches = [*self.image_branch.parameters(), *self.text_branch.parameters()]
        pairs = zip(self.image_heads.parts, self.text_heads.parts, strict=True)
        return (
            Phase("branches", branches),
            *(
                Phase(f"head {t}", [*image.parameters(), *text.parameters()])
                for t, (image, text) in enumerate(pairs)
            ),
        )

    def begin_epoch(self, epoch: int, epochs: int, embed_all: EmbedAll) -> None:
        """Sharpen the softmax; heads that were no better than chance start anew."""
        self.beta = self.config.beta ** (epoch / max(epochs - 1, 1))
        if self.config.boosting and epoch < self.config.redraw_until * epochs:
            chance = self.error_sum >= 0.5 * self.error_count.clamp(min=1)
            for head in chance.nonzero().ravel().tolist():
                self.image_heads.redraw(head)
                self.text_heads.redraw(head)
        self.error_sum.zero_()
        self.error_count.zero_()

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Boosted pairwise likelihood of the agreements of all heads, or of one in its turn."""
        if phase.startswith("head "):
            return self._in_turn(batch, int(phase.removeprefix("head ")))
        image = self.gather(self.image_heads(self.image_branch(batch.image)))  # [B, T, Kc]
        text = self.gather(self.text_heads(self.text_branch(batch.text)))
        with torch.autocast(image.device.type, enabled=False):
            similar = shared_labels(batch.labels, batch.labels) > 0  # [B, B]
            weights = first_weights(similar, balanced=self.config.balanced)
            if self.config.boosting:
                wrong = self._wrong(image, text, similar)
                weights, errors = boosted_weights(wrong, weights, self.config.shrinkage)
                self.error_sum += errors
                self.error_count += 1
            return self._terms(image, text, similar, weights)

    def _new_heads(self, width: int) -> Heads:
        config = self.config
        columns = config.symbols if config.ranking else 1
        return Heads(
            width,
            self.heads,
            columns,
            separate=config.sequential,
            normalise=config.normalise,
        )

    def _in_turn(self, batch: Batch, head: int) -> LossTerms:
        """Head `head` on a batch, after the optimisers of the heads before it have stepped."""
        with torch.no_grad():
            now = self._open(batch) if head == 0 else self._advanced(head)
        self._round = now
        image = self.image_heads.one(head, now.image)  # [B, 1, Kc]
        text = self.text_heads.one(head, now.text)
        with torch.autocast(image.device.type, enabled=False):
            return self._terms(image, text, now.similar, now.weights)

    def _open(self, batch: Batch) -> _Round:
        similar = shared_labels(batch.labels, batch.labels) > 0
        return _Round(
            self.gather(self.image_branch(batch.image)),
            self.gather(self.text_branch(batch.text)),
            similar,
            first_weights(similar, balanced=self.config.balanced),
        )

    def _advanced(self, head: int) -> _Round:
        """The round of the head before, with the weights that its step leaves to this one."""
        assert self._round is not None, "phases step in order"
        now = self._round
        if not self.config.boosting:
            return now
        image = self.image_heads.one(head - 1, now.image)
        text = self.text_heads.one(head - 1, now.text)
        wrong = self._wrong(image, text, now.similar)[0]
        weights, _ = boost(now.weights, wrong, self.config.shrinkage)
        return now._replace(weights=weights)

    def _terms(self, image: Tensor, text: Tensor, similar: Tensor, weights: Tensor) -> LossTerms:
        if self.config.ranking:
            agreement = symbol_agreement(image, text, self.beta)
        else:
            agreement = sign_agreement(image, text)
        loss = agreement_likelihood(agreement, similar, weights, self.config.smoothing)
        return LossTerms({"pairs": Term(1.0, loss)})

    def _wrong(self, image: Tensor, text: Tensor, similar: Tensor) -> Tensor:
        """Where the symbols of scores `[B, T, Kc]` contradict the labels, bool `[T, B, B]`."""
        c, d = (self._symbols(scores).T for scores in (image, text))  # [T, B]
        return (c[:, :, None] == d[:, None, :]) != similar

    def _symbols(self, scores: Tensor) -> Tensor:
        return scores.argmax(dim=2) if self.config.ranking else (scores[:, :, 0] > 0).long()

    def _bits(self, scores: Tensor) -> Tensor:
        """`[B, T, Kc]` -> `[B, code_bits]`; the first of equal scores is the symbol."""
        if not self.config.ranking:
            return scores[:, :, 0]
        if self.config.symbols == 2:
            return scores[:, :, 1] - scores[:, :, 0]
        best = scores.topk(2, dim=2).values
        lead = (best[:, :, :1] - best[:, :, 1:]).clamp(min=torch.finfo(scores.dtype).tiny)
        symbol = scores.argmax(dim=2, keepdim=True)
        return (scores - best[:, :, :1]).scatter(2, symbol, lead).flatten(1)
