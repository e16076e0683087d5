"""Data-parallel training: several processes hold a part of every batch each, and act as one.

Each process encodes its own rows; `Method.gather` makes them the rows of the whole batch, so that
every process computes the loss of the whole batch. The gradient of the gathered rows is summed over
the processes, and DDP takes the mean of the parameters' gradients over them: a parameter gets the
gradient that one process would give it, whether it acts before the gather or after it. Batch norms
take the statistics of the whole batch, dropout draws for the whole batch, and every process draws
the same random numbers, so that the result does not depend on the number of processes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributed.rendezvous import rendezvous
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from hashcore.methods import Batch, Method, Phase

ERROR, INTERRUPTED = 2, 130
_TORCHRUN = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_T = TypeVar("_T")


class _Store(Protocol):
    """What is used of `torch.distributed.Store`."""

    def add(self, key: str, amount: int) -> int: ...


class PhaseLosses(nn.Module):
    """A method's losses as the forward pass of a module, which is what DDP wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, phase: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted total, and the unweighted terms without their graphs."""
        terms = self.method.losses(batch, phase)
        return terms.total, terms.detached()


class Processes:
    """The processes that train together.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are; 1 where no process group is initialised.
    """

    def __init__(self, rank: int, count: int, store: _Store | None = None) -> None:
        self.rank, self.count = rank, count
        self._store = store
        self._speaks: bool | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def part(self, rows: int) -> slice:
        """The rows of this process among `rows`; parts differ by one row at most."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def gather(self, rows: Tensor, total: int) -> Tensor:
        """The parts of all processes, joined; gradients flow back to all of them.

        Args:
            rows: `[b, ...]`, where b is the length of `part(total)`.
            total: rows of all processes.

        Returns:
            `[total, ...]`, the same in every process.
        """
        return rows if self.count == 1 else _gather(rows, self.part(total), total)

    def from_first(self, compute: Callable[[], _T]) -> _T:
        """What `compute` gives in the first process, the only one that runs it."""
        if self.count == 1:
            return compute()
        box = [compute() if self.first else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def share_randomness(self, device: torch.device) -> None:
        """Let every process go on from the first one's random state."""
        if self.count == 1:
            return
        state = self.from_first(lambda: _random_state(device))
        torch.set_rng_state(state["cpu"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], device)

    def spread(
        self, method: Method, phases: Sequence[Phase], rows: int
    ) -> Mapping[str, Callable[[Batch, str], tuple[Tensor, dict[str, Tensor]]]]:
        """The losses of each phase, over batches of `rows` rows that the processes share.

        Batch norms of other libraries, which do more than torch's, keep to their part of the rows.

        Raises:
            ValueError: there are more processes than rows.
        """
        if self.count == 1:
            return dict.fromkeys((phase.name for phase in phases), PhaseLosses(method))
        if rows < self.count:
            raise ValueError(f"batch_size: expected a row a process, {self.count}; got {rows}")
        part = self.part(rows)
        method.gather_with(functools.partial(_gather, part=part, total=rows))
        for layer in method.modules():
            # The layers stay what they are, so that names and references to them hold.
            if isinstance(layer, _BatchNorm) and type(layer) in _BATCH_NORMS:
                forward = functools.partial(_whole_batch_norm, layer, self.rank, self.count)
                vars(layer)["forward"] = forward
            elif type(layer) is nn.Dropout:
                vars(layer)["forward"] = functools.partial(_whole_batch_dropout, layer, part, rows)
        trained = [p for p in method.parameters() if p.requires_grad]
        losses = {}
        for phase in phases:  # DDP expects a gradient of every parameter that it has seen
            own = {id(p) for p in phase.parameters}
            for parameter in trained:
                parameter.requires_grad_(id(parameter) in own)
            losses[phase.name] = DistributedDataParallel(
                PhaseLosses(method), broadcast_buffers=False
            )
        for parameter in trained:
            parameter.requires_grad_()
        return losses

    def release(self, method: Method) -> None:
        """Undo what `spread` did to `method`."""
        method.gather_with(None)
        for layer in method.modules():
            vars(layer).pop("forward", None)

    def device(self, device: torch.device) -> torch.device:
        """`device`; where it is any GPU, that of this process among those of the machine."""
        if self.count == 1 or device != torch.device("cuda"):
            return device
        local = int(os.environ.get("LOCAL_RANK", self.rank))
        return torch.device("cuda", local % torch.cuda.device_count())

    def speaks(self) -> bool:
        """Whether this process is the one to say why the training ends: the first that asks."""
        if self._speaks is None:
            if self._store is None:
                self._speaks = self.first
            else:
                try:
                    self._speaks = self._store.add("hashcore/ended", 1) == 1
                except RuntimeError:  # whoever kept the store has gone, after speaking
                    self._speaks = False
        return self._speaks


