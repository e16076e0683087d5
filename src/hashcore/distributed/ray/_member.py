"""A worker that holds shards, and what stands for it where it is asked."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hashcore._extras import needs
from hashcore.distributed.manifest import ShardManifest
from hashcore.distributed.ray._line import Line, serve
from hashcore.index import Index
from hashcore.results import RangeResult, SearchResult, merge, merge_ranges
from hashcore.search import Filter, Progress, filter_pair

with needs("ray"):
    import ray
    from ray.exceptions import (
        NodeDiedError,
        ObjectLostError,
        OutOfMemoryError,
        RayActorError,
        WorkerCrashedError,
    )

LOST = (NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError)
_FIRST_PAUSE = 0.1
_SENT_WITH_A_CALL = 1 << 16
_SENT_BY_LINE = 1 << 22


class ShardLostError(RuntimeError):
    """The worker of a shard is lost, again and again, so that there is no whole answer."""


@dataclass(frozen=True)
class KnnRequest:
    """Arguments of ``ShardedIndex.search``."""

    queries: Any
    k: int
    filter: Filter | None
    max_distance: int | None

    def of(self, index: Index, filter: Filter | None, go_on: Progress) -> SearchResult:
        """The answer of one shard, until ``go_on`` raises."""
        return index.search(
            self.queries, self.k, filter=filter, max_distance=self.max_distance, progress=go_on
        )

    def merged(self, results: list[SearchResult]) -> SearchResult:
        """One answer of several."""
        return merge(results, self.k)


@dataclass(frozen=True)
class RangeRequest:
    """Arguments of ``ShardedIndex.range_search``."""

    queries: Any
    radius: int
    filter: Filter | None
    max_results: int | None

    def of(self, index: Index, filter: Filter | None, go_on: Progress) -> RangeResult:
        """The answer of one shard, until ``go_on`` raises."""
        return index.range_search(
            self.queries,
            self.radius,
            filter=filter,
            max_results=self.max_results,
            progress=go_on,
        )

    def merged(self, results: list[RangeResult]) -> RangeResult:
        """One answer of several."""
        return merge_ranges(results, max_results=self.max_results)


Request = KnnRequest | RangeRequest


class Holder:
    """Runs in the worker: maps shards and answers for all of them, one request at a time."""

    def __init__(self, manifest: ShardManifest, shards: list[int], threads: int) -> None:
        self._manifest, self._numbers, self._threads = manifest, shards, threads
        self._indexes: dict[int, Index] | None = None  # all of them or none
        self._places: dict[int, Any] = {}
        self._turn = threading.Lock()

    def open(self, verify: bool) -> None:
        """Map the shards."""
        shards = self._manifest.shards
        self._indexes = {
            number: shards[number].open(verify=verify, threads=self._threads)
            for number in self._numbers
        }

    def connect(self, path: str) -> bool:
        """Answer by a ``Line`` too; False where it cannot be reached."""
        return serve(path, self.answer)

    def answer_by_ray(self, argument: Request | bytes) -> Any:
        """As ``answer``, to a request that may be pickled."""
        request = pickle.loads(argument) if isinstance(argument, bytes) else argument
        return self.answer(request, ray.get_runtime_context().is_canceled)

    def answer(self, request: Request, is_given_up: Callable[[], bool]) -> Any:
        """The merged answer of the shards held here."""

        def go_on(done: int = 0, total: int = 0) -> None:
            if is_given_up():
                raise RuntimeError("the caller has gone away")

        results: list[Any] = []
        with self._turn:
            if self._indexes is None:
                raise RuntimeError("shards: expected them to be open; they are not")
            for number, index in self._indexes.items():
                go_on()
                results.append(request.of(index, self._filter(number, request.filter), go_on))
        return results[0] if len(results) == 1 else request.merged(results)

    def _filter(self, number: int, filter: Filter | None) -> Filter | None:
        mask = self._manifest.checked_mask(filter)
        if mask is None:
            return filter
        if number not in self._places:
            self._places[number] = self._manifest.places(number)
        return Filter.mask(np.ascontiguousarray(mask[self._places[number]]))


class Message:
    """A request on its way to all workers, pickled once.

    Attributes:
        nbytes: What its arrays hold.
    """

    def __init__(self, request: Request) -> None:
        pair = filter_pair(request.filter)
        self.nbytes = int(request.queries.nbytes) + (0 if pair is None else int(pair[1].nbytes))
        self._request = request

    @cached_property
    def pickled(self) -> bytes:
        """What is sent by a line. Ray takes it too: left to itself, it pickles for every worker."""
        return pickle.dumps(self._request, pickle.HIGHEST_PROTOCOL)

    @cached_property
    def for_ray(self) -> Any:
        """What is large lies in the object store, where all workers of a node map it."""
        return ray.put(self._request) if self.nbytes > _SENT_WITH_A_CALL else self.pickled


class Asked:
    """A worker that has been sent a message."""

    def __init__(self, actor: Any, message: Message, line: Line | None) -> None:
        self.actor, self.message = actor, message
        by_line = (
            line is not None and message.nbytes <= _SENT_BY_LINE and line.send(message.pickled)
        )
        self._line = line if by_line else None
        self._answer = None if by_line else self._ask_by_ray()

    def outcome(self) -> Any:
        """Wait for the answer, or raise what went wrong in the worker."""
        line, self._line = self._line, None
        if line is not None:
            answer = line.receive()
            if answer is not None:
                return answer
            self._answer = self._ask_by_ray()
        return ray.get(self._answer)

    def give_up(self) -> None:
        """Stop the worker's work on it."""
        if self._line is not None:
            self._line.close()
        if self._answer is not None:
            ray.cancel(self._answer)

    def _ask_by_ray(self) -> Any:
        return self.actor.answer_by_ray.remote(self.message.for_ray)


