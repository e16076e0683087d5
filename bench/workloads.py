"""What is measured, on how much, and what is to be reached: every workload of the benches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self, TypeVar

WIDTHS = (64, 128, 256, 512, 1024)
FAISS = "FAISS"
FAISS_AVX2 = "FAISS at AVX2"
FLAT_SCAN = "own scan"
Layout = Literal["fast", "compact"]
NUMPY = "NumPy packbits"
NUMPY_GATHER = "NumPy gather"
PYTORCH_GATHER = "PyTorch gather"
PYTORCH_LOOP = "PyTorch loop"
ISSUE_LIMIT = "issue limit"
SLICED_LIMIT = "sliced issue limit"
BANDWIDTH = "read bandwidth"


def in_short(count: int) -> str:
    """A number, whole millions in short: 8M, 500,000."""
    return f"{count // 1_000_000}M" if count and count % 1_000_000 == 0 else f"{count:,}"


@dataclass(frozen=True)
class Target:
    """The least value of a measure: the ratio to a peer, or the share of a limit, by its name."""

    measure: str
    at_least: float


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One row of a table.

    Attributes:
        rounds: timed runs of every contender.
        targets: what the row has to reach.
    """

    table: str
    threads: int = 1
    rounds: int = 5
    targets: tuple[Target, ...] = ()

    @property
    def name(self) -> str:
        """What is done, on how much: unique in its table."""
        raise NotImplementedError

    def small(self) -> Self:
        """For a quick look: every part of it runs, its figures mean little and reach nothing."""
        return replace(self, rounds=min(self.rounds, 2), targets=())


