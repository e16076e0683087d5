"""Where the fused ops are registered with PyTorch, and what they share."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from hashcore._arrays import describe
from hashcore._gpu import why_no_cuda

_LIBRARY = torch.library.Library("hashcore", "DEF")  # type: ignore[no-untyped-call]
_BLOCK_BYTES = 32 << 20
WORD_BITS = 64
_PLAIN = (Tensor, torch.nn.Parameter)

# Of each op, by the type of device.
KERNELS: dict[str, dict[str, Callable[..., Any]]] = {}


def register(
    schema: str,
    *,
    cpu: Callable[..., Any],
    cuda: Callable[..., Any],
    shapes: Callable[..., Any],
    gradients: Callable[..., Any] | None = None,
    save: Callable[..., None] | None = None,
) -> Callable[..., Any]:
    """Make an op of `torch.ops.hashcore`.

    Args:
        schema: its name, arguments and results.
        cpu: the kernel for tensors on the CPU.
        cuda: the one for tensors on a GPU.
        shapes: empty results of the right shape, of the same arguments.
        gradients: of the arguments, from a context and the gradients of the results.
        save: fills that context, from the context, the arguments and the results.

    Returns:
        What calls it: the op where PyTorch looks on, else the kernel at once, which saves most of
        the time that a small batch takes.
    """
    name = schema.partition("(")[0]
    KERNELS[name] = {"cpu": cpu, "cuda": cuda}

    def kernel(*arguments: Any) -> Any:
        return KERNELS[name][arguments[0].device.type](*arguments)

    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    torch.library.impl(f"hashcore::{name}", ("cpu", "cuda"), kernel, lib=_LIBRARY)
    torch.library.register_fake(f"hashcore::{name}", shapes, lib=_LIBRARY)
    if gradients is None or save is None:
        differentiable = kernel
    else:
        torch.library.register_autograd(
            f"hashcore::{name}", gradients, setup_context=save, lib=_LIBRARY
        )
        differentiable = _function(kernel, gradients, save)
    op = getattr(torch.ops.hashcore, name)

    def call(*arguments: Any) -> Any:
        tensors = [x for x in arguments if isinstance(x, Tensor)]
        if _is_looked_on(tensors):
            return op(*arguments)
        return (differentiable if differentiates(*tensors) else kernel)(*arguments)

    return call


def _function(
    kernel: Callable[..., Any], gradients: Callable[..., Any], save: Callable[..., None]
) -> Callable[..., Any]:
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Any:
            result = kernel(*arguments)
            save(ctx, arguments, result)
            return result

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *of_results: Any) -> Any:
            return gradients(ctx, *of_results)

    return Function.apply


def _is_looked_on(tensors: list[Tensor]) -> bool:
    """Whether PyTorch compiles, transforms or traces, and has to see ops."""
    return (
        torch.compiler.is_compiling()
        or any(type(x) not in _PLAIN for x in tensors)
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
    )


def register_loss(
    schema: str, *, batches: int, cpu: Callable[..., Any], cuda: Callable[..., Any]
) -> Callable[..., Any]:
    """Make an op that gives a loss and its gradients at once.

    Args:
        schema: of the batches that the loss is differentiated by first, and last whether it is.
            The results are the loss and its gradient by each of those.
        batches: how many they are.
        cpu: as of `register`.
        cuda: as of `register`.

    Returns:
        As of `register`.
    """
    arguments = schema.partition("->")[0].count(",") + 1

    def shapes(*of: Any) -> tuple[Tensor, ...]:
        def gradient(x: Tensor) -> Tensor:
            if not of[-1]:
                return x.new_empty(0)
            return torch.empty_like(x, memory_format=torch.contiguous_format)

        return of[0].new_empty(()), *map(gradient, of[:batches])

    def save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*output[1:])
        ctx.set_materialize_grads(False)

    def scale(ctx: Any, of_loss: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if of_loss is None:
            return (None,) * arguments
        scaled = (of_loss * gradient for gradient in ctx.saved_tensors)
        return (*scaled, *(None,) * (arguments - batches))

    return register(schema, cpu=cpu, cuda=cuda, shapes=shapes, gradients=scale, save=save)


def differentiates(*batches: Tensor) -> bool:
    """Whether a loss of these is to be differentiated."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in batches)


