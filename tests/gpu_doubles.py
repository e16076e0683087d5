"""Arrays that say they are on a GPU, in memory of the host that kernels built for it can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch


class OnGpu(torch.Tensor):
    """A tensor of the host that says it is on a GPU; kernels built for the host can read it."""

    is_cuda = True


class Cupy:
    """As much of an array of CuPy as is read of it, over one of NumPy."""

    __module__ = "cupy"
    on: ClassVar[int] = 0

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array = np.asarray(array)
        self.shape, self.dtype, self.flags = array.shape, array.dtype, array.flags
        self.data = SimpleNamespace(ptr=array.ctypes.data)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return dict(self.array.__array_interface__)

    @property
    def device(self) -> Any:
        @contextmanager
        def here() -> Iterator[None]:
            yield

        context: Any = here()
        context.id = self.on
        return context

    def get(self) -> np.ndarray[Any, Any]:
        return self.array

    def __ge__(self, other: object) -> Cupy:
        return Cupy(self.array >= other)

    def __getitem__(self, key: Any) -> Cupy:
        return Cupy(self.array[key.array if isinstance(key, Cupy) else key])


def as_tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """A tensor on a GPU, or its double."""
    return torch.from_numpy(array).as_subclass(OnGpu)
