r"""Codes of classes: bits that say which classes are likely, for any method.

A linear head reads the probabilities p of the classes from a method's outputs, and a label encoder
turns them into K bits, those of an item as those of its labels. The outputs are equally many for
any K, so that few bits do not narrow what the head sees. It is trained beside the method's own
terms by the likelihood of the labels (softmax where each row has one class, else one sigmoid a
class). Labels can then be encoded without any features, networks that were trained apart share one
code space, and a query whose database follows the labels can be decoded for expected average
precision. A database item whose classes are unsure is moved away from all class codes, so that sure
ones rank before it; signs alone would say only which classes lead. Class codes are those of central
similarity [F: CSQ], at large minimum distance.

exclusive classes    sign( sum_c p_c w_c - mean_c w_c ),  w_c in -1, +1 fixed
several classes      sign( BN(MLP(p)) ), learned from the labels of the training rows: pairwise
                     likelihood of h_i . h_j, pairs that share a class against those that do not,
                     h = sign by the straight-through estimator
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.base import Batch, EmbedAll, LossTerms, Method, Phase, ProblemSpec, Term
from hashcore.methods.relevance import shared_labels

Side = Literal["query", "database"]
_OUTPUTS = 128
_LABEL_WIDTH = 512
_LABEL_STEPS = 1000
_SHARE_OF_UNSURE = 0.7  # a, below 1: probabilities of unsure items count for a little more


def below_heads(spec: ProblemSpec) -> ProblemSpec:
    """The problem for a method whose outputs heads read."""
    return replace(spec, bits=_OUTPUTS)


class _Sign(torch.autograd.Function):
    """Sign with the gradient of the identity inside -1..1 (straight through)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x > 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0].mul(x.abs() <= 1)


def distant_codes(count: int, bits: int, seed: int) -> Tensor:
    """Codes of large minimum distance, -1 or +1, `[count, bits]`.

    Rows and columns of a Hadamard matrix, where half of all bits differ, are drawn repeatedly; the
    draw with the largest minimum distance is kept.
    """
    size = 1
    while size < max(count, bits):
        size *= 2
    hadamard = torch.ones(1, 1)
    while len(hadamard) < size:
        hadamard = torch.cat(
            [torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)]
        )
    draw = torch.Generator().manual_seed(seed)
    best, least = hadamard, -1.0
    for _ in range(200):
        rows = torch.randperm(size, generator=draw)[:count]
        columns = torch.randperm(size, generator=draw)[:bits]
        signs = torch.randint(0, 2, (1, bits), generator=draw) * 2 - 1
        codes = hadamard[rows][:, columns] * signs
        products = codes @ codes.T - 2 * bits * torch.eye(count)
        # Among equals, one whose bits are balanced over the classes.
        worst = bits - float(products.max()) - float(codes.mean(0).abs().mean())
        if worst > least:
            best, least = codes, worst
    return best


