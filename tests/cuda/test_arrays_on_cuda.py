"""Arrays that lie on a GPU: PyTorch's and CuPy's. Where there is none, doubles in host memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import hashcore
from gpu_doubles import Cupy, as_tensor
from hashcore import Filter, Index, RangeResult, SearchResult, _gpu_index
from hashcore._device import as_numpy, on_gpu
from reference import random_codes
from same_results import same

LIBRARIES = ["torch", "cupy"]


def there(array: np.ndarray[Any, Any], library: str) -> Any:
    return Cupy(array) if library == "cupy" else as_tensor(array)


def kinds(result: SearchResult | RangeResult) -> set[str]:
    return {type(value).__module__.partition(".")[0] for value in vars(result).values()}


def on_the_host(result: Any) -> Any:
    return type(result)(**{name: as_numpy(value) for name, value in vars(result).items()})


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("library", LIBRARIES)
def test_results_come_where_the_queries_are(library: str) -> None:
    compare(library, lambda array: there(array, library))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs PyTorch with a GPU")
@pytest.mark.parametrize("own_stream", [False, True])
def test_tensors_of_a_gpu(own_stream: bool) -> None:
    stream = torch.cuda.Stream() if own_stream else None  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        compare("torch", lambda array: torch.from_numpy(array).cuda())


@pytest.mark.gpu
def test_arrays_of_cupy() -> None:
    cupy: Any = pytest.importorskip("cupy")
    compare("cupy", cupy.asarray)


def compare(library: str, to_gpu: Callable[[np.ndarray[Any, Any]], Any]) -> None:
    rng = np.random.default_rng(0)
    database, queries = random_codes(rng, 400, 72), random_codes(rng, 6, 72)
    on_device = to_gpu(queries)
    index = Index.from_codes(database, np.arange(400) * 2, device="cuda")
    here = index.to("cpu")
    for options in ({}, {"filter": Filter.deny(np.arange(0, 800, 6))}):
        expected = hashcore.knn(database, queries, 9, **options)  # type: ignore[arg-type]
        for codes in (database, to_gpu(database)):
            found = hashcore.knn(codes, on_device, 9, device="cuda", **options)  # type: ignore[arg-type]
            assert kinds(found) == {library}
            same(on_the_host(found), expected)
            copied = hashcore.knn(codes, queries, 9, device="cuda", **options)  # type: ignore[arg-type]
            assert kinds(copied) == {"numpy"}
            same(copied, expected)
            for most in (None, 3):
                within = hashcore.range_search(
                    codes,
                    on_device,
                    24,
                    max_results=most,
                    device="cuda",
                    **options,  # type: ignore[arg-type]
                )
                assert kinds(within) == {library}
                same(
                    on_the_host(within),
                    hashcore.range_search(database, queries, 24, max_results=most, **options),  # type: ignore[arg-type]
                )
            counts = hashcore.distance_histogram(codes, on_device, device="cuda", **options)  # type: ignore[arg-type]
            counted = hashcore.distance_histogram(database, queries, **options)  # type: ignore[arg-type]
            assert np.array_equal(as_numpy(counts), counted)
        found = index.search(on_device, 9, **options)  # type: ignore[arg-type]
        assert kinds(found) == {library}
        same(on_the_host(found), here.search(queries, 9, **options))  # type: ignore[arg-type]
    one = index.search(on_device[0], 3)
    for a, b in zip(one, here.search(queries[0], 3), strict=True):
        assert np.array_equal(as_numpy(a), b)


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("library", LIBRARIES)
def test_codes_of_one_library_and_queries_of_another(library: str) -> None:
    """Each has a stream of its own."""
    rng = np.random.default_rng(0)
    database, queries = random_codes(rng, 90, 64), random_codes(rng, 3, 64)
    other = "torch" if library == "cupy" else "cupy"
    found = hashcore.knn(there(database, other), there(queries, library), 4, device="cuda")
    assert kinds(found) == {library}
    same(on_the_host(found), hashcore.knn(database, queries, 4))


def grow(to_gpu: Callable[[np.ndarray[Any, Any]], Any]) -> None:
    """An index of codes that come from the device, with ids from either side."""
    rng = np.random.default_rng(0)
    codes, queries = random_codes(rng, 900, 65), random_codes(rng, 4, 65)
    codes[720:730] = queries[0]  # their ids alone tell them apart
    index = Index.from_codes(to_gpu(codes[:300]), bits=65, device="cuda")
    here = Index.from_codes(codes[:300], bits=65)
    steps: list[tuple[np.ndarray[Any, Any] | None, slice]] = [
        (None, slice(300, 310)),
        (np.arange(10) * 3 + 400, slice(310, 320)),  # gaps
        (np.arange(500, 900), slice(320, 720)),  # beyond the room that there is
        (np.arange(920, 910, -1), slice(720, 730)),  # descending
        (np.arange(390, 400), slice(730, 740)),  # between others
        (None, slice(740, 900)),
    ]
    for ids, rows in steps:
        there = None if ids is None else to_gpu(ids)
        added = index.add(to_gpu(codes[rows]), there)
        assert isinstance(added, np.ndarray)
        assert np.array_equal(added, here.add(codes[rows], ids))
        same(index.search(queries, 30), here.search(queries, 30))
    for added_to in (index.to("cpu"), here):
        added_to.add(codes[:50])
    for added_to, rows_of in ((index, to_gpu(codes[50:90])), (here, codes[50:90])):
        added_to.add(rows_of)  # while no image has the ones before
    same(index.search(queries, 30), here.search(queries, 30))
    assert np.array_equal(index.ids, here.ids)
    assert index.get(index.ids).tobytes() == here.get(here.ids).tobytes()
    assert index.add(to_gpu(codes[0]), np.array([5000])).tolist() == [5000]
    assert 5000 in index
    assert index.add(codes[:2], to_gpu(np.array([6000, 6001]))).tolist() == [6000, 6001]
    assert index.add(to_gpu(codes[:0])).tolist() == []


@pytest.mark.usefixtures("pretend", "way")
@pytest.mark.parametrize("library", LIBRARIES)
def test_an_index_takes_codes_from_there(library: str) -> None:
    grow(lambda array: there(array, library))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs PyTorch with a GPU")
@pytest.mark.parametrize("own_stream", [False, True])
def test_an_index_takes_tensors_of_a_gpu(own_stream: bool) -> None:
    stream = torch.cuda.Stream() if own_stream else None  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        grow(lambda array: torch.from_numpy(array).cuda())


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("library", LIBRARIES)
def test_codes_go_to_the_image_from_where_they_are(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host has a copy, which no search reads: another in its place changes no answer."""
    rng = np.random.default_rng(0)
    codes, queries = random_codes(rng, 400, 64), random_codes(rng, 4, 64)
    monkeypatch.setattr(_gpu_index, "as_numpy", lambda array: np.zeros_like(as_numpy(array)))
    index = Index(64, device="cuda")
    for first in range(0, 400, 100):
        index.add(there(codes[first : first + 100].copy(), library))
    same(index.search(queries, 9), hashcore.knn(codes, queries, 9))
    assert not index.get(np.arange(400)).any()