_joined: ContextVar[Processes | None] = ContextVar("joined", default=None)


def current() -> Processes:
    """The processes of `joined`, else of torch's default process group, else this one alone."""
    if (joined_now := _joined.get()) is not None:
        return joined_now
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes(0, 1)


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun started, for as long as the block runs.

    Standard output is that of the first process. An error or Ctrl-C in any process ends all of
    them, with one message: that of the process that met it.

    Raises:
        SystemExit: another process has said why the training ends.
        ConnectionError: another process ended without a word.
    """
    alone = not os.environ.keys() >= _TORCHRUN or os.environ["WORLD_SIZE"] == "1"
    if alone or dist.is_initialized():
        yield current()
        return
    store, rank, count = next(rendezvous("env://"))
    dist.init_process_group(_backend(), store=store, rank=rank, world_size=count)
    processes = Processes(rank, count, store)
    _joined.set(processes)
    signal.signal(signal.SIGINT, _interrupt_once)
    with contextlib.ExitStack() as stack:
        if not processes.first:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield processes
        except SystemExit:
            raise
        except BaseException as error:
            if not processes.speaks():
                code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else ERROR
                raise SystemExit(code) from None
            if _lost_another(error):
                raise ConnectionError(
                    f"another of the {count} processes ended without a word; "
                    "resume goes on from the last whole epoch"
                ) from error
            raise
    dist.destroy_process_group()


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    # Ctrl-C reaches a process twice: from the terminal and from torchrun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _lost_another(error: BaseException) -> bool:
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


class _Gather(torch.autograd.Function):
    """Joins the parts of all processes; parts may differ in length, unlike in `all_gather`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, part: slice, total: int) -> Tensor:
        ctx.part = part
        out = rows.new_zeros(total, *rows.shape[1:])
        out[part] = rows
        dist.all_reduce(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        whole = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole[ctx.part], None, None


def _gather(rows: Tensor, part: slice, total: int) -> Tensor:
    out: Tensor = _Gather.apply(rows, part, total)  # type: ignore[no-untyped-call]
    return out


def _whole_batch_norm(layer: _BatchNorm, rank: int, count: int, x: Tensor) -> Tensor:
    """`layer` with the statistics of the rows of all processes, `[b, C]` or `[b, C, ...]` each.

    `torch.nn.SyncBatchNorm` needs a GPU, and would count rows that have been gathered, and lie in
    every process, once a process.
    """
    if not layer.training:
        out: Tensor = type(layer).forward(layer, x)
        return out
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = [axis for axis in range(x.ndim) if axis != 1]
    var, mean = torch.var_mean(values, dim=axes, correction=0)  # [C]
    own = torch.cat([values.new_tensor([x.numel() // x.shape[1]]), mean, var])
    every = _gather(own[None], slice(rank, rank + 1), count)  # [processes, 1 + 2C]
    counts, (means, variances) = every[:, :1], every[:, 1:].chunk(2, dim=1)
    share = counts / counts.sum()  # [processes, 1]
    mean = (share * means).sum(dim=0)
    var = (share * (variances + (means - mean).square())).sum(dim=0)
    gathered = (every == every[0]).all()
    _track(layer, mean.detach(), var.detach(), torch.where(gathered, counts[0, 0], counts.sum()))
    shape = [1, -1] + [1] * (x.ndim - 2)
    out = (values - mean.view(shape)) * torch.rsqrt(var + layer.eps).view(shape)
    if layer.affine:
        out = out * layer.weight.view(shape) + layer.bias.view(shape)
    return out.to(x.dtype)


@torch.no_grad()
def _track(layer: _BatchNorm, mean: Tensor, var: Tensor, count: Tensor) -> None:
    """Running statistics, as `layer` itself keeps them."""
    if layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    rate = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, rate)
    layer.running_var.lerp_(var * (count / (count - 1)), rate)


def _whole_batch_dropout(layer: nn.Dropout, part: slice, total: int, x: Tensor) -> Tensor:
    """`layer` with the part of this process of what is drawn for the whole batch.

    Rows that have been gathered are whole already. Each process draws as much as the others, so
    that their random states stay the same.
    """
    if not layer.training or not 0 < layer.p < 1 or len(x) != part.stop - part.start:
        return nn.Dropout.forward(layer, x)
    keep = 1 - layer.p
    mask = x.new_empty(total, *x.shape[1:]).bernoulli_(keep).div_(keep)
    return x * mask[part]
