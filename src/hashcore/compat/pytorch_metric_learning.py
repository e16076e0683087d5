"""Codes in pytorch-metric-learning (extra `metric-learning`).

`HammingKNN` is a `knn_func` of `AccuracyCalculator` and `InferenceModel`: embeddings are packed by
sign, as `hashcore.pack` does, and searched exactly. `HammingDistance` goes into losses, miners and
`MatchFinder`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashcore._arrays import describe
from hashcore._extras import needs
from hashcore.codes import pack
from hashcore.compat._neighbours import without_self
from hashcore.index import Index, IndexKind
from hashcore.ops import pack_sign
from hashcore.ops._library import wide
from hashcore.search import knn

with needs("metric-learning"):
    from pytorch_metric_learning.distances import BaseDistance

Embeddings = Tensor | NDArray[np.floating[Any]]


class HammingKNN:
    """Exact nearest neighbours of embeddings by the Hamming distance of their signs.

    Called with references, it searches those; without, what `train` and `add` keep in `index`.
    Hits come by ascending (distance, row).

    Args:
        kind: of the kept index, as of `hashcore.Index`.
        threads: of a search; default `hashcore.num_threads()`.

    Attributes:
        index: what is kept, None before `train` or `load`.
    """

    def __init__(self, *, kind: IndexKind = "auto", threads: int | None = None) -> None:
        self.kind: IndexKind = kind
        self.threads = threads
        self.index: Index | None = None

    def __call__(
        self,
        query: Tensor,
        k: int,
        reference: Tensor | None = None,
        ref_includes_query: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Find the k nearest references of each query.

        Args:
            query: floats `[Q, K]`, on any device.
            k: hits a query, >= 1.
            reference: floats `[N, K]`; None for what is kept.
            ref_includes_query: whether query i is reference i, which then is none of its hits.

        Returns:
            Numbers of differing bits, float32 `[Q, k]`, and rows of the references, int64 `[Q, k]`,
            where the queries are.

        Raises:
            TypeError: no floats.
            ValueError: NaN, widths that differ, more hits than there are references, or nothing
                is kept.
        """
        bits, codes = query.shape[-1], _codes("query", query)
        if k < 1:
            raise ValueError(f"k: expected a number >= 1; got {k}.")
        if reference is None and self.index is None:
            raise ValueError("reference: expected floats [N, K], or train() before; got neither.")
        own = int(ref_includes_query)
        if reference is not None:
            references = _codes("reference", reference)
            _check_fit(bits, reference.shape[-1], k + own, len(references), own)
            result = knn(references, codes, k + own, threads=self.threads)
        elif self.index is not None:
            _check_fit(bits, self.index.bits, k + own, len(self.index), own)
            result = self.index.search(codes, k + own, threads=self.threads)
        distances, rows = without_self(result) if own else result
        return (
            torch.from_numpy(distances).to(query.device, torch.float32),
            torch.from_numpy(rows).to(query.device),
        )

    def train(self, embeddings: Embeddings) -> None:
        """Keep these embeddings instead of any before: floats `[N, K]`."""
        codes = _codes("embeddings", embeddings)
        self.index = Index.from_codes(codes, bits=embeddings.shape[1], kind=self.kind)

    def add(self, embeddings: Embeddings) -> None:
        """Keep these embeddings too: floats `[N, K]`; their rows count on."""
        if self.index is None:
            self.train(embeddings)
            return
        if embeddings.shape[-1] != self.index.bits:
            raise ValueError(
                f"embeddings: expected floats [N, {self.index.bits}]; got {describe(embeddings)}."
            )
        self.index.add(_codes("embeddings", embeddings))

    def reset(self) -> None:
        """Keep nothing."""
        self.index = None

    def save(self, filename: str | os.PathLike[str]) -> None:
        """Write what is kept to a file of `hashcore.Index`."""
        if self.index is None:
            raise ValueError("save: expected train() before; got nothing to save.")
        self.index.save(filename)

    def load(self, filename: str | os.PathLike[str]) -> None:
        """Keep what `save` wrote, or any file of `hashcore.Index`."""
        self.index = Index.load(filename)


class HammingDistance(BaseDistance):  # type: ignore[misc]
    """The Hamming distance of the signs of embeddings, or its relaxation, in bits.

    With h = tanh(beta u) (HashNet, Cao et al., ICCV 2017) for outputs u `[B, K]`, the distance of
    two rows is (K - h h'^T) / 2. It tends to the Hamming distance of their codes as beta grows, and
    can be differentiated.

    Outputs are not normalised: a code knows no length. Margins are numbers of bits.

    Args:
        exact: take signs for h, -1 at zero, so that values are Hamming distances of what
            `hashcore.pack` makes: whole bits, computed in float32 or float64. Gradients pass the
            signs as those of tanh(beta u) (straight through; Bengio et al., arXiv 1308.3432). For
            miners and matches, and for losses that should see codes.
        beta: > 0, and may be set between steps: `distance.beta = 2.0`.
        collect_stats: as of any distance.
    """

    exact: bool
    beta: float

    def __init__(
        self, *, exact: bool = False, beta: float = 1.0, collect_stats: bool | None = None
    ) -> None:
        if not beta > 0:
            raise ValueError(f"beta: expected a number > 0; got {beta}.")
        super().__init__(normalize_embeddings=False, collect_stats=collect_stats)
        self.exact = exact
        self.beta = beta
        self.add_to_recordable_attributes(list_of_names=["exact", "beta"], is_stat=False)

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor | None) -> Tensor:
        """Distances of all pairs, floats `[Q, N]`."""
        with torch.autocast(query_emb.device.type, enabled=False):  # halves count no bits
            h = self._signs(query_emb)
            other = h if ref_emb is None or ref_emb is query_emb else self._signs(ref_emb)
            return (h.shape[1] - h @ other.T) / 2

    def pairwise_distance(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """Distances of rows to rows, floats `[B]`."""
        products = self._signs(query_emb) * self._signs(ref_emb)  # [B, K]
        return (products.shape[1] - products.sum(dim=1)) / 2

    def _signs(self, u: Tensor) -> Tensor:
        u = wide(u)
        relaxed = torch.tanh(self.beta * u)
        if not self.exact:
            return relaxed
        signs = torch.where(u > 0, 1.0, -1.0).to(u.dtype)
        return signs + (relaxed - relaxed.detach()) if u.requires_grad else signs


def _codes(name: str, x: Embeddings) -> NDArray[np.uint8]:
    """Packed signs `[n, ceil(K / 8)]`, of a GPU packed before they leave it."""
    tensor = torch.from_numpy(x) if isinstance(x, np.ndarray) else x
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.ndim != 2:
        raise TypeError(f"{name}: expected floats [n, K]; got {describe(x)}.")
    if tensor.device.type == "cpu":
        same = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        try:
            return pack(same.contiguous())
        except ValueError as error:  # it knows the values as x
            raise ValueError(f"{name}{str(error).removeprefix('x')}") from None
    if tensor.isnan().any():
        raise ValueError(f"{name}: expected numbers; got NaN.")
    codes: NDArray[np.uint8] = pack_sign(tensor).cpu().numpy()
    return codes


def _check_fit(bits: int, reference_bits: int, hits: int, references: int, own: int) -> None:
    if bits != reference_bits:
        raise ValueError(
            f"query: expected floats [Q, {reference_bits}], as the references; got [Q, {bits}]."
        )
    if hits > references:
        raise ValueError(
            f"k: expected at most {references - own}, for there are {references} references; got "
            f"{hits - own}."
        )
