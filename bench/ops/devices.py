"""What differs between a processor and a GPU: clocks, room, peak memory, bandwidth."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from bench.machine import machine
from bench.ops.workloads import Device as Kind
from bench.ops.workloads import Step
from bench.out_of_core import memory
from bench.out_of_core.child import run_module

Run = Callable[[], object]
_COPIED = 1 << 30
_COPIES = 20


class Device(Protocol):
    """Where steps run."""

    @property
    def kind(self) -> Kind:
        """As PyTorch calls it."""

    def describe(self) -> dict[str, object]:
        """What figures are taken on."""

    def seconds(self, run: Run, calls: int) -> float:
        """Mean time of calls, one after the other."""

    def room(self) -> float:
        """Bytes that a peer may take."""

    def peaks(self, step: Step, runs: Mapping[str, Run]) -> dict[str, int]:
        """Most bytes that one run of each contender takes beyond what was there before."""

    def bandwidth(self) -> float | None:
        """Bytes a second that a copy reads and writes, where shares of it are asked for."""


class Cpu:
    """This processor.

    Args:
        threads: of hashcore and of PyTorch.
    """

    kind: Kind = "cpu"

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def describe(self) -> dict[str, object]:
        return {**machine(), "device": machine()["cpu"]}

    def seconds(self, run: Run, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls

    def room(self) -> float:
        return 0.75 * memory.available()

    def peaks(self, step: Step, runs: Mapping[str, Run]) -> dict[str, int]:
        """In a process of their own, whose memory is nobody else's."""
        request = {**step.shape(), "threads": self._threads, "peers": list(runs)}
        found: dict[str, int] = json.loads(run_module("bench.ops.peak", json.dumps(request)))
        return found

    def bandwidth(self) -> float | None:
        return None


class Cuda:
    """The current GPU; time is its own, by events."""

    kind: Kind = "cuda"

    def describe(self) -> dict[str, object]:
        return {**machine(), "device": torch.cuda.get_device_name()}

    def seconds(self, run: Run, calls: int) -> float:
        start, end = (
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )
        torch.cuda.synchronize()
        start.record()
        for _ in range(calls):
            run()
        end.record()
        torch.cuda.synchronize()
        milliseconds: float = start.elapsed_time(end)
        return milliseconds / 1000 / calls

    def room(self) -> float:
        torch.cuda.empty_cache()
        return 0.9 * torch.cuda.mem_get_info()[0]

    def peaks(self, step: Step, runs: Mapping[str, Run]) -> dict[str, int]:
        return {name: self._peak(run) for name, run in runs.items()}

    def bandwidth(self) -> float:
        source = torch.empty(_COPIED, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        taken = [self.seconds(lambda: target.copy_(source), 1) for _ in range(_COPIES)]
        return 2 * _COPIED / statistics.median(taken[1:])

    def _peak(self, run: Run) -> int:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
