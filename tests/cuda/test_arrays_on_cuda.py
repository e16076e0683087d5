"""Arrays that lie on a GPU: PyTorch's and CuPy's. Where there is none, doubles in host memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import hashcore
from gpu_doubles import Cupy, as_tensor
from hashcore import Filter, Index, RangeResult, SearchResult
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
