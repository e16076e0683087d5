"""A worker that holds shards, and what stands for it where it is asked."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashcore._extras import needs
from hashcore.distributed.manifest import ShardManifest
from hashcore.index import Index
from hashcore.results import RangeResult, SearchResult, merge, merge_ranges
from hashcore.search import Filter

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


class ShardLostError(RuntimeError):
    """The worker of a shard is lost, again and again, so that there is no whole answer."""


@dataclass(frozen=True)
class KnnRequest:
    """Arguments of ``ShardedIndex.search``."""

    queries: Any
    k: int
    filter: Filter | None
    max_distance: int | None

    def of(self, index: Index, filter: Filter | None) -> SearchResult:
        """The answer of one shard, given up once the caller has gone away."""
        context = ray.get_runtime_context()

        def go_on(done: int, total: int) -> None:
            if context.is_canceled():
                raise RuntimeError("the caller has gone away")

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

    def of(self, index: Index, filter: Filter | None) -> RangeResult:
        """The answer of one shard."""
        return index.range_search(
            self.queries, self.radius, filter=filter, max_results=self.max_results
        )

    def merged(self, results: list[RangeResult]) -> RangeResult:
        """One answer of several."""
        return merge_ranges(results, max_results=self.max_results)


Request = KnnRequest | RangeRequest


class Holder:
    """Runs in the worker: maps shards and answers for all of them."""

    def __init__(self, manifest: ShardManifest, shards: list[int], threads: int) -> None:
        self._manifest, self._numbers, self._threads = manifest, shards, threads
        self._indexes: dict[int, Index] | None = None  # all of them or none
        self._places: dict[int, Any] = {}

    def open(self, verify: bool) -> None:
        """Map the shards."""
        shards = self._manifest.shards
        self._indexes = {
            number: shards[number].open(verify=verify, threads=self._threads)
            for number in self._numbers
        }

    def answer(self, argument: Request | bytes) -> Any:
        """The merged answer of the shards held here to a request, which may be pickled."""
        request: Request = pickle.loads(argument) if isinstance(argument, bytes) else argument
        if self._indexes is None:
            raise RuntimeError("shards: expected them to be open; they are not")
        return request.merged(
            [
                request.of(index, self._filter(number, request.filter))  # type: ignore[misc]
                for number, index in self._indexes.items()
            ]
        )

    def _filter(self, number: int, filter: Filter | None) -> Filter | None:
        mask = self._manifest.checked_mask(filter)
        if mask is None:
            return self._manifest.filter_of(number, filter)
        if number not in self._places:
            self._places[number] = self._manifest.places(number)
        return Filter.mask(np.ascontiguousarray(mask[self._places[number]]))


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
        self._lock = threading.Lock()
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

    def ask(self, argument: Any) -> tuple[Any, Any]:
        """Send a request to the worker; returns it and the reference of its answer."""
        actor = self.actor
        return actor, actor.answer.remote(argument)

    def outcome(self, actor: Any, answer: Any, argument: Any) -> Any:
        """Wait for an answer; where the worker is lost, start another one and ask that.

        Raises:
            ShardLostError: no worker stays.
            OSError: a file of a shard stays out of reach.
        """
        attempt = 1
        while True:
            try:
                if attempt > 1:
                    actor, answer = self._ask_another(actor, argument)
                return ray.get(answer)
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

    def _ask_another(self, lost: Any, argument: Any) -> tuple[Any, Any]:
        """Ask a worker that is not the lost one; of several callers, one starts it."""
        with self._lock:
            if self.actor is lost:
                ray.kill(lost)
                actor = self._start()
                try:
                    self.wait(actor)
                    ray.get(self.open(actor))
                except BaseException:
                    ray.kill(actor)
                    raise
                self.actor = actor
            return self.ask(argument)

    def stop(self) -> None:
        """End the worker."""
        ray.kill(self.actor)
