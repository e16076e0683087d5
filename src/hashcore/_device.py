"""Devices by name, and arrays that lie on a GPU: tensors of PyTorch, arrays of CuPy.

Neither library is imported: where one of its arrays comes, it is there.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe


def device_number(device: str) -> int | None:
    """The GPU that ``"cuda:1"`` names; -1 for ``"cuda"``, any of them; None for ``"cpu"``.

    Raises:
        TypeError: no string.
        ValueError: another name.
    """
    if not isinstance(device, str):
        raise TypeError(f"device: expected 'cpu', 'cuda' or 'cuda:N'; got {type(device).__name__}.")
    if device == "cpu":
        return None
    named = re.fullmatch(r"cuda(?::(\d{1,6}))?", device)
    if named is None:
        raise ValueError(f"device: expected 'cpu', 'cuda' or 'cuda:N'; got {device!r}")
    return -1 if named[1] is None else int(named[1])


@dataclass(frozen=True)
class GpuArray:
    """A C-contiguous array on a GPU.

    Attributes:
        address: Of its first byte, on the device.
        shape: Its lengths.
        dtype: As NumPy names it.
        device: The GPU's number.
        stream: Where its library queues work now, a cudaStream_t.
        library: ``"torch"`` or ``"cupy"``.
        array: What came.
    """

    address: int
    shape: tuple[int, ...]
    dtype: str
    device: int
    stream: int
    library: str
    array: Any


def on_gpu(x: object, name: str) -> GpuArray | None:
    """``x`` as an array on a GPU; None where it is none.

    Raises:
        TypeError: an array on a GPU of another library.
        ValueError: strides other than C's.
    """
    library = type(x).__module__.partition(".")[0]
    array: Any = x
    if getattr(array, "is_cuda", False) is True and hasattr(array, "data_ptr"):
        torch = sys.modules["torch"]
        found = GpuArray(
            array.data_ptr(),
            tuple(array.shape),
            str(array.dtype).removeprefix("torch."),
            array.get_device(),
            torch.cuda.current_stream(array.device).cuda_stream,
            "torch",
            array,
        )
        contiguous = array.is_contiguous()
    elif library == "cupy" and hasattr(array, "__cuda_array_interface__"):
        with array.device:
            stream = sys.modules["cupy"].cuda.get_current_stream().ptr
        address = array.__cuda_array_interface__["data"][0]
        shape, device = tuple(array.shape), array.device.id
        found = GpuArray(address, shape, str(array.dtype), device, stream, "cupy", array)
        contiguous = array.flags.c_contiguous
    elif hasattr(array, "__cuda_array_interface__"):
        raise TypeError(
            f"{name}: expected an array of NumPy, PyTorch or CuPy; got one of {library} on a GPU. "
            "Use cupy.asarray()."
        )
    else:
        return None
    if not contiguous:
        raise ValueError(
            f"{name}: expected a C-contiguous array; got {describe(x)} with other strides. "
            "Use .contiguous() or cupy.ascontiguousarray()."
        )
    return found


class Memory(Protocol):
    """Memory of the device, as the kernels' module allocates it."""

    @property
    def address(self) -> int: ...

    def write_to(self, host: int, bytes: int) -> None: ...


class Outputs:
    """Arrays to write results to: of the queries' library, on their device; else NumPy's."""

    def __init__(self, kernels: Any, stream: Any, like: GpuArray | None) -> None:
        self._kernels = kernels
        self._stream = stream
        self._like = like
        self._to_copy: list[tuple[Memory, NDArray[Any]]] = []

    def new(self, shape: tuple[int, ...], dtype: str) -> tuple[Any, int]:
        """An array, and the address on the device of what becomes its values."""
        if self._like is None:
            array = np.empty(shape, dtype)
            memory = self._kernels.DeviceMemory(array.nbytes, "results", self._stream)
            self._to_copy.append((memory, array))
            return array, memory.address
        module = sys.modules[self._like.library]
        if self._like.library == "torch":
            tensor = module.empty(
                shape, dtype=getattr(module, dtype), device=self._like.array.device
            )
            return tensor, tensor.data_ptr()
        with self._like.array.device:
            array = module.empty(shape, dtype)
        return array, array.data.ptr

    def finish(self) -> None:
        """Waits where results come to the host; what lies on the device comes in its turn."""
        for memory, array in self._to_copy:
            memory.write_to(address_of(array), array.nbytes)
        if self._to_copy:
            self._kernels.wait(self._stream)


def address_of(array: NDArray[Any]) -> int:
    """Where an array of NumPy begins."""
    address: int = array.__array_interface__["data"][0]
    return address


def as_numpy(array: Any) -> NDArray[Any]:
    """A result as an array of NumPy; waits for one on a GPU."""
    if isinstance(array, np.ndarray):
        return array
    copied: NDArray[Any] = array.cpu().numpy() if hasattr(array, "cpu") else array.get()
    return copied
