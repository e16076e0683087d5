"""Shards on actors of a local Ray: one index's answers, whatever happens to the actors."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

import hashcore
from distributed.on_ray import actors, kill_by_ray, kill_by_signal, pid_of, same_answers
from distributed.partitions import Dealt, assert_same, parts
from hashcore.distributed.ray import ShardedIndex, ShardLostError
from hashcore.distributed.ray._member import Asked, Message

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def index(dealt: Dealt, cluster: None) -> Iterator[ShardedIndex]:
    with ShardedIndex(dealt.manifest.shards[0].path.parent) as opened:
        yield opened


def test_shards_are_shared_out(index: ShardedIndex, dealt: Dealt) -> None:
    assert repr(index) == "ShardedIndex(bits=64, codes=200,000, shards=3, actors=2)"
    held = [ray.get(a.__ray_call__.remote(lambda self: self._numbers)) for a in actors(index)]
    assert sorted(len(numbers) for numbers in held) == [1, 2]
    assert sorted(number for numbers in held for number in numbers) == [0, 1, 2]
    same_answers(index, dealt)


@pytest.mark.parametrize("kill", [kill_by_ray, kill_by_signal])
def test_a_lost_actor_is_started_again(
    index: ShardedIndex, dealt: Dealt, kill: Callable[[Any], None]
) -> None:
    before = actors(index)
    kill(before[1])
    same_answers(index, dealt)
    now = actors(index)
    assert now[0] is before[0]
    assert now[1] is not before[1]
    same_answers(index, dealt)
    assert actors(index) == now


def seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_an_actor_is_killed_in_the_middle_of_a_search(index: ShardedIndex, dealt: Dealt) -> None:
    queries = np.random.default_rng(1).integers(0, 256, (20_000, 8), np.uint8)
    pid = pid_of(actors(index)[0])
    before = seconds_of_cpu(pid)
    answers = []
    search = threading.Thread(target=lambda: answers.append(index.search(queries, 5)))
    search.start()
    while seconds_of_cpu(pid) < before + 0.05:
        time.sleep(0.001)
    os.kill(pid, signal.SIGSTOP)  # it is in the search and stays there
    assert search.is_alive()
    os.kill(pid, signal.SIGKILL)
    search.join()
    assert_same(parts(answers[0]), parts(dealt.whole.search(queries, 5)))
    assert pid_of(actors(index)[0]) != pid


def test_searches_of_several_threads_start_one_actor(index: ShardedIndex, dealt: Dealt) -> None:
    before = actors(index)
    kill_by_ray(before[0])
    threads = [threading.Thread(target=same_answers, args=(index, dealt)) for _ in range(3)]
    found = []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        found.append(actors(index))
    assert found[0][0] is not before[0]
    assert found == [found[0]] * 3
    same_answers(index, dealt)


def test_no_cpu_for_an_actor_is_an_error(dealt: Dealt, index: ShardedIndex) -> None:
    with pytest.raises(ShardLostError, match="expected a Ray worker with 1 free CPUs within 1 s"):
        ShardedIndex(dealt.manifest, actors=1, patience=1)
    same_answers(index, dealt)


def of_mask(index: Any) -> object:
    wrong = hashcore.Filter.mask(np.ones(3, bool))
    return index.search(np.zeros((1, 8), np.uint8), filter=wrong)


@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.search(np.zeros((2, 7), np.uint8)),
        lambda index: index.search(np.zeros((2, 8))),
        lambda index: index.search([[0] * 8]),
        lambda index: index.search(np.zeros(8, np.uint8), -1),
        lambda index: index.search(np.zeros(8, np.uint8), 2.0),
        lambda index: index.search(np.zeros(8, np.uint8), max_distance=-1),
        lambda index: index.search(np.zeros(8, np.uint8), filter=np.ones(3, bool)),
        lambda index: index.search(np.zeros(8, np.uint8), filter=hashcore.Filter.allow(np.ones(3))),
        of_mask,
        lambda index: index.range_search(np.zeros(8, np.uint8), -1),
        lambda index: index.range_search(np.zeros(8, np.uint8), 1, max_results=-1),
    ],
)
def test_wrong_arguments_are_refused_as_by_one_index(
    index: ShardedIndex, dealt: Dealt, call: Callable[[Any], object]
) -> None:
    with pytest.raises((TypeError, ValueError)) as expected:
        call(dealt.whole)
    with pytest.raises(expected.type, match="^" + re.escape(str(expected.value)) + "$"):
        call(index)


@pytest.fixture(params=["lines", "Ray alone"])
def reached(
    request: pytest.FixtureRequest, index: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> str:
    """How the actors are asked: as on this machine, or as on another."""
    way: str = request.param
    for member in index._members:
        assert member._line is not None
        if way == "Ray alone":
            monkeypatch.setattr(member, "_line", None)
    return way


def test_answers_are_the_same_by_lines_and_by_ray(
    index: ShardedIndex, dealt: Dealt, reached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_ray: list[Message] = []
    ask = Asked._ask_by_ray

    def counted(asked: Asked) -> Any:
        by_ray.append(asked.message)
        return ask(asked)

    monkeypatch.setattr(Asked, "_ask_by_ray", counted)
    same_answers(index, dealt)
    assert len(by_ray) == (0 if reached == "lines" else 8)


def test_what_is_large_goes_to_the_object_store_once(
    index: ShardedIndex, dealt: Dealt, reached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, puts = ray.put, []

    def counted(value: Any) -> Any:
        puts.append(value)
        return put(value)

    monkeypatch.setattr(ray, "put", counted)
    monkeypatch.setattr("hashcore.distributed.ray._member._SENT_BY_LINE", 100_000)
    same_answers(index, dealt)
    assert not puts
    queries = np.random.default_rng(2).integers(0, 256, (10_000, 8), np.uint8)
    assert_same(parts(index.search(queries, 1)), parts(dealt.whole.search(queries, 1)))
    assert len(puts) == (0 if reached == "lines" else 1)
    puts.clear()
    mask = hashcore.Filter.mask(np.arange(len(index)) % 7 < 3)
    found = index.search(dealt.queries, 9, filter=mask)
    assert_same(parts(found), parts(dealt.whole.search(dealt.queries, 9, filter=mask)))
    assert len(puts) == 1
    for array in parts(found):
        array[:] = 0  # nobody else's memory


@pytest.mark.parametrize(
    "call",
    [
        lambda index, queries: index.search(queries, 1),
        lambda index, queries: index.range_search(queries, 0),
    ],
)
def test_ctrl_c_stops_the_actors_too(
    index: ShardedIndex, dealt: Dealt, call: Callable[[Any, Any], object]
) -> None:
    queries = np.random.default_rng(3).integers(0, 256, (2_000_000, 8), np.uint8)
    interrupt = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        call(index, queries)
    start = time.monotonic()
    same_answers(index, dealt)
    assert time.monotonic() - start < 15  # all of it takes a minute


def lines(index: ShardedIndex) -> list[Any]:
    return [member._line for member in index._members]


def test_a_line_that_an_interrupt_closed_is_opened_again(
    index: ShardedIndex, dealt: Dealt, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lines(index)
    queries = np.random.default_rng(3).integers(0, 256, (400_000, 8), np.uint8)
    interrupt = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        index.search(queries, 1)
    assert all(line.closed for line in before)
    same_answers(index, dealt)
    assert not any(line.closed for line in lines(index))


def test_an_error_of_a_worker_is_told_whichever_way_it_was_asked(
    index: ShardedIndex, dealt: Dealt, reached: str
) -> None:
    def leave(holder: Any) -> Any:
        holder._indexes, before = None, holder._indexes
        holder._kept = before

    def come_back(holder: Any) -> None:
        holder._indexes = holder._kept

    actor = actors(index)[0]
    ray.get(actor.__ray_call__.remote(leave))
    with pytest.raises(RuntimeError, match="expected them to be open; they are not"):
        index.search(dealt.queries, 3)
    ray.get(actor.__ray_call__.remote(come_back))
    same_answers(index, dealt)


def test_a_closed_index_is_refused(dealt: Dealt, index: ShardedIndex) -> None:
    index.close()
    index.close()
    with pytest.raises(ValueError, match="expected an open one; this ShardedIndex is closed"):
        index.search(dealt.queries, 3)
    with pytest.raises(ValueError, match="expected an open one; this ShardedIndex is closed"):
        index.range_search(dealt.queries, 3)