class LabelEncoder(nn.Module):
    """Turns classes, or probabilities of them, into outputs whose signs are bits.

    Attributes:
        bits: width of the codes, K.
        exclusive: every training row has one class.
    """

    class_sizes: Tensor
    rows: Tensor

    def __init__(self, classes: int, bits: int, *, exclusive: bool) -> None:
        super().__init__()
        self.bits, self.exclusive = bits, exclusive
        layers: list[nn.Module] = [nn.Linear(classes, bits)]
        if not exclusive:
            layers = [
                nn.Linear(classes, _LABEL_WIDTH),
                nn.ReLU(),
                nn.Linear(_LABEL_WIDTH, bits),
                nn.BatchNorm1d(bits, affine=False),
            ]
        self.layers = nn.Sequential(*layers)
        self.register_buffer("class_sizes", torch.zeros(classes))
        self.register_buffer("rows", torch.ones(()))
        self.requires_grad_(False)

    @classmethod
    def fit(cls, labels: Tensor, bits: int, seed: int) -> LabelEncoder:
        """The encoder for training labels, bool `[N, C]`."""
        exclusive = bool((labels.sum(dim=1) == 1).all())
        made = cls(labels.shape[1], bits, exclusive=exclusive)
        made.class_sizes.copy_(labels.sum(dim=0))
        made.rows.fill_(len(labels))
        if exclusive:
            codes = distant_codes(labels.shape[1], bits, seed)
            linear = made.layers[0]
            assert isinstance(linear, nn.Linear)
            linear.weight.copy_(codes.T)
            mean = codes.mean(dim=0)  # a bit that all classes share stays as it is
            linear.bias.copy_(torch.where(mean.abs() < 1, -mean, torch.zeros_like(mean)))
        else:
            made._learn(labels)
        return made.eval()

    def forward(self, classes: Tensor) -> Tensor:
        """`[n, C]` labels or probabilities -> `[n, K]`."""
        out: Tensor = self.layers(classes)
        return out

    def train(self, mode: bool = True) -> LabelEncoder:
        """Stays in evaluation mode: it has been trained."""
        return super().train(False)

    @property
    def codes(self) -> Tensor:
        """Of exclusive classes, -1 or +1, `[C, K]`."""
        eye = torch.eye(len(self.class_sizes), device=self.class_sizes.device)
        return torch.where(self(eye) > 0, 1.0, -1.0)

    @property
    def prior(self) -> Tensor:
        """Logits `[C]` of how often the classes hold in the training rows."""
        share = ((self.class_sizes + 0.5) / (self.rows + 1)).clamp(max=1 - 1e-3)
        return share.log() if self.exclusive else torch.logit(share)

    def _learn(self, labels: Tensor) -> None:
        self.requires_grad_(True)
        super().train(True)
        optimiser = torch.optim.Adam(self.parameters(), lr=3e-3)
        rows = min(256, len(labels))
        with torch.enable_grad():
            for _ in range(_LABEL_STEPS):
                drawn = labels[torch.randint(len(labels), (rows,))]
                codes = _Sign.apply(self.layers(drawn.float()))  # type: ignore[no-untyped-call]
                loss = _code_likelihood(codes, shared_labels(drawn, drawn) > 0)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        self.requires_grad_(False)


def _code_likelihood(codes: Tensor, similar: Tensor) -> Tensor:
    """Pairwise likelihood of codes `[B, K]`; similar and dissimilar pairs weigh the same."""
    # h_i . h_j of random codes spreads by sqrt K: theta is in units of half of that.
    theta = codes @ codes.T * (2 / math.sqrt(codes.shape[1]))  # [B, B]
    each = F.softplus(theta) - similar * theta
    near = (each * similar).sum() / similar.sum().clamp(min=1)
    far = (each * ~similar).sum() / (~similar).sum().clamp(min=1)
    return near + far


