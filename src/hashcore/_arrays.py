"""What counts as an array: NumPy, CPU torch tensors, anything on the CPU that speaks DLPack."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class SupportsDLPack(Protocol):
    """An array of another library, such as a ``torch.Tensor``."""

    def __dlpack__(self, *, stream: Any = None) -> Any: ...


Array = NDArray[Any] | SupportsDLPack


def as_array(x: Array, name: str) -> NDArray[Any]:
    """View ``x`` as a NumPy array, without a copy.

    Anything that is no array comes back as it is: the engine's own check then refuses it with the
    shape and dtype that it wanted.

    Raises:
        TypeError: a tensor on another device, or of a dtype that NumPy lacks (bfloat16).
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected an array without a mask; got a MaskedArray. Use .filled()."
        )
    if isinstance(x, np.ndarray) or not isinstance(x, SupportsDLPack):
        return x
    tensor: Any = x.detach() if hasattr(x, "detach") else x
    try:
        viewed: NDArray[Any] = np.from_dlpack(tensor)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        what = f"{getattr(x, 'dtype', type(x).__name__)} on {getattr(x, 'device', 'its device')}"
        raise TypeError(
            f"{name}: expected an array that NumPy can view; got {what}. "
            "Use .cpu() for another device, .float() for bfloat16."
        ) from error
    return viewed


def describe(x: object) -> str:
    """Say what came instead, for an error: "float32 [10, 64]", or the type's name."""
    if hasattr(x, "dtype") and hasattr(x, "shape"):
        return f"{x.dtype} {list(x.shape)}"
    return type(x).__name__