class Member:
    """Stands for the worker of some shards; starts another one where it is lost.

    Args:
        manifest: Of the whole index.
        shards: The numbers of those that the worker holds.
        threads: CPUs that it reserves and searches with.
        verify: Whether it reads its shards and compares them with the manifest first.
        attempts: How often a call is tried.
        patience: Seconds to wait for a worker.
    """

    def __init__(
        self,
        manifest: ShardManifest,
        shards: list[int],
        *,
        threads: int,
        verify: bool,
        attempts: int,
        patience: float,
    ) -> None:
        self._lock = threading.RLock()
        self._line: Line | None = None
        self._start: Callable[[], Any] = lambda: (
            ray.remote(Holder)
            .options(num_cpus=threads, scheduling_strategy="SPREAD")
            .remote(manifest, shards, threads)
        )
        self._threads, self._verify = threads, verify
        self._attempts, self._patience = attempts, patience
        named = [str(manifest.shards[number].path) for number in shards]
        self._named = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if named[3:] else "")
        self.actor = self._start()

    def wait(self, actor: Any) -> None:
        """Wait until a worker runs.

        Raises:
            ShardLostError: it does not within the time.
        """
        ready, _ = ray.wait([actor.__ray_ready__.remote()], timeout=self._patience)
        if not ready:
            raise ShardLostError(
                f"{self._named}: expected a Ray worker with {self._threads} free CPUs within "
                f"{self._patience:g} s; got none. Free CPUs, or take fewer actors or threads."
            )

    def open(self, actor: Any) -> Any:
        """Tell a worker to map the shards; returns the reference of that call."""
        return actor.open.remote(self._verify)

    def ask(self, message: Message) -> Asked:
        """Send a message to the worker, by a line where there is one."""
        return Asked(self.actor, message, self._open_line())

    def outcome(self, asked: Asked) -> Any:
        """Wait for an answer; where the worker is lost, start another one and ask that.

        Raises:
            ShardLostError: no worker stays.
            OSError: a file of a shard stays out of reach.
        """
        attempt = 1
        while True:
            try:
                if attempt > 1:
                    asked = self._ask_another(asked)
                return asked.outcome()
            except (*LOST, ShardLostError, OSError) as error:
                if attempt == self._attempts:
                    raise self.failure(error, attempt) from error
            time.sleep(_FIRST_PAUSE * 2**attempt)
            attempt += 1

    def failure(self, error: BaseException, times: int = 1) -> BaseException:
        """What to raise where a worker was lost so often; other errors stay as they are."""
        if not isinstance(error, LOST):
            return error
        reason = " ".join(str(error).split())[:400]
        return ShardLostError(
            f"{self._named}: expected an answer; their worker was lost, attempt {times} of "
            f"{self._attempts}, by: {reason}"
        )

    def _ask_another(self, asked: Asked) -> Asked:
        """Ask a worker that is not the lost one; of several callers, one starts it."""
        with self._lock:
            if self.actor is asked.actor:
                ray.kill(self.actor)
                actor = self._start()
                try:
                    self.wait(actor)
                    ray.get(self.open(actor))
                except BaseException:
                    ray.kill(actor)
                    raise
                self.actor = actor
                self.connect()
            return self.ask(asked.message)

    def connect(self) -> None:
        """Open a line to the worker, if it runs on this machine."""
        actor = self.actor
        try:
            self._line = Line.to(lambda path: bool(ray.get(actor.connect.remote(path))))
        except LOST:
            self._line = None  # a call will tell

    def _open_line(self) -> Line | None:
        """The line, once more where an interrupted call has closed it."""
        if self._line is not None and self._line.closed:
            with self._lock:
                if self._line is not None and self._line.closed:
                    self.connect()
        return self._line

    def stop(self) -> None:
        """End the worker."""
        if self._line is not None:
            self._line.close()
        ray.kill(self.actor)