class ClassCoded(Method):
    """Any method, with codes of classes in place of its outputs."""

    def __init__(self, method: Method, encoder: LabelEncoder, weight: float) -> None:
        super().__init__(method.config, replace(method.spec, bits=encoder.bits))
        self.method = method
        self.encoder = encoder
        self.weight = weight
        self.image_head = nn.Linear(method.code_bits, method.spec.classes)
        self.text_head = nn.Linear(method.code_bits, method.spec.classes)
        # From even odds, the many rare classes of a set take more epochs than there are.
        with torch.no_grad():
            self.image_head.bias.copy_(encoder.prior)
            self.text_head.bias.copy_(encoder.prior)
        self._first_phase = method.phases()[0].name
        self._of_method = False

    @property
    def code_bits(self) -> int:
        """Width of the codes; of the method's outputs while those are embedded."""
        return self.method.code_bits if self._of_method else self.spec.bits

    def encode_image(self, image: Tensor) -> Tensor:
        """Code outputs `[B, K]`."""
        return self._encode(self.method.encode_image(image), self.image_head)

    def encode_text(self, text: Tensor) -> Tensor:
        """Code outputs `[B, K]`."""
        return self._encode(self.method.encode_text(text), self.text_head)

    def encode_side(self, side: Side, modality: Literal["image", "text"], x: Tensor) -> Tensor:
        """Code outputs `[B, K]` for one side of a search.

        Args:
            side: "query", that searches items whose codes are those of their labels; or "database",
                that is searched.
            modality: of `x`.
            x: a batch of images or texts.
        """
        image = modality == "image"
        output = self.method.encode_image(x) if image else self.method.encode_text(x)
        head = self.image_head if image else self.text_head
        if not self.encoder.exclusive:
            return self._encode(output, head)
        likely, codes = self._probabilities(head(output)), self.encoder.codes
        if side == "query":
            return expected_precision_codes(likely, codes, self.encoder.class_sizes)
        return confident_codes(likely, codes)

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """The method's terms, and with its first optimiser the class likelihood."""
        terms = dict(self.method.losses(batch, phase).terms)
        if phase == self._first_phase:
            image = self.gather(self.image_head(self.method.encode_image(batch.image)))  # [B, C]
            text = self.gather(self.text_head(self.method.encode_text(batch.text)))
            exclusive = self.encoder.exclusive
            with torch.autocast(image.device.type, enabled=False):
                likelihoods = [
                    class_likelihood(logits.float(), batch.labels, exclusive=exclusive)
                    for logits in (image, text)
                ]
            terms["classes"] = Term(self.weight, likelihoods[0] + likelihoods[1])
        return LossTerms(terms)

    def phases(self) -> tuple[Phase, ...]:
        """Those of the method; the first moves the heads too."""
        first, *others = self.method.phases()
        heads = [*self.image_head.parameters(), *self.text_head.parameters()]
        return (replace(first, parameters=[*first.parameters, *heads]), *others)

    def gather_with(self, gather: Callable[[Tensor], Tensor] | None) -> None:
        """Let `gather` collect rows from all processes; None for one process."""
        super().gather_with(gather)
        self.method.gather_with(gather)

    def begin_fit(self, rows: int) -> None:
        """As the method's."""
        self.method.begin_fit(rows)

    def begin_epoch(self, epoch: int, epochs: int, embed_all: EmbedAll) -> None:
        """As the method's, which embeds its own outputs."""

        def outputs() -> tuple[Tensor, Tensor]:
            self._of_method = True
            try:
                return embed_all()
            finally:
                self._of_method = False

        self.method.begin_epoch(epoch, epochs, outputs)

    def _encode(self, output: Tensor, head: nn.Linear) -> Tensor:
        if self._of_method:
            return output
        coded: Tensor = self.encoder(self._probabilities(head(output)))
        return coded

    def _probabilities(self, logits: Tensor) -> Tensor:
        logits = logits.float()
        return F.softmax(logits, dim=1) if self.encoder.exclusive else torch.sigmoid(logits)


def class_likelihood(logits: Tensor, labels: Tensor, *, exclusive: bool) -> Tensor:
    """Negative log-likelihood of the labels, softmax or one sigmoid a class.

    Args:
        logits: `[B, C]`.
        labels: bool `[B, C]`.
        exclusive: every row has one class.

    Returns:
        The mean over rows; of several classes, over the labels that hold, so that rare classes do
        not thin it out.
    """
    target = labels.to(logits)
    if exclusive:
        return F.cross_entropy(logits, target)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return each / target.sum().clamp(min=1)


