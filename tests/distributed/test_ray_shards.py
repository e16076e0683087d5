"""Shards on actors of a local Ray, opened again and again: what is there, missing and damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed.on_ray import actors, kill_by_ray, same_answers
from distributed.partitions import Dealt, assert_same, deal, filters, parts
from hashcore import FormatError
from hashcore.distributed import ShardManifest
from hashcore.distributed.ray import ShardedIndex, ShardLostError
from hashcore.distributed.ray._member import Holder

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.mark.parametrize("seed", range(4))
def test_any_partition_gives_the_answer_of_one_index(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, shards = int(rng.choice([0, 7, 300])), int(rng.integers(1, 6))
    dealt = deal(tmp_path / "shards", rng, count=count, shards=shards, bits=20)
    whole, queries = dealt.whole, dealt.queries
    with ShardedIndex(dealt.manifest, actors=int(rng.integers(1, 3))) as index:
        assert (len(index), index.bits) == (count, 20)
        for filter in filters(rng, dealt.ids):
            for asked in (queries, queries[0], queries[:0]):
                k, limit = int(rng.integers(12)), int(rng.integers(21))
                assert_same(
                    parts(index.search(asked, k, filter=filter, max_distance=limit)),
                    parts(whole.search(asked, k, filter=filter, max_distance=limit)),
                )
                assert_same(
                    index.range_search(asked, limit, filter=filter, max_results=k),
                    whole.range_search(asked, limit, filter=filter, max_results=k),
                )


@pytest.fixture
def copied(dealt: Dealt, tmp_path: Path) -> ShardManifest:
    """The same shards in files that a test may damage."""
    for shard in dealt.manifest.shards:
        (tmp_path / shard.path.name).write_bytes(shard.path.read_bytes())
    file = dealt.manifest.shards[0].path.with_name("shards.json")
    (tmp_path / "shards.json").write_bytes(file.read_bytes())
    return ShardManifest.load(tmp_path)


def cut(path: Path) -> None:
    os.truncate(path, 4096)


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"damaged")


def test_a_shard_that_stays_away_is_an_error(copied: ShardManifest, dealt: Dealt) -> None:
    path = copied.shards[1].path
    whole_file = path.read_bytes()
    with ShardedIndex(copied, attempts=2) as index:
        [holder] = [n for n, member in enumerate(index._members) if str(path) in member._named]

        def is_refused(error: type[Exception], message: str, call: Callable[[], object]) -> None:
            with pytest.raises(error, match=re.escape(str(path)) + ": " + message):
                call()
            path.write_bytes(whole_file)
            same_answers(index, dealt)

        path.unlink()
        same_answers(index, dealt)  # it is mapped still
        kill_by_ray(actors(index)[holder])
        missing = r"expected a shard of \d\d,\d\d\d codes; got no file"
        is_refused(FileNotFoundError, missing, lambda: index.search(dealt.queries, 3))

        damage(path)
        kill_by_ray(actors(index)[holder])
        other = r"expected sha256 \w{64}; got \w{64}"
        is_refused(FormatError, other, lambda: index.range_search(dealt.queries, 3))

        cut(path)  # reading beyond the end of a file kills by itself
        short = r"expected bytes \d+; got 4096"
        is_refused(FormatError, short, lambda: index.search(dealt.queries, 3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (Path.unlink, FileNotFoundError, "expected a shard of"),
        (damage, FormatError, "expected sha256"),
    ],
)
def test_nothing_is_opened_without_all_shards(
    copied: ShardManifest, change: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    change(copied.shards[2].path)
    with pytest.raises(error, match=f"{copied.shards[2].path}: {message}"):
        ShardedIndex(copied, actors=1)


def test_an_actor_that_dies_each_time_is_an_error(
    dealt: Dealt, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Holder):
        def answer(self, request: Any, is_given_up: Callable[[], bool]) -> Any:
            os._exit(1)

    monkeypatch.setattr("hashcore.distributed.ray._member.Holder", Dying)
    with ShardedIndex(dealt.manifest, actors=1, attempts=2) as index:
        with pytest.raises(ShardLostError, match=r"expected an answer; .* attempt 2 of 2") as lost:
            index.search(dealt.queries, 3)
        assert "\n" not in str(lost.value)
        for shard in dealt.manifest.shards:
            assert str(shard.path) in str(lost.value)


@pytest.mark.parametrize("options", [{"actors": 0}, {"threads": 0}, {"attempts": 0}])
def test_numbers_below_one_are_refused(dealt: Dealt, options: dict[str, int]) -> None:
    [(name, _)] = options.items()
    with pytest.raises(ValueError, match=f"{name}: expected >= 1; got 0"):
        ShardedIndex(dealt.manifest, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=f"{name}: expected an integer; got str"):
        ShardedIndex(dealt.manifest, **{name: "1"})  # type: ignore[arg-type]
