"""From the arrays of a dataset to what the branches read, with statistics of training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashcore._arrays import describe
from hashcore.data import Transform
from hashcore.methods import InputSpec
from hashcore.train.rows import Rows, chunks

LOG_FLOOR = 1e-4


def input_spec(x: NDArray[Any] | Rows, *, vocabulary: int = 0) -> InputSpec:
    """The kind and shape of one modality's array.

    Args:
        x: float `[N, D]` features, uint8 `[N, C, H, W]` pixels, or int64 `[N, L]` token ids.
        vocabulary: known number of token ids; raised to cover the ids in `x`.

    Raises:
        TypeError: no kind of data has this dtype and rank.
    """
    if x.dtype == np.uint8 and x.ndim == 4:
        return InputSpec("pixels", x.shape[1:])
    if x.dtype == np.int64 and x.ndim == 2:
        largest = max((int(part.max(initial=0)) for part in chunks(x)), default=0)
        return InputSpec("tokens", x.shape[1:], max(vocabulary, largest + 1, 2))
    if x.dtype in (np.float16, np.float32, np.float64) and x.ndim == 2:
        return InputSpec("features", x.shape[1:])
    raise TypeError(
        "expected float [N, D] features, uint8 [N, C, H, W] pixels or int64 [N, L] token ids; "
        f"got {describe(x)}"
    )


def spec_from_json(data: Mapping[str, Any]) -> InputSpec:
    """The kind and shape that a checkpoint tells of."""
    return InputSpec(data["kind"], tuple(data["shape"]), data["vocabulary"], data["role"])


@dataclass(frozen=True)
class Preparation:
    """Transform and standardisation of one modality.

    Attributes:
        spec: the kind and shape that are accepted.
        transform: of features: "sqrt" and "log" element-wise, before they are standardised;
            "isotropic" divides all columns by one number, their root mean square deviation.
        mean: float32 `[D]` of features, `[C]` of pixels, empty for tokens.
        scale: like `mean`; what is divided by, 1 where a training column is constant.
    """

    spec: InputSpec
    transform: Transform
    mean: Tensor
    scale: Tensor

    @classmethod
    def fit(
        cls, x: NDArray[Any] | Rows, transform: str = "none", *, vocabulary: int = 0
    ) -> Preparation:
        """Take the statistics of training rows `x`, a chunk in memory at a time.

        Raises:
            ValueError: unknown transform, or one that does not suit the data.
        """
        if transform not in get_args(Transform):
            raise ValueError(f"transform: expected one of {get_args(Transform)}; got {transform!r}")
        spec = input_spec(x, vocabulary=vocabulary)
        if transform != "none" and spec.kind != "features":
            raise ValueError(f'transform "{transform}" is for features; the data are {spec.kind}')
        named = cast("Transform", transform)
        if spec.kind == "tokens":
            return cls(spec, named, torch.empty(0), torch.empty(0))
        mean, deviation = _moments(x, named, (0,) if spec.kind == "features" else (0, 2, 3))
        # A column that is constant up to rounding carries nothing; dividing would amplify noise.
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
        scale = np.where(constant, 1.0, deviation)
        if named == "isotropic" and not constant.all():
            varying = np.where(constant, 0.0, deviation)
            scale = np.full_like(deviation, np.sqrt(np.square(varying).mean()))
        return cls(spec, named, torch.from_numpy(mean).float(), torch.from_numpy(scale).float())

    def check(self, x: Any, name: str) -> NDArray[Any] | Rows:
        """`x` as rows of the expected kind and shape; `check_values` looks at what they hold.

        Raises:
            TypeError: not an array, or another dtype.
            ValueError: another shape.
        """
        if isinstance(x, Tensor):
            x = x.detach().cpu().numpy()
        expected = self.expected
        got = describe(x)
        if not isinstance(x, np.ndarray | Rows):
            raise TypeError(f"{name}: expected {expected}; got {got}")
        kinds = {"features": "f", "pixels": "u", "tokens": "i"}
        right_width = x.dtype.itemsize in {"f": (2, 4, 8), "u": (1,), "i": (8,)}.get(
            x.dtype.kind, ()
        )
        if x.dtype.kind != kinds[self.spec.kind] or not right_width:
            raise TypeError(f"{name}: expected {expected}; got {got}")
        if x.ndim != len(self.spec.shape) + 1 or x.shape[1:] != self.spec.shape:
            raise ValueError(f"{name}: expected {expected}; got {got}")
        return x

    def __call__(self, x: NDArray[Any]) -> Tensor:
        """Prepared rows on the CPU: float32 like `x`, or int64 token ids."""
        if self.spec.kind == "tokens":
            return torch.from_numpy(np.require(x, requirements=("C", "W")))
        values = torch.from_numpy(_transformed(x, self.transform))
        if self.spec.kind == "features":
            return (values - self.mean).div_(self.scale)
        return (values - self.mean[:, None, None]).div_(self.scale[:, None, None])

    def check_values(self, x: NDArray[Any], name: str) -> None:
        """Refuse what the networks cannot read.

        Raises:
            ValueError: a token id out of range, a value that is not finite, or one that the
                transform does not take.
        """
        if self.spec.kind == "features" and not np.isfinite(x).all():
            raise ValueError(f"{name}: expected finite values; got NaN or infinity")
        if self.transform == "sqrt" and x.size and x.min() < 0:
            raise ValueError(f'{name}: transform "sqrt" expects values >= 0; got {x.min()}')
        if self.spec.kind == "tokens" and x.size:
            low, high = int(x.min()), int(x.max())
            if low < 0 or high >= self.spec.vocabulary:
                raise ValueError(
                    f"{name}: expected token ids in 0..{self.spec.vocabulary - 1}; "
                    f"got {low if low < 0 else high}"
                )

    @property
    def expected(self) -> str:
        """The accepted dtype and shape, for messages."""
        dtype = {"features": "float32", "pixels": "uint8", "tokens": "int64"}[self.spec.kind]
        return f"{dtype} [n, {', '.join(map(str, self.spec.shape))}]"


def _moments(
    x: NDArray[Any] | Rows, transform: Transform, axes: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over `axes`, merged from chunks (Chan, Golub & LeVeque 1983)."""
    count, mean, squares = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for part in chunks(x):
        values = _transformed(part, transform).astype(np.float64)
        added = values.size // x.shape[1]
        step = values.mean(axis=axes) - mean
        squares += values.var(axis=axes) * added + step**2 * (count * added / (count + added))
        mean += step * (added / (count + added))
        count += added
    return mean, np.sqrt(squares / max(count, 1))


def _transformed(x: NDArray[Any], transform: Transform) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.require(x, np.float32, ("C", "W"))
    if transform == "sqrt":
        return np.sqrt(values)
    if transform == "log":
        return np.log(np.maximum(values, np.float32(LOG_FLOOR)))
    return values
