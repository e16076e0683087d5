"""Where the fused ops are registered with PyTorch, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hashcore._arrays import describe

_LIBRARY = torch.library.Library("hashcore", "DEF")  # type: ignore[no-untyped-call]
_BLOCK_BYTES = 32 << 20
_WORD_BITS = 64


def register(
    schema: str,
    cpu: Callable[..., Any],
    shapes: Callable[..., Any],
    gradients: Callable[..., Any] | None = None,
    save: Callable[..., None] | None = None,
) -> None:
    """Make an op of `torch.ops.hashcore`.

    Args:
        schema: its name, arguments and results.
        cpu: the kernel for tensors on the CPU.
        shapes: empty results of the right shape, of the same arguments.
        gradients: of the arguments, from a context and the gradients of the results.
        save: fills that context, from the context, the arguments and the results.
    """
    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    name = "hashcore::" + schema.partition("(")[0]
    torch.library.impl(name, "CPU", cpu, lib=_LIBRARY)
    torch.library.register_fake(name, shapes, lib=_LIBRARY)
    if gradients is not None:
        torch.library.register_autograd(name, gradients, setup_context=save, lib=_LIBRARY)


def register_loss_of_pairs(schema: str, cpu: Callable[..., Any]) -> None:
    """Make an op that gives a loss and its gradients at once.

    Args:
        schema: of two batches first, `[B, K]` and `[N, K]`, and last whether to differentiate. The
            results are the loss and what it is differentiated to by each batch.
        cpu: as of `register`.
    """
    others = schema.partition("->")[0].count(",") - 1

    def shapes(a: Tensor, b: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
        def gradient(x: Tensor) -> Tensor:
            if not rest[-1]:
                return x.new_empty(0)
            return torch.empty_like(x, memory_format=torch.contiguous_format)

        return a.new_empty(()), gradient(a), gradient(b)

    def save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output[1:])
        ctx.set_materialize_grads(False)

    def scale(ctx: Any, of_loss: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        nothing = (None,) * others
        if of_loss is None:
            return (None, None, *nothing)
        of_a, of_b = ctx.saved_tensors
        return (of_loss * of_a, of_loss * of_b, *nothing)

    register(schema, cpu, shapes, scale, save)


def blocks(rows: int, columns: int, item_bytes: int) -> Iterator[slice]:
    """Ranges of rows whose products with all columns take at most 32 MiB."""
    step = max(1, _BLOCK_BYTES // max(1, columns * item_bytes))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def label_bits(labels: Tensor) -> NDArray[np.uint64]:
    """Sets of labels, bool `[B, C]`, as bits in whole words, `[B, ceil(C / 64)]`."""
    padded = F.pad(labels, (0, -labels.shape[1] % _WORD_BITS)).contiguous()
    return np.packbits(padded.numpy(), axis=1).view(np.uint64)


def wide(x: Tensor) -> Tensor:
    """`x` as what sums are taken in: float64 stays, all else is float32."""
    return x if x.dtype == torch.float64 else x.float()


def has_kernel(*tensors: Tensor) -> bool:
    """Whether a fused op runs where these are; elsewhere its reference does."""
    return all(tensor.device.type == "cpu" for tensor in tensors)


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
