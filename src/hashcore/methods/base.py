"""The protocol between a method (what is learned) and the trainer (how it is run).

A method owns its networks and its losses; the trainer owns data, optimisers, randomness, progress
and checkpoints, and knows no method by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from hashcore.ops import OPS, Ops

Kind = Literal["features", "pixels", "tokens"]
Modality = Literal["image", "text"]
Role = Literal["any", "database"]
Components = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class InputSpec:
    """What one modality looks like.

    Attributes:
        kind: "features", "pixels" or "tokens".
        shape: shape of one row: `(D,)` features, `(3, H, W)` pixels, `(L,)` tokens.
        vocabulary: for tokens, ids are below this number; 0 otherwise.
        role: "any" rows will be encoded; or those of the database alone, which are trained on and
            may be learned by heart.
    """

    kind: Kind
    shape: tuple[int, ...]
    vocabulary: int = 0
    role: Role = "any"


@dataclass(frozen=True)
class ProblemSpec:
    """The shape of the problem that a method is built for."""

    image: InputSpec
    text: InputSpec
    classes: int
    bits: int


@dataclass(frozen=True)
class Batch:
    """B aligned training rows, standardised and on the method's device.

    Attributes:
        image: float32 `[b, D]` or `[b, 3, H, W]`; b = B where one process trains, else its part.
        text: float32 `[b, D]` or int64 `[b, L]`.
        labels: bool `[B, C]`.
        rows: int64 `[B]`, positions among the N fitted rows, 0..N-1.
    """

    image: Tensor
    text: Tensor
    labels: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)


class Term(NamedTuple):
    """One scalar of a loss and its weight in the total."""

    weight: float
    value: Tensor


@dataclass(frozen=True)
class LossTerms:
    """Named scalar terms: their weighted sum is optimised, their values are shown."""

    terms: Mapping[str, Term]

    @property
    def total(self) -> Tensor:
        """Weighted sum, scalar."""
        return torch.stack([term.weight * term.value for term in self.terms.values()]).sum()

    def detached(self) -> dict[str, Tensor]:
        """The unweighted values without their graphs."""
        return {name: term.value.detach() for name, term in self.terms.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)


@dataclass(frozen=True)
class Phase:
    """One optimiser of a method.

    Attributes:
        name: handed back to `Method.losses`.
        parameters: what this optimiser moves; phases must not share a parameter.
        every: the phase steps on every `every`-th batch.
        lr_scale: factor on the trainer's learning rate.
        betas: Adam's decay rates.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    every: int = 1
    lr_scale: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


EmbedAll = Callable[[], tuple[Tensor, Tensor]]
"""Embeds all N fitted rows, in row order, in evaluation mode: image `[N, K]`, text `[N, K]`."""


class Method(nn.Module, ABC):
    """Base of all methods: two encoders and a loss.

    A subclass takes `(config, spec)`, assigns its networks and implements the three abstract
    methods. Everything else has a default that suits a method with one optimiser.
    """

    binarisation: ClassVar[Literal["zero", "mean"]] = "zero"
    """Where a bit turns to 1: above zero, or above the mean of the training embeddings."""
    components: ClassVar[Components] = {}
    """What the source names: of each component, the fields of the configuration that switch it
    off."""

    def __init__(self, config: Any, spec: ProblemSpec) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.ops = OPS["fused"]
        self._gather: Callable[[Tensor], Tensor] | None = None

    @abstractmethod
    def encode_image(self, image: Tensor) -> Tensor:
        """Real-valued embedding `[B, K]` of prepared images."""

    @abstractmethod
    def encode_text(self, text: Tensor) -> Tensor:
        """Real-valued embedding `[B, K]` of prepared texts."""

    @abstractmethod
    def losses(self, batch: Batch, phase: str) -> LossTerms:
        """Loss terms of one batch for the optimiser called `phase`."""

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of the whole batch, where several processes hold a part of it each.

        Whatever has one row a sample passes here before rows meet each other in a loss; labels
        and row numbers of a batch are whole already. Gradients flow back to every process.

        Args:
            rows: `[b, ...]` of this process.

        Returns:
            `[B, ...]`; `rows` itself where one process trains.
        """
        return rows if self._gather is None else self._gather(rows)

    def gather_with(self, gather: Callable[[Tensor], Tensor] | None) -> None:
        """Let `gather` collect rows from all processes; None for one process."""
        self._gather = gather

    def compute_with(self, ops: Ops) -> None:
        """Let losses be computed by these; the fused ones until then."""
        self.ops = ops

    @property
    def code_bits(self) -> int:
        """Width of `encode_*`; differs from `spec.bits` only where codes are stored one-hot."""
        return self.spec.bits

    def phases(self) -> tuple[Phase, ...]:
        """The optimisers, in the order in which they step."""
        return (Phase("main", list(self.parameters())),)

    def begin_fit(self, rows: int) -> None:
        """Called once before training on `rows` rows; also before a resumed training."""

    def begin_epoch(self, epoch: int, epochs: int, embed_all: EmbedAll) -> None:
        """Called before epoch `epoch` (from 0) of `epochs`.

        State made here and needed later must follow from the weights and the arguments, or live
        in a persistent buffer, so that a resumed run goes the same way.
        """
