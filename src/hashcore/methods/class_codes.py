"""Codes of classes: bits that say which classes are likely, for any method.

A linear head reads the probabilities p of the classes from a method's outputs, and a label encoder
turns them into K bits, those of an item as those of its labels. The outputs are equally many for
any K, so that few bits do not narrow what the head sees. It is trained beside the method's own
terms by the likelihood of the labels (softmax where each row has one class, else one sigmoid a
class). Labels can then be encoded without any features, networks that were trained apart share one
code space, and a query whose database follows the labels can be decoded for expected average
precision. A database item whose classes are unsure is moved away from all class codes, so that sure
ones rank before it; signs alone would say only which classes lead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.base import Batch, EmbedAll, LossTerms, Method, Phase, ProblemSpec, Term
from hashcore.methods.decoding import confident_codes, expected_precision_codes
from hashcore.methods.label_codes import LabelEncoder

Side = Literal["query", "database"]
_OUTPUTS = 128


def below_heads(spec: ProblemSpec) -> ProblemSpec:
    """The problem for a method whose outputs heads read."""
    return replace(spec, bits=_OUTPUTS)


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
