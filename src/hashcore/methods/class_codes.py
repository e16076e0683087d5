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

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.base import (
    Batch,
    EmbedAll,
    LossTerms,
    Method,
    Modality,
    Phase,
    ProblemSpec,
    Term,
)
from hashcore.methods.decoding import confident_codes, expected_precision_codes
from hashcore.methods.kernel_classes import KernelClassifier
from hashcore.methods.label_codes import LabelEncoder
from hashcore.ops import Ops

Side = Literal["query", "database"]
_OUTPUTS = 128


def below_heads(spec: ProblemSpec) -> ProblemSpec:
    """The problem for a method whose outputs heads read."""
    return replace(spec, bits=_OUTPUTS)


class Classifier(nn.Module):
    """A method, and heads that read the classes from its outputs."""

    def __init__(self, method: Method, prior: Tensor) -> None:
        super().__init__()
        self.method = method
        self.image_head = nn.Linear(method.code_bits, method.spec.classes)
        self.text_head = nn.Linear(method.code_bits, method.spec.classes)
        # From even odds, the many rare classes of a set take more epochs than there are.
        with torch.no_grad():
            self.image_head.bias.copy_(prior)
            self.text_head.bias.copy_(prior)

    def outputs(self, modality: Modality, x: Tensor) -> Tensor:
        """Of the method, `[B, M]`."""
        image = modality == "image"
        return self.method.encode_image(x) if image else self.method.encode_text(x)

    def logits(self, modality: Modality, x: Tensor) -> Tensor:
        """Of the classes, `[B, C]`."""
        head = self.image_head if modality == "image" else self.text_head
        logits: Tensor = head(self.outputs(modality, x))
        return logits.float()

    def phases(self) -> tuple[Phase, ...]:
        """Those of the method; the first moves the heads too."""
        first, *others = self.method.phases()
        heads = [*self.image_head.parameters(), *self.text_head.parameters()]
        return (replace(first, parameters=[*first.parameters, *heads]), *others)


class Kernels(nn.Module):
    """A kernel classifier a modality.

    Args:
        share: of their probabilities beside those of the networks, above 0, at most 1.
    """

    def __init__(self, image: KernelClassifier, text: KernelClassifier, share: float) -> None:
        super().__init__()
        self.image, self.text, self.share = image, text, share

    def forward(self, modality: Modality, x: Tensor) -> Tensor:
        """Probabilities of the classes, `[B, C]`."""
        likely: Tensor = (self.image if modality == "image" else self.text)(x)
        return likely


class ClassCoded(Method):
    """Any method, with codes of classes in place of its outputs.

    Args:
        methods: of one kind and shape, which are trained side by side; their probabilities are
            averaged.
        encoder: turns probabilities into bits.
        weight: of the class likelihood.
        kernels: classifiers of both modalities' features beside the networks, if any.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        encoder: LabelEncoder,
        weight: float,
        kernels: Kernels | None = None,
    ) -> None:
        first = methods[0]
        super().__init__(first.config, replace(first.spec, bits=encoder.bits))
        self.members = nn.ModuleList([Classifier(method, encoder.prior) for method in methods])
        self.encoder = encoder
        self.weight = weight
        self.kernels = kernels
        self._first_phase = first.phases()[0].name
        self._embedded: Classifier | None = None

    @property
    def code_bits(self) -> int:
        """Width of the codes; of the outputs of a member while those are embedded."""
        return self.spec.bits if self._embedded is None else self._embedded.method.code_bits

    def encode_image(self, image: Tensor) -> Tensor:
        """Code outputs `[B, K]`."""
        return self._encode("image", image)

    def encode_text(self, text: Tensor) -> Tensor:
        """Code outputs `[B, K]`."""
        return self._encode("text", text)

    def encode_side(self, side: Side, modality: Modality, x: Tensor) -> Tensor:
        """Code outputs `[B, K]` for one side of a search.

        Args:
            side: "query", that searches items whose codes are those of their labels; or "database",
                that is searched.
            modality: of `x`.
            x: a batch of images or texts.
        """
        if not self.encoder.exclusive:
            return self._encode(modality, x)
        likely, codes = self.probabilities(modality, x), self.encoder.codes
        if side == "query":
            return expected_precision_codes(likely, codes, self.encoder.class_sizes)
        return confident_codes(likely, codes)

    def probabilities(self, modality: Modality, x: Tensor) -> Tensor:
        """Of the classes, `[B, C]`: the mean over the members, and the kernels' share of it."""
        logits = torch.stack([member.logits(modality, x) for member in self._classifiers()])
        each = F.softmax(logits, dim=2) if self.encoder.exclusive else torch.sigmoid(logits)
        likely = each.mean(dim=0)
        if self.kernels is None:
            return likely
        return likely.lerp(self.kernels(modality, x), self.kernels.share)

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """The method's terms, and with its first optimiser the class likelihood.

        Their means over the members, who share no parameter.
        """
        each = [self._member_losses(member, batch, phase) for member in self._classifiers()]
        return LossTerms(
            {
                name: Term(term.weight, torch.stack([e[name].value for e in each]).mean())
                for name, term in each[0].items()
            }
        )

    def phases(self) -> tuple[Phase, ...]:
        """Those of the method; the first moves the heads too."""
        of_members = zip(*(member.phases() for member in self._classifiers()), strict=True)
        return tuple(
            replace(alike[0], parameters=[p for phase in alike for p in phase.parameters])
            for alike in of_members
        )

    def gather_with(self, gather: Callable[[Tensor], Tensor] | None) -> None:
        """Let `gather` collect rows from all processes; None for one process."""
        super().gather_with(gather)
        for member in self._classifiers():
            member.method.gather_with(gather)

    def compute_with(self, ops: Ops) -> None:
        """As the method's."""
        super().compute_with(ops)
        for member in self._classifiers():
            member.method.compute_with(ops)

    def begin_fit(self, rows: int) -> None:
        """As the method's."""
        for member in self._classifiers():
            member.method.begin_fit(rows)

    def begin_epoch(self, epoch: int, epochs: int, embed_all: EmbedAll) -> None:
        """As the method's; every member embeds its own outputs."""

        def outputs(member: Classifier) -> tuple[Tensor, Tensor]:
            self._embedded = member
            try:
                return embed_all()
            finally:
                self._embedded = None

        for member in self._classifiers():
            member.method.begin_epoch(epoch, epochs, partial(outputs, member))

    def _classifiers(self) -> Sequence[Classifier]:
        return cast("Sequence[Classifier]", self.members)

    def _member_losses(self, member: Classifier, batch: Batch, phase: str) -> dict[str, Term]:
        terms = dict(member.method.losses(batch, phase).terms)
        if phase == self._first_phase:
            inputs: tuple[tuple[Modality, Tensor], ...]
            inputs = (("image", batch.image), ("text", batch.text))
            logits = [self.gather(member.logits(modality, x)) for modality, x in inputs]
            with torch.autocast(batch.labels.device.type, enabled=False):
                likelihoods = [
                    class_likelihood(each, batch.labels, exclusive=self.encoder.exclusive)
                    for each in logits
                ]
            terms["classes"] = Term(self.weight, likelihoods[0] + likelihoods[1])
        return terms

    def _encode(self, modality: Modality, x: Tensor) -> Tensor:
        if self._embedded is not None:
            return self._embedded.outputs(modality, x)
        coded: Tensor = self.encoder(self.probabilities(modality, x))
        return coded


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
