"""What the tests of a ``ShardedIndex`` share."""

from __future__ import annotations

from typing import Any

import ray

from distributed.partitions import Dealt, assert_same, parts
from hashcore.distributed.ray import ShardedIndex


def actors(index: ShardedIndex) -> list[Any]:
    return [member.actor for member in index._members]


def kill_by_ray(actor: Any) -> None:
    ray.kill(actor)


def same_answers(index: ShardedIndex, dealt: Dealt) -> None:
    for queries in (dealt.queries, dealt.queries[0]):
        assert_same(parts(index.search(queries, 20)), parts(dealt.whole.search(queries, 20)))
        assert_same(index.range_search(queries, 18), dealt.whole.range_search(queries, 18))
