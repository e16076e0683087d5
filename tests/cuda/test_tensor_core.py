"""Searches by the binary tensor core give the bytes of the CPU's: every width, codes that tie."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
from cuda_device import kernels_on_host
from hashcore import Filter, Index, _gpu_codes
from reference import random_codes
from same_results import same

WIDTHS = (8, 64, 65, 128, 136, 256, 264, 512, 1000, 1024, 1096)


@pytest.fixture(autouse=True)
def by_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it can, whatever the number of queries."""
    monkeypatch.setenv("HASHCORE_CUDA_SCAN", "b1")


def draw(
    seed: int, count: int, bits: int, queries: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return random_codes(rng, count, bits), random_codes(rng, queries, bits)


def scan_here(bits: int) -> str:
    """That a device has for hits."""
    major, minor = _gpu_codes.find_place(0, {}).kernels.devices()[0]["compute_capability"]
    most = {8: 1024, 9: 16_384}.get(major, 0) if (major, minor) <= (9, 0) else 0
    return "b1" if bits <= most else "popc"


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_tensor_core_finds_what_the_cpu_does(bits: int, device: str, way: str) -> None:
    database, queries = draw(bits, 700, bits, queries=9)
    index = Index.from_codes(database, bits=bits)
    there = index.to(device)
    for k in (1, 10, 700):
        same(there.search(queries, k), index.search(queries, k))
        assert there.stats()["scan"] == scan_here(bits)
    radius = 3 * bits // 7
    same(there.range_search(queries, radius), index.range_search(queries, radius))
    assert there.stats()["scan"] == scan_here(bits)


def hard_codes(kind: str, bits: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A database of ties, or of codes of every weight, and queries."""
    rng = np.random.default_rng(bits)
    size = bits // 8
    if kind == "weights":
        bytes_set = np.tri(size + 1, size, -1, dtype=np.uint8) * np.uint8(255)
        database = np.repeat(bytes_set, 1 + 600 // size, axis=0)
        return rng.permutation(database), np.vstack([bytes_set[:: size // 4], ~database[:1]])
    query = random_codes(rng, 7, bits)
    return np.repeat(query[:1] if kind == "equal" else query, 130, axis=0), query


@pytest.mark.parametrize("kind", ["equal", "duplicates", "weights"])
@pytest.mark.parametrize("bits", [64, 128, 256, 1024])
def test_the_tensor_core_on_hard_codes(kind: str, bits: int, device: str, way: str) -> None:
    database, queries = hard_codes(kind, bits)
    for k in (1, 100, len(database)):
        found = hashcore.knn(database, queries, k, device=device)
        same(found, hashcore.knn(database, queries, k))


def test_the_tensor_core_with_many_queries_and_a_filter(device: str) -> None:
    for bits in (64, 256):
        database, queries = draw(3, 600, bits, queries=131)
        chosen = Filter.mask(np.random.default_rng(1).random(600) < 0.3)
        expected = hashcore.knn(database, queries, 20, filter=chosen)
        same(hashcore.knn(database, queries, 20, filter=chosen, device=device), expected)


def test_the_scan_is_chosen_by_the_number_of_queries(
    on_host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, queries = draw(1, 300, 64, queries=20)
    there = Index.from_codes(database, bits=64).to("cuda")
    for scan, count, expected in (
        ("", 1, "popc"),
        ("", 20, "b1"),
        ("b1", 1, "b1"),
        ("popc", 20, "popc"),
    ):
        monkeypatch.setenv("HASHCORE_CUDA_SCAN", scan)
        there.search(queries[:count], 3)
        assert there.stats()["scan"] == expected


def test_an_unknown_scan_is_refused(on_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels_on_host() is not None
    database, queries = draw(1, 300, 64, queries=1)
    monkeypatch.setenv("HASHCORE_CUDA_SCAN", "xor")
    with pytest.raises(ValueError, match="HASHCORE_CUDA_SCAN: expected popc or b1; got xor"):
        hashcore.knn(database, queries, 3, device="cuda")