def product_blocks(a: Tensor, c: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Ranges of rows of `a` `[B, K]` with their products with all of `c` `[N, K]`.

    They take at most 32 MiB, and each block's memory is that of the one before.
    """
    if not len(a) or not len(c):
        return
    step = max(1, _BLOCK_BYTES // (len(c) * c.element_size()))
    room = c.new_empty(min(step, len(a)), len(c))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        yield rows, torch.mm(a[rows], c.T, out=room[: rows.stop - start])


def add_pair_gradients(
    slopes: Tensor, a: Tensor, c: Tensor, of_a: Tensor, of_c: Tensor, *, squared: bool = False
) -> None:
    """Gradients of a block of anchors, and what it adds to those of all candidates.

    Args:
        slopes: derivatives by the products `[B, N]`.
        a: anchors `[B, K]`.
        c: candidates `[N, K]`.
        of_a: written, `[B, K]`.
        of_c: added to, `[N, K]`.
        squared: the slopes are by |a - c|^2, over -2.
    """
    torch.mm(slopes, c, out=of_a)
    of_c.addmm_(slopes.T, a)
    if squared:
        of_a -= slopes.sum(dim=1, keepdim=True) * a
        of_c -= slopes.sum(dim=0)[:, None] * c


def correlation_slopes(h: Tensor, apart: Tensor, weight: float, out: Tensor) -> None:
    """Derivatives of `weight` times the mean square of how bits depend on each other.

    Args:
        h: relaxed outputs `[B, K]`.
        apart: H^T H / B - I of them, `[K, K]`.
        weight: of the mean square.
        out: written, `[B, K]`.
    """
    out.addmm_(h, apart, beta=0, alpha=4 * weight / (max(len(h), 1) * apart.numel()))  # symmetric


def label_bits(labels: Tensor) -> NDArray[np.uint64]:
    """Sets of labels, bool `[B, C]`, as bits in whole words, `[B, ceil(C / 64)]`."""
    count, classes = labels.shape
    words = -(-classes // WORD_BITS)
    padded = np.zeros((count, words * WORD_BITS), bool)
    padded[:, :classes] = labels.numpy()
    return np.packbits(padded).view(np.uint64).reshape(count, words)  # rows end at words


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Numbers as a tensor of the dtype and device of another, to be read only.

    It is kept, for a CUDA graph holds no copy from the host.
    """
    if _is_looked_on([like]):
        return like.new_tensor(values)
    return _kept_constant(values, like.dtype, like.device)


@functools.lru_cache(maxsize=64)
def _kept_constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def wide(x: Tensor) -> Tensor:
    """`x` as what sums are taken in: float64 stays, all else is float32."""
    return x if x.dtype == torch.float64 else x.float()


def has_kernel(*tensors: Tensor, float64_on_cuda: bool = False) -> bool:
    """Whether a fused op runs where these are; elsewhere its reference does.

    It warns where a GPU has none of them.
    """
    devices = {tensor.device.type for tensor in tensors}
    if devices == {"cpu"}:
        return True
    if devices != {"cuda"} or not _runs_on_cuda():
        return False
    return float64_on_cuda or all(tensor.dtype != torch.float64 for tensor in tensors)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _runs_on_cuda() -> bool:
    missing = why_no_cuda()
    if missing is not None:
        warnings.warn(f"plain PyTorch computes the losses. {missing}", stacklevel=4)
    return missing is None


def check_rows(name: str, x: Tensor, like: Tensor | None = None) -> None:
    """Refuse what is no batch of outputs.

    Raises:
        TypeError: not of a floating dtype.
        ValueError: not `[B, K]` with K >= 1, or of another K, dtype or device than `like`.
    """
    if not x.is_floating_point():
        raise TypeError(f"{name}: expected floats [B, K]; got {describe(x)}")
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"{name}: expected floats [B, K]; got {describe(x)}")
    if like is not None and (x.shape[1], x.dtype, x.device) != (
        like.shape[1],
        like.dtype,
        like.device,
    ):
        raise ValueError(
            f"{name}: expected {like.dtype} [B, {like.shape[1]}] on {like.device}, as the first; "
            f"got {describe(x)} on {x.device}"
        )


def check_labels(name: str, labels: Tensor, of: Tensor, like: Tensor | None = None) -> None:
    """Refuse what are no labels of the rows `of`.

    Raises:
        TypeError: not bool.
        ValueError: not `[B, C]`, or of another C than `like`.
    """
    if labels.dtype != torch.bool:
        raise TypeError(f"{name}: expected bool [B, C]; got {describe(labels)}")
    classes = "C" if like is None else str(like.shape[1])
    fits = labels.ndim == 2 and len(labels) == len(of)
    if not fits or (like is not None and labels.shape[1] != like.shape[1]):
        raise ValueError(f"{name}: expected bool [{len(of)}, {classes}]; got {describe(labels)}")
    if labels.device != of.device:
        raise ValueError(f"{name}: expected labels on {of.device}; they are on {labels.device}")