@dataclass(frozen=True, kw_only=True)
class Search(Workload):
    """A search over random codes.

    Attributes:
        k: hits a query; 0 where all are found, or all within ``radius``.
        level: instruction-set level to force; empty for the best.
    """

    bits: int
    codes: int
    queries: int
    k: int = 10
    radius: int = 0
    level: str = ""

    @property
    def name(self) -> str:
        parts = [
            self.level,
            f"{self.bits} bits",
            f"{in_short(self.codes)} codes",
            "1 query" if self.queries == 1 else f"{self.queries:,} queries",
            f"k = {self.k:,}" if self.k else "",
            f"radius {self.radius}" if self.radius else "",
            f"{self.threads} threads" if self.threads > 1 else "",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def pairs(self) -> int:
        """Pairs of a query and a code: the work of one run."""
        return self.codes * self.queries

    def small(self) -> Self:
        return replace(
            super().small(), codes=min(self.codes, 50_000), queries=min(self.queries, 32)
        )


@dataclass(frozen=True, kw_only=True)
class Filtered(Search):
    """A search among a part of the codes.

    Attributes:
        share: of the codes that are allowed.
        in_a_row: whether these stand together; at random places otherwise.
    """

    share: float
    in_a_row: bool

    @property
    def name(self) -> str:
        where = "" if self.share == 1 else (" in a row" if self.in_a_row else " at random")
        return f"{100 * self.share:g}% of the codes{where}, {super().name}"


@dataclass(frozen=True, kw_only=True)
class Hashed(Search):
    """Queries one by one over codes in hash tables.

    Attributes:
        layout: of the index.
        centres: around which codes and queries are drawn; 0 where they are uniform.
        flip: probability that a bit of a centre is flipped.
    """

    layout: Layout = "fast"
    centres: int = 0
    flip: float = 0.0

    @property
    def name(self) -> str:
        drawn = f"{self.centres:,} centres, {self.flip:g} of the bits flipped"
        return f"{drawn if self.centres else 'uniform'}, {self.layout}, {super().name}"

    def small(self) -> Self:
        return replace(super().small(), queries=4, centres=min(self.centres, 100))


@dataclass(frozen=True, kw_only=True)
class Tombstoned(Search):
    """A search of an index of which codes were removed.

    Attributes:
        kind: of the index.
        removed: share of its codes.
    """

    kind: Literal["flat", "mih"]
    removed: float

    @property
    def name(self) -> str:
        return f"{self.kind}, {100 * self.removed:g}% removed, {super().name}"


@dataclass(frozen=True, kw_only=True)
class Remove(Workload):
    """Removal of codes, one a call.

    Attributes:
        ids: removed in a round.
    """

    bits: int
    codes: int
    ids: int

    @property
    def name(self) -> str:
        return f"{self.ids:,} ids one by one, {self.bits} bits, {in_short(self.codes)} codes"

    def small(self) -> Self:
        return replace(super().small(), codes=min(self.codes, 50_000), ids=10)


@dataclass(frozen=True, kw_only=True)
class Pack(Workload):
    """Packing of random values."""

    dtype: str
    rows: int
    bits: int

    @property
    def name(self) -> str:
        return f"{self.dtype}, {self.rows:,} x {self.bits}"

    def small(self) -> Self:
        return replace(super().small(), rows=min(self.rows, 20_000))


@dataclass(frozen=True, kw_only=True)
class Rescore(Workload):
    """Scores of random shortlists against random vectors, inner product."""

    dtype: str
    vectors: int
    dims: int
    queries: int
    shortlist: int

    @property
    def name(self) -> str:
        return (
            f"{self.dtype}, {self.queries:,} queries x {self.shortlist:,} of "
            f"{in_short(self.vectors)} vectors of {self.dims}"
        )

    def small(self) -> Self:
        return replace(super().small(), vectors=min(self.vectors, 5_000), queries=8)


@dataclass(frozen=True, kw_only=True)
class Evaluate(Workload):
    """Ranking metrics over random codes and random multi-hot labels."""

    bits: int
    codes: int
    queries: int
    classes: int
    every_metric: bool
    """All that a report holds by default; otherwise mean average precision, which peers compute."""

    @property
    def name(self) -> str:
        metrics = "every metric" if self.every_metric else "mAP"
        return (
            f"{metrics}, {self.queries:,} queries x {self.codes:,} codes, {self.bits} bits, "
            f"{self.classes} labels"
        )

    def small(self) -> Self:
        return replace(super().small(), queries=min(self.queries, 32))


AnyWorkload = TypeVar("AnyWorkload", bound=Workload)


def small(workload: AnyWorkload) -> AnyWorkload:
    """The workload of a quick run."""
    return workload.small()


def as_it_is(workload: AnyWorkload) -> AnyWorkload:
    """The workload of a full run."""
    return workload


class Sized(Protocol):
    """``small`` or ``as_it_is``."""

    def __call__(self, workload: AnyWorkload, /) -> AnyWorkload:
        """The workload in the size of this run."""


def radius_that_finds(hits: int, bits: int, codes: int) -> int:
    """The radius whose expected number of hits among random codes is nearest, by ratio."""
    found = 0.0
    best, best_ratio = 0, math.inf
    for radius in range(bits + 1):
        found += codes * math.comb(bits, radius) / 2**bits
        ratio = max(found / hits, hits / found)
        if ratio < best_ratio:
            best, best_ratio = radius, ratio
    return best


def _batch(bits: int) -> Search:
    ratio = {64: 16, 128: 8, 256: 4, 512: 3, 1024: 4}[bits]
    return Search(
        table="Batched kNN",
        bits=bits,
        codes=8_000_000 if bits <= 256 else 4_000_000,
        queries=256,
        rounds=4,
        targets=(Target(FAISS, ratio), Target(ISSUE_LIMIT, 0.75)),
    )


def _forced(level: str, bits: int) -> Search:
    return Search(
        table="Forced instruction-set levels",
        bits=bits,
        codes=500_000 if bits <= 256 else 200_000,
        queries=256,
        level=level,
        targets=(Target(FAISS_AVX2, 5),) if (level, bits) == ("avx2", 64) else (),
    )


def _many_hits(codes: int, queries: int, k: int, targets: Iterable[Target] = ()) -> Search:
    return Search(
        table="Many hits", bits=64, codes=codes, queries=queries, k=k, targets=tuple(targets)
    )


def _pack(dtype: str, targets: Iterable[Target] = ()) -> Pack:
    return Pack(
        table="Packing",
        dtype=dtype,
        rows=500_000,
        bits=256,
        rounds=9,
        targets=tuple(targets),
    )


def _hashed(
    bits: int,
    codes: int,
    ratio: float = 0,
    *,
    layout: Layout = "fast",
    radius: int = 0,
    flip: float = 0.0,
) -> Hashed:
    return Hashed(
        table="Hash tables, one query at a time",
        bits=bits,
        codes=codes,
        queries=50,
        k=0 if radius else 10,
        radius=radius,
        layout=layout,
        centres=10_000 if flip else 0,
        flip=flip,
        targets=(Target(FLAT_SCAN, ratio),) if ratio else (),
    )


def _tombstoned(kind: Literal["flat", "mih"], queries: int) -> Tombstoned:
    return Tombstoned(
        table="Removed codes",
        bits=64,
        codes=8_000_000,
        queries=queries,
        rounds=7,
        kind=kind,
        removed=0.09,
    )


BATCHES = [_batch(bits) for bits in WIDTHS]
FORCED = [_forced(level, bits) for level in ("avx512", "avx2", "portable") for bits in WIDTHS]
ODD_WIDTHS = [
    Search(table="Odd widths", bits=bits, codes=500_000, queries=256)
    for bits in (100, 192, 200, 320, 1000)
]
OTHER_PEERS = [
    Search(table="Other peers", bits=bits, codes=1_000_000, queries=64, rounds=3)
    for bits in (64, 256)
]
PAIRWISE = [
    Search(table="Pairwise distances", bits=bits, codes=100_000, queries=256, k=0)
    for bits in (64, 256)
]
HISTOGRAMS = [
    Search(table="Distance histograms", bits=bits, codes=1_000_000, queries=256, k=0)
    for bits in (64, 256)
]
MANY_HITS = [
    _many_hits(1_000_000, 256, 1_000, [Target(FAISS, 8)]),
    _many_hits(100_000, 1_000, 100, [Target(FAISS, 5)]),
    _many_hits(1_000_000, 4, 100_000),
]
SMALL_BATCHES = [
    Search(table="Small batches", bits=64, codes=8_000_000, queries=queries, rounds=7)
    for queries in (2, 4, 8, 16, 32)
]
RANGE = Search(
    table="Range search, about 100 hits a query",
    bits=64,
    codes=8_000_000,
    queries=256,
    k=0,
    radius=radius_that_finds(100, 64, 8_000_000),
    rounds=4,
    targets=(Target(FAISS, 6),),
)
ONE_QUERY = [
    Search(
        table="One query",
        bits=256,
        codes=8_000_000,
        queries=1,
        threads=threads,
        rounds=25,
        targets=(Target(BANDWIDTH, 0.85),),
    )
    for threads in (1, 2)
]
FILTERED = [
    Filtered(
        table="Filters",
        bits=64,
        codes=4_000_000,
        queries=64,
        rounds=7,
        share=share,
        in_a_row=in_a_row,
    )
    for share, in_a_row in (
        (1.0, False),
        (0.5, False),
        (0.01, False),
        (0.0001, False),
        (0.5, True),
        (0.01, True),
        (0.0001, True),
    )
]
HASHED = [
    _hashed(64, 100_000_000, 20),
    _hashed(64, 100_000_000, 100, flip=1 / 8),
    _hashed(64, 100_000_000, layout="compact"),
    _hashed(256, 10_000_000, 50, radius=31, flip=1 / 32),
]
TOMBSTONED = [_tombstoned("flat", 256), _tombstoned("flat", 1), _tombstoned("mih", 50)]
REMOVED = Remove(table="Removal", bits=64, codes=100_000_000, ids=1_000, rounds=5)
PACKED = [
    _pack("float32", targets=[Target(BANDWIDTH, 0.8), Target(NUMPY, 2)]),
    _pack("float16"),
    _pack("float64"),
    _pack("int8"),
]
RESCORED = [
    Rescore(
        table="Rescoring",
        dtype=dtype,
        vectors=300_000,
        dims=768,
        queries=100,
        shortlist=1_000,
        rounds=7,
    )
    for dtype in ("float32", "int8")
]
EVALUATED = [
    Evaluate(
        table="Ranking metrics",
        bits=64,
        codes=18_015,
        queries=2_000,
        classes=24,
        every_metric=every_metric,
        rounds=9,
        targets=() if every_metric else (Target(PYTORCH_LOOP, 50),),
    )
    for every_metric in (False, True)
]
