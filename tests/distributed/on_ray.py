"""What the tests of a ``ShardedIndex`` share."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import ray

from distributed.partitions import Dealt, assert_same, parts
from hashcore.distributed.ray import ShardedIndex


def actors(index: ShardedIndex) -> list[Any]:
    return [member.actor for member in index._members]


def pid_of(actor: Any) -> int:
    pid: int = ray.get(actor.__ray_call__.remote(lambda self: os.getpid()))
    return pid


def kill_by_ray(actor: Any) -> None:
    pid = pid_of(actor)
    ray.kill(actor)
    wait_for_end(pid)


def kill_by_signal(actor: Any) -> None:
    pid = pid_of(actor)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)


def wait_for_end(pid: int) -> None:
    """Until then an actor may answer."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)


def same_answers(index: ShardedIndex, dealt: Dealt) -> None:
    for queries in (dealt.queries, dealt.queries[0]):
        assert_same(parts(index.search(queries, 20)), parts(dealt.whole.search(queries, 20)))
        assert_same(index.range_search(queries, 18), dealt.whole.range_search(queries, 18))
