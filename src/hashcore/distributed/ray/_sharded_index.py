"""An index whose shards are held by the workers of a Ray cluster."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

import numpy as np

from hashcore._arrays import Array, as_array
from hashcore._extras import needs
from hashcore.distributed.manifest import ShardManifest
from hashcore.distributed.ray._cluster import check_at_least_one, cpus, raise_cause
from hashcore.distributed.ray._member import (
    LOST,
    Asked,
    KnnRequest,
    Member,
    Message,
    RangeRequest,
    Request,
    ShardLostError,
)
from hashcore.index import Index
from hashcore.results import RangeResult, SearchResult
from hashcore.search import Filter, filter_pair

with needs("ray"):
    import ray

__all__ = ["ShardLostError", "ShardedIndex"]


class ShardedIndex:
    """Searches all shards of an index at once; every answer is one index's, to the byte.

    Actors map the shards and keep them. A lost actor is started again where there is room, and the
    call is repeated. There is a whole answer or an error, never a shorter answer.

    Searches may run from several threads. Use it as a context manager, or ``close`` it.

    Args:
        manifest: What ``build`` returned, its file, or the folder of that.
        actors: How many hold the shards; default one a shard, as far as there are CPUs.
        threads: CPUs that an actor reserves and searches with.
        verify: Let the actors read all shards first and compare their sha256. Without it, sizes and
            headers are compared, and what else is damaged gives wrong answers.
        attempts: How often a call is tried where actors are lost or files out of reach.
        patience: Seconds to wait for CPUs when an actor starts.

    Raises:
        FormatError: the manifest is damaged, or a shard is not the file that it lists.
        OSError: the system refused; FileNotFoundError where a file is missing.
        ShardLostError: no CPUs for an actor.
    """

    def __init__(
        self,
        manifest: ShardManifest | str | os.PathLike[str],
        *,
        actors: int | None = None,
        threads: int = 1,
        verify: bool = True,
        attempts: int = 3,
        patience: float = 300.0,
    ) -> None:
        check_at_least_one(threads, "threads")
        check_at_least_one(attempts, "attempts")
        if not isinstance(manifest, ShardManifest):
            manifest = ShardManifest.load(manifest, verify=False)
        room = max(1, cpus() // threads) if actors is None else check_at_least_one(actors, "actors")
        self._manifest = manifest
        self._nothing = Index(manifest.bits, "flat")
        self._members: list[Member] = []
        try:
            for shards in _dealt(manifest, room):
                self._members.append(
                    Member(
                        manifest,
                        shards,
                        threads=threads,
                        verify=verify,
                        attempts=attempts,
                        patience=patience,
                    )
                )
            for member in self._members:
                member.wait(member.actor)
            for member, opened in [(each, each.open(each.actor)) for each in self._members]:
                try:
                    ray.get(opened)
                except LOST as error:
                    raise member.failure(error) from error
                member.connect()
        except BaseException as error:
            self.close()
            raise_cause(error)

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self._manifest.bits

    @property
    def manifest(self) -> ShardManifest:
        """The shards."""
        return self._manifest

    def __len__(self) -> int:
        return self._manifest.codes

    def __repr__(self) -> str:
        return (
            f"ShardedIndex(bits={self.bits}, codes={len(self):,}, "
            f"shards={len(self._manifest.shards)}, actors={len(self._members)})"
        )

    def search(
        self,
        queries: Array,
        k: int = 10,
        *,
        filter: Filter | None = None,
        max_distance: int | None = None,
    ) -> SearchResult:
        """Find the k nearest codes of each query.

        Args:
            queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
            k: Hits a query, >= 0; may exceed ``len(self)``.
            filter: Which codes may be hits, by ids or one bool a code of all shards.
            max_distance: Take only codes within this distance, inclusive.

        Raises:
            TypeError: another dtype than uint8.
            ValueError: another width, a negative number, or the index is closed.
            ShardLostError: actors were lost as often as a call is tried.
            OSError: an actor was lost, and a file of it is missing now.
        """
        rows = as_array(queries, "queries")
        unchecked = self._unchecked(filter)
        empty = self._nothing.search(rows, k, filter=unchecked, max_distance=max_distance)
        if not rows.size:
            return empty
        request = KnnRequest(rows, k, filter, max_distance)
        return request.merged(self._ask(request))

    def range_search(
        self,
        queries: Array,
        radius: int,
        *,
        filter: Filter | None = None,
        max_results: int | None = None,
    ) -> RangeResult:
        """Find every code within ``radius`` of each query, inclusive.

        Args:
            queries: uint8 ``[Q, ceil(bits / 8)]``, or one row 1-D.
            radius: Largest distance to take, >= 0.
            filter: As of ``search``.
            max_results: Keep only so many of each query, the best by (distance, id).

        Raises:
            TypeError: another dtype than uint8.
            ValueError: another width, a negative number, or the index is closed.
            ShardLostError: actors were lost as often as a call is tried.
            OSError: an actor was lost, and a file of it is missing now.
        """
        rows = as_array(queries, "queries")
        unchecked = self._unchecked(filter)
        empty = self._nothing.range_search(rows, radius, filter=unchecked, max_results=max_results)
        if not rows.size:
            return empty
        request = RangeRequest(rows, radius, filter, max_results)
        return request.merged(self._ask(request))

    def close(self) -> None:
        """End the actors; may be called again."""
        for member in self._members:
            member.stop()
        self._members = []

    def __enter__(self) -> ShardedIndex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unchecked(self, filter: Filter | None) -> Filter | None:
        """What is left of a filter for an empty index to refuse."""
        if not self._members:
            raise ValueError("index: expected an open one; this ShardedIndex is closed.")
        if self._manifest.checked_mask(filter) is not None:
            return None
        pair = filter_pair(filter)
        return None if pair is None or _is_id_list(pair[1]) else filter

    def _ask(self, request: Request) -> list[Any]:
        """The answers of all members. On any error, Ctrl-C included, they stop working on it."""
        message = Message(request)
        asked: list[Asked] = []
        try:
            asked.extend(member.ask(message) for member in self._members)
            return [member.outcome(each) for member, each in zip(self._members, asked, strict=True)]
        except BaseException as error:
            for each in asked:
                each.give_up()
            raise_cause(error)


def _is_id_list(values: Any) -> bool:
    """Whether these are ids as filters take them."""
    return isinstance(values, np.ndarray) and values.dtype == np.int64 and values.ndim == 1


def _dealt(manifest: ShardManifest, most: int) -> list[list[int]]:
    """Numbers of the shards of each actor, about as many codes for each."""
    shards = manifest.shards
    hands: list[list[int]] = [[] for _ in range(min(most, len(shards)))]
    codes = np.zeros(len(hands), np.int64)
    for number in sorted(range(len(shards)), key=lambda n: -shards[n].codes):
        fewest = int(np.argmin(codes))
        hands[fewest].append(number)
        codes[fewest] += shards[number].codes
    return [hand for hand in hands if hand]