def expected_precision_codes(
    probabilities: Tensor, class_codes: Tensor, class_sizes: Sequence[float] | Tensor
) -> Tensor:
    """The codes that find an item's class soonest, in expectation over its probabilities.

    Among items with the codes of their classes, a code's expected average precision is a sum over
    the classes, ties counted at their expected value.

    Args:
        probabilities: p, `[n, C]`.
        class_codes: w, -1 or +1, `[C, K]`.
        class_sizes: items of each class in the database, `[C]`.

    Returns:
        -1 or +1, `[n, K]`.
    """
    sizes = torch.as_tensor(class_sizes).to(class_codes)
    bits = class_codes.shape[1]

    def precision(products: Tensor, p: Tensor) -> Tensor:
        return (_class_precision((bits - products) / 2, sizes) * p).sum(dim=-1)

    return _climb(probabilities, class_codes, probabilities, precision)


def confident_codes(probabilities: Tensor, class_codes: Tensor) -> Tensor:
    """The codes whose inner products with the class codes are nearest to those of sum_c p_c^a w_c.

    That sum is short where the classes are unsure, so the code is far from all of theirs. Its signs
    alone have the same distances however sure it is.

    Args:
        probabilities: p, `[n, C]`.
        class_codes: w, -1 or +1, `[C, K]`.

    Returns:
        -1 or +1, `[n, K]`.
    """
    wanted = probabilities**_SHARE_OF_UNSURE @ (class_codes @ class_codes.T)  # [n, C]

    def nearness(products: Tensor, wanted: Tensor) -> Tensor:
        return -(products - wanted).square().sum(dim=-1)

    return _climb(probabilities, class_codes, wanted, nearness)


_Value = Callable[[Tensor, Tensor], Tensor]
"""Of inner products with the class codes, `[..., C]`, for an aim that broadcasts: `[...]`."""


def _climb(probabilities: Tensor, class_codes: Tensor, aim: Tensor, value: _Value) -> Tensor:
    """From the sign of the mean code, bits are flipped while that raises the value, best first.

    Args:
        probabilities: p, `[n, C]`.
        class_codes: w, -1 or +1, `[C, K]`.
        aim: of each row, `[n, C]`.
        value: of a code for its aim.
    """
    classes, bits = class_codes.shape
    rows = max(1, 20_000_000 // (bits * classes * max(classes, 16)))
    pieces = zip(torch.split(probabilities, rows), torch.split(aim, rows), strict=True)
    parts = [_climb_rows(p, class_codes, part, value) for p, part in pieces]
    return torch.cat(parts) if parts else probabilities.new_zeros(0, bits)


def _climb_rows(p: Tensor, class_codes: Tensor, aim: Tensor, value: _Value) -> Tensor:
    mean = class_codes.mean(dim=0)
    middle = torch.where(mean.abs() < 1, mean, torch.zeros_like(mean))  # shared bits stay
    codes = torch.where(p @ class_codes > middle, 1.0, -1.0)  # [n, K]
    products = codes @ class_codes.T  # [n, C]
    reached = value(products, aim)  # [n]
    for _ in range(class_codes.shape[1]):
        flipped = products[:, None] - 2 * codes[:, :, None] * class_codes.T  # [n, K, C]
        best, bit = value(flipped, aim[:, None]).max(dim=1)
        rows = (best > reached + 1e-7).nonzero().squeeze(1)
        if not len(rows):
            break
        products[rows] = flipped[rows, bit[rows]]
        codes[rows, bit[rows]] *= -1
        reached[rows] = best[rows]
    return codes


def _class_precision(distance: Tensor, sizes: Tensor) -> Tensor:
    """Average precision if a class is the wanted one: distances to the class codes -> `[..., C]`.

    Its items lie evenly among those of classes as far away; the mean over them is taken at 16
    quantiles.
    """
    own, other = distance[..., :, None], distance[..., None, :]  # [..., C, C]
    before = ((other < own) * sizes).sum(dim=-1)[..., None]
    level = ((other == own) * sizes).sum(dim=-1)[..., None]
    quantiles = (torch.arange(16, device=sizes.device) + 0.5) / 16
    reached = sizes[:, None] * quantiles  # [C, 16]
    return (reached / (before + level * quantiles).clamp(min=1e-9)).mean(dim=-1)