@pytest.mark.usefixtures("pretend")
def test_codes_from_there_for_an_image_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the index all the same, and the next search says what is missing."""
    rng = np.random.default_rng(0)
    codes = random_codes(rng, 5000, 64)
    index = Index.from_codes(as_tensor(codes[:100]), device="cuda")
    monkeypatch.setenv("HASHCORE_TEST_DEVICE_MEMORY", "3000")
    index.add(as_tensor(codes[100:]))
    with pytest.raises(RuntimeError, match=r"^CUDA: expected \d+ MiB for "):
        index.search(codes[:3], 5)
    monkeypatch.delenv("HASHCORE_TEST_DEVICE_MEMORY")
    same(index.search(codes[:3], 5), hashcore.knn(codes, codes[:3], 5))


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_cannot_be_added_is_told_as_on_the_cpu(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, ids = np.zeros((4, 9), np.uint8), np.arange(4)
    index, here = Index(65, device="cuda"), Index(65)
    for each in (index, here):
        each.add(codes, ids)
    wrong: list[tuple[Any, Any]] = [
        (codes[:, :8].copy(), None),
        (codes.astype(np.float32), None),
        (codes + 1, None),
        (codes[None], None),
        (codes, ids),
        (codes, np.arange(-4, 0)),
        (codes, np.array([7, 8, 9, 7])),
        (codes, np.arange(5, 8)),
        (codes, np.arange(5.0, 9.0)),
    ]
    for rows, numbers in wrong:
        with pytest.raises((TypeError, ValueError)) as expected:
            here.add(rows, numbers)
        given = None if numbers is None else there(numbers, library)
        with pytest.raises(expected.type) as found:
            index.add(there(rows, library), given)
        assert str(found.value) == str(expected.value)
        assert len(index) == 4
    same(index.search(codes, 5), here.search(codes, 5))
    with pytest.raises(ValueError, match=r"^codes: expected a C-contiguous array; got "):
        index.add(there(codes[:, ::-1], library) if library == "cupy" else as_tensor(codes).T)
    with pytest.raises(ValueError, match=r"^copy: expected True for codes on a GPU; got False\."):
        Index.from_codes(there(codes, library), copy=False, device="cuda")
    with pytest.raises(TypeError, match=r"^codes: expected uint8 \[n, bytes\]; got uint8 \[9\]"):
        Index.from_codes(there(codes[0], library), device="cuda")
    monkeypatch.setenv("HASHCORE_TEST_DEVICES", "2")
    for add in (
        lambda: index.to("cuda:1").add(there(codes, library)),
        lambda: Index.from_codes(there(codes, library), device="cuda:1"),
    ):
        with pytest.raises(ValueError, match=r"^codes: expected an array on cuda:1; got cuda:0$"):
            add()
    with pytest.raises(ValueError, match=r"^ids: expected an array on cuda:1; got cuda:0$"):
        index.to("cuda:1").add(codes, there(ids + 10, library))


@pytest.mark.usefixtures("pretend")
def test_from_codes_takes_the_gpu_of_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHCORE_TEST_DEVICES", "2")
    monkeypatch.setattr(Cupy, "on", 1)
    codes: Any = Cupy(random_codes(np.random.default_rng(0), 50, 64))
    assert Index.from_codes(codes, device="cuda").device == "cuda:1"


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("library", LIBRARIES)
def test_wrong_arrays(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.zeros((4, 9), np.uint8)
    good = there(codes, library)
    index = Index(65, device="cuda")
    index.add(codes)
    with pytest.raises(TypeError, match=r"^queries: expected uint8 \[Q, 9\], C-contiguous; got "):
        index.search(there(codes.astype(np.float32), library), 1)
    with pytest.raises(ValueError, match=r"^queries: expected uint8 \[Q, 9\], C-contiguous; got "):
        index.search(there(codes[:, :8].copy(), library), 1)
    with pytest.raises(ValueError, match=r"^queries: .* other strides\. Use \.contiguous\(\)"):
        index.search(there(codes[:, ::-1], library) if library == "cupy" else good.T, 1)
    with pytest.raises(ValueError, match=r"^queries: bits are set past bit 64; the pad bits"):
        index.search(there(codes + 1, library), 1)
    with pytest.raises(ValueError, match=r"^database: expected uint8 \[N, bytes\]"):
        hashcore.knn(good[0], good, 1, device="cuda")
    monkeypatch.setenv("HASHCORE_TEST_DEVICES", "2")
    with pytest.raises(ValueError, match=r"^queries: expected an array on cuda:1; got cuda:0$"):
        index.to("cuda:1").search(good, 1)
    with pytest.raises(TypeError, match=r"^queries: expected an array that NumPy can view|uint8"):
        hashcore.knn(codes, there(codes, "cupy"), 1)


def test_arrays_of_other_libraries_are_refused() -> None:
    other = type("Array", (), {"__cuda_array_interface__": {}, "__module__": "numba.cuda"})()
    with pytest.raises(TypeError, match=r"^queries: expected an array of NumPy, PyTorch or CuPy"):
        on_gpu(other, "queries")


@pytest.mark.usefixtures("pretend")
def test_results_on_a_gpu_are_merged_on_the_host() -> None:
    queries = there(np.zeros((2, 8), np.uint8), "cupy")
    index = Index.from_codes(np.zeros((3, 8), np.uint8), device="cuda")
    found = index.search(queries, 2)
    with pytest.raises(TypeError, match=r"^results\[0\]: expected NumPy arrays; got .*\.numpy\(\)"):
        hashcore.merge([found], 2)
    same(hashcore.merge([found.numpy()], 2), index.to("cpu").search(queries.array, 2))
    within = index.range_search(queries, 3)
    with pytest.raises(TypeError, match=r"^results\[0\]: expected NumPy arrays; got .*\.numpy\(\)"):
        hashcore.merge_ranges([within])
    same(hashcore.merge_ranges([within.numpy()]), index.to("cpu").range_search(queries.array, 3))
