"""Kind "mih" against the truth: however its tables are cut, its answers are those of a scan.

``HASHCORE_SEARCHES=1000000 pytest tests/engine/test_mih.py -k marathon --timeout=0`` makes the
random comparison with kind "flat" as long as wanted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hashcore
import reference

SEARCHES = int(os.environ.get("HASHCORE_SEARCHES", "20000"))
LEVELS = hashcore.isa_levels()
LAYOUTS: tuple[Any, ...] = ("fast", "compact")
SKEWS = ("clustered", "uniform", "constant bits", "correlated bits", "few codes", "one code")
ID_KINDS = ("dense", "sparse", "huge")
FILTERS = (None, "allow", "deny", "mask")
LAYOUT_CASES = [(64, "fast"), (64, "compact"), (50, "compact"), (128, "fast"), (256, "compact")]

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]
Allowed = NDArray[np.bool_] | slice
EVERYONE = slice(None)


@pytest.fixture(autouse=True)
def automatic_level() -> Iterator[None]:
    yield
    hashcore._core.force_isa("")


def skewed_codes(rng: np.random.Generator, count: int, bits: int, skew: str) -> Codes:
    if skew == "clustered":
        return reference.random_codes(rng, count, bits)
    if skew in ("few codes", "one code"):
        pool = reference.random_codes(rng, 1 if skew == "one code" else 5, bits)
        return pool[rng.integers(0, len(pool), count)]
    values = rng.random((count, bits)) < 0.5  # [N, K]
    if skew == "constant bits":
        values[:, rng.random(bits) < 0.6] = True
    elif skew == "correlated bits":
        values = np.repeat(values[:, : (bits + 3) // 4], 4, axis=1)[:, :bits]
    return np.packbits(values, axis=1).reshape(count, (bits + 7) // 8)


def near(rng: np.random.Generator, codes: Codes, bits: int, flips: int) -> Codes:
    """The same codes with up to `flips` bits of each changed."""
    values = np.unpackbits(codes, axis=1, count=bits)
    for _ in range(flips):
        values[np.arange(len(codes)), rng.integers(0, bits, len(codes))] ^= 1
    return np.packbits(values, axis=1)


class Compared:
    """A multi-index hash, and the codes that it holds in ascending id order."""

    def __init__(self, bits: int, codes: Codes, ids: Ids | None = None, **params: Any) -> None:
        self.bits = bits
        self.codes = codes
        self.has_own_ids = ids is not None
        self.ids = np.arange(len(codes)) if ids is None else ids
        self.index = self.indexed("mih", **params)

    def indexed(self, kind: Any, **params: Any) -> hashcore.Index:
        """The codes in an index; those with ids of their own are added in no order."""
        index = hashcore.Index(self.bits, kind, **params)
        if self.has_own_ids:
            order = np.random.default_rng(0).permutation(len(self.ids))
            index.add(self.codes[order], self.ids[order])
        else:
            index.add(self.codes)
        return index

    def queries(self, rng: np.random.Generator, count: int) -> Codes:
        """Codes of the index, neighbours of them, and codes of other draws."""
        asked = reference.random_codes(rng, count, self.bits)
        known = np.flatnonzero(rng.random(count) < 0.7) if len(self.codes) else np.empty(0, int)
        chosen = self.codes[rng.integers(0, max(1, len(self.codes)), len(known))]
        asked[known] = near(rng, chosen, self.bits, int(rng.integers(0, 4)))
        return asked

    def filter(
        self, rng: np.random.Generator, kind: str | None, share: float
    ) -> tuple[hashcore.Filter | None, NDArray[np.bool_]]:
        """A filter, and whom it allows."""
        allowed = rng.random(len(self.ids)) < share
        match kind:
            case None:
                return None, np.ones(len(self.ids), bool)
            case "mask":
                return hashcore.Filter.mask(allowed), allowed
            case "allow":
                return hashcore.Filter.allow(rng.permutation(self.ids[allowed])), allowed
            case _:
                return hashcore.Filter.deny(rng.permutation(self.ids[~allowed])), allowed

    def expect_knn(self, asked: Codes, k: int, allowed: Allowed = EVERYONE, **options: Any) -> None:
        got = self.index.search(asked, k, **options)
        expected = reference.knn(
            self.codes[allowed],
            asked,
            k,
            self.bits,
            ids=self.ids[allowed],
            max_distance=options.get("max_distance"),
        )
        for mine, truth in zip((*got, got.counts), expected, strict=True):
            np.testing.assert_array_equal(mine, truth)

    def expect_range(
        self, asked: Codes, radius: int, allowed: Allowed = EVERYONE, **options: Any
    ) -> None:
        got = self.index.range_search(asked, radius, **options)
        lims, distances, positions = reference.range_search(
            self.codes[allowed], asked, radius, max_results=options.get("max_results")
        )
        np.testing.assert_array_equal(got.lims, lims)
        np.testing.assert_array_equal(got.distances, distances)
        np.testing.assert_array_equal(got.ids, self.ids[allowed][positions])


@dataclass(frozen=True)
class Case:
    """How to draw codes, and to hash them."""

    bits: int
    count: int
    skew: str
    duplicates: float
    id_kind: str
    layout: Any
    tables: int | None
    radius: int | None
    seed: int

    def drawn(self) -> Compared:
        rng = np.random.default_rng(self.seed)
        codes = skewed_codes(rng, self.count, self.bits, self.skew)
        again = np.flatnonzero(rng.random(self.count) < self.duplicates)
        if len(again):
            codes[again] = codes[rng.integers(0, self.count, len(again))]
        ids = None
        if self.id_kind == "sparse":
            ids = np.sort(rng.choice(10 * self.count + 1, self.count, replace=False))
        elif self.id_kind == "huge":
            ids = 2**32 + np.cumsum(rng.integers(1, 2**48, self.count))
        return Compared(
            self.bits,
            codes,
            ids,
            layout=self.layout,
            tables=self.tables,
            radius=self.radius,
            threads=int(rng.integers(1, 5)),
        )


def widths() -> st.SearchStrategy[int]:
    return st.integers(1, 300) | st.sampled_from([8, 16, 24, 32, 64, 512, 1000, 1024, 2500])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bits = draw(widths())
    return Case(
        bits=bits,
        count=draw(st.integers(0, 3000 if bits <= 300 else 400)),
        skew=draw(st.sampled_from(SKEWS)),
        duplicates=draw(st.sampled_from([0.0, 0.1, 0.9])),
        id_kind=draw(st.sampled_from(ID_KINDS)),
        layout=draw(st.sampled_from(LAYOUTS)),
        tables=draw(st.none() | st.integers(1, min(bits, 32))),
        radius=draw(st.none() | st.integers(0, bits)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@given(
    case=cases(),
    wanted=st.integers(0, 20) | st.just(10**6),
    distance=st.none() | st.integers(0, 310),
    most=st.none() | st.integers(0, 50),
    kind=st.sampled_from(FILTERS),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    threads=st.integers(1, 4),
    level=st.sampled_from(LEVELS),
)
def test_any_case_against_numpy(
    case: Case,
    wanted: int,
    distance: int | None,
    most: int | None,
    kind: str | None,
    share: float,
    threads: int,
    level: str,
) -> None:
    compared = case.drawn()
    rng = np.random.default_rng(case.seed + 1)
    hashcore._core.force_isa(level)
    asked = compared.queries(rng, 6)
    chosen, allowed = compared.filter(rng, kind, share)
    k = min(wanted, case.count + 5)
    compared.expect_knn(asked, k, allowed, filter=chosen, max_distance=distance, threads=threads)
    radius = int(rng.integers(0, 8)) if distance is None else distance
    compared.expect_range(asked[:3], radius, allowed, filter=chosen, max_results=most)
    np.testing.assert_array_equal(compared.index.get(compared.ids), compared.codes)


def drawn_case(rng: np.random.Generator) -> Case:
    """Narrow codes and wide ones alike, for which both walks and scans come up."""
    bits = int(rng.choice([int(rng.integers(1, 65)), 64, 64, 128, int(rng.integers(65, 300)), 512]))
    return Case(
        bits=bits,
        count=int(rng.integers(0, rng.choice([300, 5000, 30_000]))),
        skew=str(rng.choice([*SKEWS, "uniform", "uniform", "clustered"])),
        duplicates=float(rng.choice([0.0, 0.05, 0.8])),
        id_kind=str(rng.choice(ID_KINDS)),
        layout=str(rng.choice(LAYOUTS)),
        tables=None if rng.random() < 0.5 else int(rng.integers(1, min(bits, 32) + 1)),
        radius=None if rng.random() < 0.5 else int(rng.integers(0, min(bits, 5) + 1)),
        seed=int(rng.integers(2**32)),
    )


def test_marathon_against_flat() -> None:
    """Byte for byte; a search is one query under one setting."""
    rng = np.random.default_rng(20_130_111)
    done: Counter[str] = Counter()
    while done["searches"] < SEARCHES:
        case = drawn_case(rng)
        compared = case.drawn()
        flat = compared.indexed("flat")
        indexes = (compared.index, flat)
        for _ in range(20):
            hashcore._core.force_isa(str(rng.choice(LEVELS)))
            asked = compared.queries(rng, int(rng.choice([1, 3, 10, 40])))
            kind = FILTERS[rng.integers(0, len(FILTERS))]
            chosen, _ = compared.filter(rng, kind, float(rng.choice([0.02, 0.5, 0.98])))
            threads = int(rng.integers(1, 5))
            k = int(rng.choice([0, 1, 1, 10, 100, len(flat), len(flat) + 5]))
            farthest = (None, 2, 5, int(rng.integers(0, compared.bits + 1)))[rng.integers(4)]
            options: dict[str, Any] = {"filter": chosen, "threads": threads}
            mine, truth = (i.search(asked, k, max_distance=farthest, **options) for i in indexes)
            for got, expected in zip((*mine, mine.counts), (*truth, truth.counts), strict=True):
                assert got.tobytes() == expected.tobytes(), (case, k, farthest, kind)
            radius = int(rng.integers(0, 6)) if farthest is None else farthest
            most = int(rng.integers(0, 30)) if rng.random() < 0.5 else None
            near, near_truth = (
                i.range_search(asked, radius, max_results=most, **options) for i in indexes
            )
            for name in ("lims", "distances", "ids"):
                assert getattr(near, name).tobytes() == getattr(near_truth, name).tobytes(), (
                    case,
                    radius,
                    most,
                    kind,
                )
            done["searches"] += 2 * len(asked)
        stats = compared.index.stats()
        done.update({name: stats[name] for name in ("queries", "scans", "lookups", "candidates")})
    walks = done["queries"] - done["scans"]
    print(dict(done), "walks", walks)
    assert min(walks, done["scans"]) > done["queries"] // 10  # both ways to an answer are compared
    assert done["candidates"] > done["lookups"] > walks


@pytest.mark.parametrize(("bits", "layout"), LAYOUT_CASES)
def test_every_level_walks_to_the_same_answers(isa_level: str, bits: int, layout: str) -> None:
    rng = np.random.default_rng(bits)
    codes = skewed_codes(rng, 60_000, bits, "uniform")
    compared = Compared(bits, codes, layout=layout, radius=3)
    asked = near(rng, codes[rng.integers(0, len(codes), 10)], bits, 3)
    compared.expect_range(asked, 3)
    compared.expect_knn(asked, 10, max_distance=3)
    stats = compared.index.stats()
    assert stats["queries"] == 20
    assert stats["scans"] == 0
    assert stats["lookups"] > stats["queries"]


def test_a_table_read_to_its_end() -> None:
    rng = np.random.default_rng(0)
    codes = skewed_codes(rng, 200_000, 64, "uniform")
    room_for_few_keys = 12 * len(codes) + 200
    compared = Compared(64, codes, layout="fast", tables=1, memory_budget=room_for_few_keys)
    (width,) = compared.index.stats()["key_bits"]
    assert width < 6
    compared.expect_knn(codes[:1], 10, max_distance=15)
    stats = compared.index.stats()
    assert stats["scans"] == 0
    assert stats["lookups"] == 2**width
    assert stats["candidates"] == len(codes)


@pytest.mark.parametrize(("bits", "layout"), LAYOUT_CASES)
def test_a_scan_once_the_next_step_would_cost_more(bits: int, layout: str) -> None:
    rng = np.random.default_rng(0)
    codes = skewed_codes(rng, 20_000, bits, "uniform")
    compared = Compared(bits, codes, layout=layout, radius=2)
    asked = skewed_codes(rng, 5, bits, "uniform")
    compared.expect_knn(asked, 10)
    stats = compared.index.stats()
    assert stats["scans"] == stats["queries"] == 5
    assert 5 < stats["lookups"] < 5 * sum(2**width for width in stats["key_bits"])


def test_a_scan_once_a_step_has_cost_more() -> None:
    codes = np.zeros((20_000, 32), np.uint8)
    compared = Compared(256, codes, layout="fast", radius=10)
    compared.expect_knn(codes[:3], 7)
    stats = compared.index.stats()
    assert stats["scans"] == stats["queries"] == stats["lookups"] == 3  # one key, all codes in it
    assert stats["candidates"] == 3 * len(codes)


@pytest.mark.parametrize(("bits", "layout"), LAYOUT_CASES)
def test_buckets_of_thousands_whose_codes_every_table_meets(bits: int, layout: str) -> None:
    rng = np.random.default_rng(0)
    codes = skewed_codes(rng, 300_000, bits, "uniform")
    equal = rng.choice(len(codes), 3000, replace=False)
    codes[equal] = near(rng, np.repeat(codes[:1], 3000, axis=0), bits, 1)
    codes[equal[:2500]] = codes[0]
    compared = Compared(bits, codes, layout=layout, tables=2, radius=1)
    compared.expect_range(codes[:1], 1)
    compared.expect_range(codes[:1], 1, max_results=2510)
    compared.expect_knn(codes[:1], 2600, max_distance=1)
    stats = compared.index.stats()
    assert stats["scans"] == 0
    assert stats["candidates"] > 3 * 2 * 2500
