"""Any history of an index leaves it equal to a dictionary of codes by id.

A longer run: ``pytest tests/engine/test_state_machine.py --hypothesis-profile=long --timeout=0``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

import hashcore
import reference

LARGEST_ID = 2**63 - 2

counts = st.integers(0, 30) | st.sampled_from([64, 1000])
ids = st.integers(0, 300) | st.integers(0, LARGEST_ID) | st.just(LARGEST_ID)
seeds = st.integers(0, 2**32 - 1)
levels = st.sampled_from(hashcore.isa_levels())
filter_kinds = st.sampled_from([None, "allow", "deny", "mask"])
shares = st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0])
radii = st.integers(0, 4) | st.integers(0, 310)
kinds = st.sampled_from(["flat", "mih", "auto"])
options: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"kind": "flat"},
        {"kind": "auto"},
        {"kind": "mih"},
        {"kind": "mih", "layout": "compact"},
        {"kind": "mih", "layout": "compact", "tables": 3},
    ]
)


class IndexAgainstDictionary(RuleBasedStateMachine):
    @initialize(
        bits=st.sampled_from([1, 8, 50, 64, 77, 128, 256, 300]),
        options=options,
        count=st.sampled_from([0, 2000]),
        seed=seeds,
    )
    def make(self, bits: int, options: dict[str, Any], count: int, seed: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.bits = bits
        self.options = options | {"tables": min(bits, 3)} if "tables" in options else options
        self.index_knows_its_options = True
        self.index = hashcore.Index(bits, **self.options)
        self.truth: dict[int, bytes] = {}
        self.removed: set[int] = set()
        self.next_id = 0
        self.add_with_automatic_ids(count, seed)

    def teardown(self) -> None:
        hashcore._core.force_isa("")
        self.folder.cleanup()

    def drawn_codes(self, seed: int, count: int) -> NDArray[np.uint8]:
        return reference.random_codes(np.random.default_rng(seed), count, self.bits)

    def drawn_queries(self, seed: int, count: int) -> NDArray[np.uint8]:
        """Codes of the index among others: what is near ends a walk through hash tables."""
        asked = self.drawn_codes(seed, count)
        rng = np.random.default_rng(seed)
        known = np.flatnonzero(rng.random(count) < 0.5)
        if self.truth:
            _, codes = self.sorted_truth()
            asked[known] = codes[rng.integers(0, len(codes), len(known))]
        return asked

    def sorted_truth(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        ids = np.array(sorted(self.truth), np.int64)
        codes = np.frombuffer(b"".join(self.truth[id] for id in ids.tolist()), np.uint8)
        return ids, codes.reshape(len(ids), (self.bits + 7) // 8)

    def remember(self, ids: list[int], codes: NDArray[np.uint8]) -> None:
        self.truth.update(zip(ids, map(bytes, codes), strict=True))
        self.removed -= set(ids)
        self.next_id = max(self.next_id, max(ids, default=-1) + 1)

    def drawn_filter(
        self, kind: str | None, share: float, seed: int
    ) -> tuple[hashcore.Filter | None, NDArray[np.bool_]]:
        """A filter, and whom it allows in ascending id order."""
        rng = np.random.default_rng(seed)
        ids = np.array(sorted(self.truth), np.int64)
        allowed = rng.random(len(ids)) < share
        strangers = np.setdiff1d(rng.integers(0, LARGEST_ID, 3), ids)
        match kind:
            case None:
                return None, np.ones(len(ids), bool)
            case "mask":
                return hashcore.Filter.mask(allowed), allowed
            case "allow":
                named = rng.permutation(np.concatenate([ids[allowed], strangers]))
                return hashcore.Filter.allow(named), allowed
            case _:
                named = rng.permutation(np.concatenate([ids[~allowed], strangers]))
                return hashcore.Filter.deny(named), allowed

    @rule(count=counts, seed=seeds)
    def add_with_automatic_ids(self, count: int, seed: int) -> None:
        codes = self.drawn_codes(seed, count)
        if self.next_id + count > LARGEST_ID + 1:
            with pytest.raises(ValueError, match="no automatic ids are left"):
                self.index.add(codes)
            return
        added = self.index.add(codes).tolist()
        assert added == list(range(self.next_id, self.next_id + count))
        self.remember(added, codes)

    @rule(ids=st.lists(ids, max_size=20), seed=seeds)
    def add_with_given_ids(self, ids: list[int], seed: int) -> None:
        codes = self.drawn_codes(seed, len(ids))
        if len(set(ids)) < len(ids) or set(ids) & set(self.truth):
            with pytest.raises(ValueError, match=r"ids: \d+ is (given twice|in the index)"):
                self.index.add(codes, np.array(ids, np.int64))
            return
        assert self.index.add(codes, np.array(ids, np.int64)).tolist() == ids
        self.remember(ids, codes)

    @rule(share=shares, seed=seeds)
    def add_removed_ids_again(self, share: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ids = [id for id in sorted(self.removed) if rng.random() < share]
        codes = self.drawn_codes(seed, len(ids))
        order = rng.permutation(len(ids))
        self.index.add(codes[order], np.array(ids, np.int64)[order])
        self.remember(ids, codes)

    @rule(share=shares, strangers=st.lists(ids, max_size=5), seed=seeds)
    def remove(self, share: float, strangers: list[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        there = [id for id in self.truth if rng.random() < share]
        gone = set(there) | (set(strangers) & set(self.truth))
        named = np.array(there + strangers + there[:3], np.int64)
        assert self.index.remove(rng.permutation(named)) == len(gone)
        for id in gone:
            del self.truth[id]
        self.removed |= gone

    @rule()
    def compact(self) -> None:
        """Nothing shows of the index's history, down to the bytes of its file."""
        self.index.compact()
        assert self.index.stats()["removed"] == self.index.stats()["delta"] == 0
        self.removed.clear()
        ids, codes = self.sorted_truth()
        fresh = hashcore.Index(self.bits, **self.options)
        fresh.add(codes, ids)
        if self.index_knows_its_options and self.next_id == max(self.truth, default=-1) + 1:
            assert self.file_of(self.index) == self.file_of(fresh)

    def file_of(self, index: hashcore.Index) -> bytes:
        path = Path(self.folder.name) / "compared.hci"
        index.save(path)
        return path.read_bytes()

    @rule(kind=kinds, copy=st.booleans(), own_ids=st.booleans())
    def start_anew_from_the_same_codes(self, kind: Any, copy: bool, own_ids: bool) -> None:
        ids, codes = self.sorted_truth()
        given = ids if own_ids else None
        self.options = {"kind": kind if copy else "flat"}
        self.index_knows_its_options = True
        self.index = hashcore.Index.from_codes(
            codes, given, bits=self.bits, copy=copy, **self.options
        )
        if not own_ids:
            self.truth = dict(enumerate(self.truth[id] for id in ids.tolist()))
        self.removed.clear()
        self.next_id = max(self.truth, default=-1) + 1

    @rule(mmap=st.booleans(), verify=st.booleans())
    def save_and_load(self, mmap: bool, verify: bool) -> None:
        """Over the file that the index may be mapped from."""
        path = Path(self.folder.name) / "codes.hci"
        self.index.save(path)
        self.index = hashcore.Index.load(path, mmap=mmap, verify=verify)
        # A file tells the kind and the layout of tables, not whether their number was asked for.
        self.index_knows_its_options &= "tables" not in self.options

    @rule(
        queries=st.integers(0, 40),
        k=st.integers(0, 40) | st.sampled_from([1, 2000]),
        distance=st.none() | radii,
        kind=filter_kinds,
        share=shares,
        threads=st.integers(1, 4),
        level=levels,
        seed=seeds,
    )
    def search(
        self,
        queries: int,
        k: int,
        distance: int | None,
        kind: str | None,
        share: float,
        threads: int,
        level: str,
        seed: int,
    ) -> None:
        asked = self.drawn_queries(seed, queries)
        chosen, allowed = self.drawn_filter(kind, share, seed)
        hashcore._core.force_isa(level)
        result = self.index.search(asked, k, max_distance=distance, filter=chosen, threads=threads)
        ids, codes = self.sorted_truth()
        expected = reference.knn(
            codes[allowed], asked, k, self.bits, ids=ids[allowed], max_distance=distance
        )
        for got, truth in zip((*result, result.counts), expected, strict=True):
            np.testing.assert_array_equal(got, truth)

    @rule(
        queries=st.integers(0, 5),
        radius=radii,
        max_results=st.none() | st.integers(0, 40),
        kind=filter_kinds,
        share=shares,
        threads=st.integers(1, 4),
        level=levels,
        seed=seeds,
    )
    def range_search(
        self,
        queries: int,
        radius: int,
        max_results: int | None,
        kind: str | None,
        share: float,
        threads: int,
        level: str,
        seed: int,
    ) -> None:
        asked = self.drawn_queries(seed, queries)
        chosen, allowed = self.drawn_filter(kind, share, seed)
        hashcore._core.force_isa(level)
        result = self.index.range_search(
            asked, radius, max_results=max_results, filter=chosen, threads=threads
        )
        ids, codes = self.sorted_truth()
        lims, distances, positions = reference.range_search(
            codes[allowed], asked, radius, max_results=max_results
        )
        np.testing.assert_array_equal(result.lims, lims)
        np.testing.assert_array_equal(result.distances, distances)
        np.testing.assert_array_equal(result.ids, ids[allowed][positions])

    @rule(wanted=st.lists(ids, max_size=5))
    def look_up(self, wanted: list[int]) -> None:
        for id in wanted:
            assert (id in self.index) == (id in self.truth)
        if set(wanted) <= set(self.truth):
            codes = self.index.get(np.array(wanted, np.int64))
            assert list(map(bytes, codes)) == [self.truth[id] for id in wanted]
        else:
            with pytest.raises(KeyError, match="is not in the index"):
                self.index.get(np.array(wanted, np.int64))

    @invariant()
    def holds_what_was_added_and_not_removed(self) -> None:
        ids, codes = self.sorted_truth()
        assert len(self.index) == len(ids) == self.index.stats()["codes"]
        assert self.index.kind == self.options["kind"].replace("auto", "flat")
        np.testing.assert_array_equal(self.index.ids, ids)
        np.testing.assert_array_equal(self.index.get(ids), codes)


TestIndexAgainstDictionary = IndexAgainstDictionary.TestCase
TestIndexAgainstDictionary.settings = settings(
    max_examples=settings().max_examples // 3, stateful_step_count=25, deadline=None
)
