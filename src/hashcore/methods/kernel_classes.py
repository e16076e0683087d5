r"""Classes from kernels: a convex classifier of features beside the networks, for any method.

It knows what networks with dropout know least: which training rows are near. With features x, rows
a_m that it is fitted on, and the probabilities of C classes p (softmax where every row has one
class, else one sigmoid a class):

    kernel      k(x, a) = exp( -s |x - a|^2 / mean_mn |a_m - a_n|^2 )
    classes     p(x) = softmax( f(x) + b ),  f_c(x) = sum_m v_mc k(x, a_m)
    objective   sum over rows of the negative log-likelihood + ridge / 2 sum_c v_c^T K v_c

which is kernel logistic regression [F: Zhu & Hastie 2005]; its one minimum is found by L-BFGS in
the coordinates of K's eigenvectors, where the ridge is that of a linear model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_ROWS = 4096
"""That a classifier is fitted on: its cost grows with their square, its fit with their cube."""
_STEPS = 200
_NEGLIGIBLE = 1e-5  # of the largest eigenvalue: directions that the ridge would leave at zero


class KernelClassifier(nn.Module):
    """Probabilities of the classes by kernel logistic regression on feature vectors.

    Attributes:
        exclusive: every row has one class.
    """

    rows: Tensor
    weights: Tensor
    bias: Tensor
    steepness: Tensor

    def __init__(self, rows: int, features: int, classes: int, *, exclusive: bool) -> None:
        super().__init__()
        self.exclusive = exclusive
        self.register_buffer("rows", torch.zeros(rows, features))
        self.register_buffer("weights", torch.zeros(rows, classes))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("steepness", torch.zeros(()))

    @classmethod
    def fit(
        cls, x: Tensor, labels: Tensor, *, steepness: float, ridge: float, exclusive: bool
    ) -> KernelClassifier:
        """The classifier of training rows.

        Args:
            x: prepared features, float32 `[N, D]`.
            labels: bool `[N, C]`.
            steepness: s, in units of the mean squared distance between rows.
            ridge: weight of the squared norm of f.
            exclusive: every row has one class.
        """
        made = cls(len(x), x.shape[1], labels.shape[1], exclusive=exclusive)
        exact = x.double()
        spread = _squared_distances(exact, exact).mean().clamp(min=1e-12)
        made.rows.copy_(x)
        made.steepness.copy_(steepness / spread)
        kernel = torch.exp(-steepness / spread * _squared_distances(exact, exact))
        weights, bias = _minimise(kernel, labels.double(), ridge, exclusive=exclusive)
        made.weights.copy_(weights)
        made.bias.copy_(bias)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Prepared features `[B, D]` -> probabilities `[B, C]`."""
        kernel = torch.exp(-self.steepness * _squared_distances(x.float(), self.rows))  # [B, N]
        logits = kernel @ self.weights + self.bias
        return F.softmax(logits, dim=1) if self.exclusive else torch.sigmoid(logits)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Between the rows of both, `[A, B]`."""
    products = a @ b.T
    squares = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)
    return (squares - 2 * products).clamp(min=0)


def _minimise(
    kernel: Tensor, target: Tensor, ridge: float, *, exclusive: bool
) -> tuple[Tensor, Tensor]:
    """Weights `[N, C]` and bias `[C]` at the minimum of the objective."""
    values, vectors = torch.linalg.eigh(kernel)
    kept = values > _NEGLIGIBLE * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    inputs = vectors * values.sqrt()  # [N, R], whose products are the kernel
    linear = torch.zeros(inputs.shape[1], target.shape[1], dtype=kernel.dtype, requires_grad=True)
    bias = torch.zeros(target.shape[1], dtype=kernel.dtype, requires_grad=True)
    search = torch.optim.LBFGS([linear, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def objective() -> float:
        search.zero_grad()
        logits = inputs @ linear + bias
        if exclusive:
            loss = F.cross_entropy(logits, target, reduction="sum")
        else:
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        total = loss + ridge / 2 * linear.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total.item()

    with torch.enable_grad():
        search.step(objective)  # type: ignore[no-untyped-call]
    return (vectors / values.sqrt()) @ linear.detach(), bias.detach()
