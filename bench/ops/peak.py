"""Peak memory of a step on the CPU, in a process that does nothing else.

``python -m bench.ops.peak REQUEST`` prints bytes by contender; a request is a step as JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys

from bench.ops.contenders import OPS, Compute, Op
from bench.ops.steps import draw, run, use_threads
from bench.ops.workloads import HASHCORE, Step
from bench.out_of_core import memory

_LIBC = ctypes.CDLL(None)
_MMAP_THRESHOLD = -3
_MAPPED_FROM = 64 << 10


def peak(step: Step, op: Op, compute: Compute, compiled: bool) -> int:
    """Bytes of one run beyond its inputs, after one on a small batch has loaded what is shared."""
    run(op, compute, draw(step if compiled else step.small(), "cpu"))
    batch = draw(step, "cpu")
    gc.collect()
    _LIBC.malloc_trim(0)
    memory.forget_peak()
    before = memory.resident()
    run(op, compute, batch)
    return memory.peak_resident() - before


def peaks(step: Step) -> dict[str, int]:
    """Of each contender that the step names."""
    op = OPS[step.table]
    found = {}
    for name in step.peers:
        ours = name == HASHCORE
        compute = op.ours if ours else op.peers[name].prepare()
        found[name] = peak(step, op, compute, not ours and op.peers[name].mode != "")
    return found


def main() -> None:
    """Measure what the argument asks for."""
    # Tensors are given back when they are freed, and none grows the heap for good.
    _LIBC.mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
    request = json.loads(sys.argv[1])
    use_threads(request.pop("threads"))
    print(json.dumps(peaks(Step(**request))))


if __name__ == "__main__":
    main()
