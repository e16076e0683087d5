"""What is measured of the search on a GPU, over which codes, and what is to be reached."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from bench.workloads import BANDWIDTH, Search, Target

Drawn = Literal["uniform", "clustered"]

HASHCORE = "hashcore"
EAGER = "PyTorch XOR"
COMPILED = "PyTorch XOR, compiled"
GEMM = "int8 GEMM + topk"
CUPY = "CuPy popcount"
OWN_POPC = "own popcount scan"
SMALL_K = "hashcore, k = 10"
PLAIN = (EAGER, COMPILED, GEMM, CUPY)

POPC_LIMIT = "popcounts"
B1_LIMIT = "binary products"
COMPARE_LIMIT = "comparisons"

ONE = "One query"
FEW = "Up to 64 queries, one pass"
BATCH = "Batches"
OVER_K = "Sizes of k"
OVER_N = "Sizes of the database"
CLUSTERED = "Clustered codes, a third of them duplicates"


def rate_of(pairs_per_second: float) -> str:
    """The measure that is the rate over this one."""
    return f"{pairs_per_second:.0e} pairs/s".replace("e+", "e")


@dataclass(frozen=True, kw_only=True)
class GpuSearch(Search):
    """A search over codes that lie on the device.

    Attributes:
        peers: contenders beside hashcore.
        drawn: how the codes are.
    """

    peers: tuple[str, ...] = ()
    drawn: Drawn = "uniform"
    rounds: int = 7

    @property
    def code_bytes(self) -> int:
        """Of one code."""
        return math.ceil(self.bits / 8)

    @property
    def bytes_read(self) -> int:
        """Of all codes, once."""
        return self.codes * self.code_bytes

    def small(self) -> Self:
        return replace(
            self,
            rounds=2,
            targets=(),
            codes=min(self.codes, 200_000),
            queries=min(self.queries, 64),
            k=min(self.k, 100),
        )

    def within(self, room: float) -> Self:
        """With as many codes as have room, a power of ten or three of it; fewer have no targets.

        Args:
            room: bytes on the device that codes may take, as they are drawn and as tiles.
        """
        if 2 * self.bytes_read <= room:
            return self
        most = max(1.0, room / (2 * self.code_bytes))
        power = 10 ** math.floor(math.log10(most))
        return replace(self, codes=power * (3 if most >= 3 * power else 1), targets=())


def _one(bits: int, codes: int, *targets: Target, queries: int = 1) -> GpuSearch:
    peers = (OWN_POPC,) if queries > 4 else (EAGER, CUPY)
    return GpuSearch(
        table=ONE if queries == 1 else FEW,
        bits=bits,
        codes=codes,
        queries=queries,
        peers=peers,
        targets=targets,
    )


# A second reading of the codes would halve the share of what one reading takes.
_ONE_READING = Target(BANDWIDTH, 0.5)
_CLOSE_TO_READING = Target(BANDWIDTH, 1 / 1.2)

ONES = [
    _one(64, 10**9, _CLOSE_TO_READING),
    _one(128, 3 * 10**8),
    _one(256, 10**8),
    _one(512, 10**8),
    _one(1024, 3 * 10**7),
]
FEWS = [
    _one(64, 10**9, queries=64),
    *[_one(256, 10**8, _ONE_READING, queries=queries) for queries in (4, 16, 64)],
    _one(1024, 3 * 10**7, queries=64),
]
BATCHES = [
    GpuSearch(
        table=BATCH,
        bits=bits,
        codes=codes,
        queries=queries,
        peers=(OWN_POPC, *PLAIN),
        targets=targets,
    )
    for bits, codes, queries, targets in (
        (64, 10**8, 1_000, ()),
        (64, 10**8, 10_000, (Target(rate_of(4e12), 1), Target(GEMM, 20))),
        (128, 10**8, 1_000, ()),
        (256, 10**8, 256, ()),
        (256, 10**8, 1_000, (Target(rate_of(8e12), 1), Target(OWN_POPC, 10))),
        (
            256,
            10**8,
            10_000,
            (Target(rate_of(8e12), 1), Target(OWN_POPC, 10), Target(GEMM, 20)),
        ),
        (512, 3 * 10**7, 1_000, ()),
        (1024, 3 * 10**7, 1_000, ()),
    )
]
OVER_KS = [
    GpuSearch(
        table=OVER_K,
        bits=64,
        codes=10**8,
        queries=64,
        k=k,
        peers=(SMALL_K, GEMM) if k != 10 else (GEMM,),
        targets=(Target(SMALL_K, 0.5),) if k == 10_000 else (),
    )
    for k in (1, 10, 100, 1_000, 10_000)
]
OVER_NS = [
    GpuSearch(table=OVER_N, bits=64, codes=codes, queries=1_000, peers=(OWN_POPC, GEMM))
    for codes in (10**6, 10**7, 10**9)
]
IN_CLUSTERS = [
    GpuSearch(
        table=CLUSTERED,
        bits=bits,
        codes=10**8,
        queries=queries,
        k=k,
        drawn="clustered",
        peers=(GEMM,),
    )
    for bits, queries, k in ((64, 1, 10), (64, 64, 1_000), (256, 1_000, 10), (256, 64, 10_000))
]
SEARCHES = ONES + FEWS + BATCHES + OVER_KS + OVER_NS + IN_CLUSTERS


def searches(room: float, *, quick: bool = False) -> list[GpuSearch]:
    """What is measured where so many bytes are free; the same search once."""
    asked = [search.small() if quick else search for search in SEARCHES]
    found: dict[str, GpuSearch] = {}
    for search in (search.within(room) for search in asked):
        found.setdefault(f"{search.table}: {search.name}", search)
    return list(found.values())
