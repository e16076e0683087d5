"""BinaryView beside the FAISS indexes that it stands in for, and inside of what takes them."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference
from hashcore._extras import MissingExtraError, require
from hashcore.compat.faiss import MISSING_DISTANCE, BinaryView

faiss = require("faiss", extra="faiss")  # whose stubs know less than it does
BITS = 128
COUNT = 500
OWN_IDS = np.random.default_rng(5).permutation(10 * COUNT)[:COUNT]


@pytest.fixture(autouse=True)
def one_faiss_thread() -> None:
    faiss.omp_set_num_threads(1)


@pytest.fixture
def codes() -> NDArray[np.uint8]:
    return reference.random_codes(np.random.default_rng(1), COUNT, BITS)


@pytest.fixture
def queries(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    strangers = np.random.default_rng(2).integers(0, 256, (5, BITS // 8), np.uint8)
    return np.concatenate([codes[:7], strangers])


@pytest.fixture(params=["flat", "mih"])
def view(request: pytest.FixtureRequest) -> BinaryView:
    return BinaryView(hashcore.Index(BITS, request.param))


@pytest.fixture(params=["counted ids", "own ids"])
def both(
    request: pytest.FixtureRequest, view: BinaryView, codes: NDArray[np.uint8]
) -> tuple[BinaryView, Any]:
    """The same calls to both: a view, and a FAISS index."""
    theirs = faiss.IndexBinaryFlat(BITS)
    if request.param == "own ids":
        theirs = faiss.IndexBinaryIDMap2(theirs)
    for index in (view, theirs):
        if request.param == "own ids":
            index.add_with_ids(codes, OWN_IDS)
        else:
            index.add(codes)
    return view, theirs


def selector(name: str) -> Any:
    some = np.array([3, 3, 17, 40, 44, 10**9], np.int64)
    return {
        "batch": lambda: faiss.IDSelectorBatch(some),
        "array": lambda: faiss.IDSelectorArray(some),
        "range": lambda: faiss.IDSelectorRange(100, 1000),
        "not": lambda: faiss.IDSelectorNot(faiss.IDSelectorRange(0, 4 * COUNT)),
        "all": faiss.IDSelectorAll,
        "none": lambda: faiss.IDSelectorBatch(np.empty(0, np.int64)),
    }[name]()


SELECTORS = ["batch", "array", "range", "not", "all", "none"]


def assert_same_hits(ours: Any, theirs: Any) -> None:
    """The same dtypes, shapes and distances; the same labels below the last distance of a row."""
    for our, their in zip(ours, theirs, strict=True):
        assert (our.dtype, our.shape) == (their.dtype, their.shape)
    np.testing.assert_array_equal(ours[0], theirs[0])
    for distances, our_row, their_row in zip(theirs[0], ours[1], theirs[1], strict=True):
        sure = distances < distances[-1]
        if distances[-1] == MISSING_DISTANCE:
            assert (our_row[~sure] == -1).all()
        assert set(our_row[sure]) == set(their_row[sure])


def assert_same_rows(ours: Any, theirs: Any) -> None:
    """The same dtypes and rows, in which ours come by (distance, label)."""
    for our, their in zip(ours, theirs, strict=True):
        assert (our.dtype, our.shape) == (their.dtype, their.shape)
    np.testing.assert_array_equal(ours[0], theirs[0])
    for first, last in itertools.pairwise(theirs[0]):
        distances, labels = theirs[1][first:last], theirs[2][first:last]
        order = np.lexsort((labels, distances))
        np.testing.assert_array_equal(ours[1][first:last], distances[order])
        np.testing.assert_array_equal(ours[2][first:last], labels[order])


def test_what_it_says_of_itself(both: tuple[BinaryView, Any]) -> None:
    ours, theirs = both
    for name in ("d", "ntotal", "code_size", "is_trained", "verbose"):
        assert getattr(ours, name) == getattr(theirs, name), name
        assert type(getattr(ours, name)) is type(getattr(theirs, name)), name


@pytest.mark.parametrize("k", [1, 10, COUNT, COUNT + 3])
def test_search(both: tuple[BinaryView, Any], queries: NDArray[np.uint8], k: int) -> None:
    ours, theirs = both
    assert_same_hits(ours.search(queries, k), theirs.search(queries, k))


@pytest.mark.parametrize("thresh", [-3, 0, 1, 2, 40, BITS, BITS + 1])
def test_range_search(
    both: tuple[BinaryView, Any], queries: NDArray[np.uint8], thresh: int
) -> None:
    ours, theirs = both
    assert_same_rows(ours.range_search(queries, thresh), theirs.range_search(queries, thresh))


@pytest.mark.parametrize("name", SELECTORS)
def test_selected_ids_are_searched(
    both: tuple[BinaryView, Any], queries: NDArray[np.uint8], name: str
) -> None:
    ours, theirs = both
    params = faiss.SearchParameters(sel=selector(name))
    ours_found = ours.search(queries, 10, params=params)
    assert_same_hits(ours_found, theirs.search(queries, 10, params=params))
    assert_same_rows(
        ours.range_search(queries, 50, params=params),
        theirs.range_search(queries, 50, params=params),
    )


def test_no_queries_and_no_codes(view: BinaryView, queries: NDArray[np.uint8]) -> None:
    theirs = faiss.IndexBinaryFlat(BITS)
    assert_same_hits(view.search(queries, 3), theirs.search(queries, 3))
    params = faiss.SearchParameters(sel=faiss.IDSelectorAll())
    assert_same_hits(view.search(queries, 3, params=params), theirs.search(queries, 3))
    assert_same_hits(view.search(queries[:0], 3), theirs.search(queries[:0], 3))
    assert_same_rows(view.range_search(queries, 30), theirs.range_search(queries, 30))
    assert view.reconstruct_n().shape == (0, BITS // 8)


def test_reconstruct(both: tuple[BinaryView, Any], codes: NDArray[np.uint8]) -> None:
    ours, theirs = both
    ids = ours.wrapped.ids
    for key in (int(ids[0]), int(ids[-1])):
        assert ours.reconstruct(key).dtype == np.uint8
        np.testing.assert_array_equal(ours.reconstruct(key), theirs.reconstruct(key))
    if isinstance(theirs, faiss.IndexBinaryFlat):
        np.testing.assert_array_equal(ours.reconstruct_n(), codes)
        np.testing.assert_array_equal(ours.reconstruct_n(20), theirs.reconstruct_n(20))
        room = np.empty((3, BITS // 8), np.uint8)
        assert ours.reconstruct_n(7, 3, room) is room
        np.testing.assert_array_equal(room, theirs.reconstruct_n(7, 3))
    with pytest.raises(KeyError, match="id 77777 is not in the index"):
        ours.reconstruct(77_777)


@pytest.mark.parametrize("name", [*SELECTORS, "ids"])
def test_removed_ids(view: BinaryView, codes: NDArray[np.uint8], name: str) -> None:
    theirs = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(BITS))
    for index in (view, theirs):
        index.add_with_ids(codes, OWN_IDS)
    gone: Any = OWN_IDS[::3].copy() if name == "ids" else selector(name)
    assert view.remove_ids(gone) == theirs.remove_ids(gone)
    assert view.ntotal == theirs.ntotal
    np.testing.assert_array_equal(view.wrapped.ids, np.sort(faiss.vector_to_array(theirs.id_map)))


def test_selectors_where_torch_has_changed_faiss(codes: NDArray[np.uint8]) -> None:
    importlib.import_module("faiss.contrib.torch_utils")  # as pytorch-metric-learning does
    view = BinaryView(hashcore.Index.from_codes(codes))
    params = faiss.SearchParameters(sel=faiss.IDSelectorRange(5, 9))
    assert sorted(view.search(codes[:1], 4, params=params)[1][0]) == [5, 6, 7, 8]
    assert view.remove_ids(params.sel) == 4


@pytest.mark.parametrize("kind", ["flat", "id_map", "id_map2"])
def test_from_faiss_and_back(codes: NDArray[np.uint8], kind: Any, tmp_path: Path) -> None:
    flat = faiss.IndexBinaryFlat(BITS)
    maps = {"id_map": faiss.IndexBinaryIDMap, "id_map2": faiss.IndexBinaryIDMap2}
    theirs = maps[kind](flat) if kind in maps else flat
    theirs.add(codes) if kind == "flat" else theirs.add_with_ids(codes, OWN_IDS)
    ids = np.arange(COUNT) if kind == "flat" else OWN_IDS
    faiss.write_index_binary(theirs, str(tmp_path / "index"))
    for index in (theirs, faiss.read_index_binary(str(tmp_path / "index"))):
        view = BinaryView.from_faiss(index, kind="mih", threads=1)
        assert view.wrapped.kind == "mih"
        np.testing.assert_array_equal(view.wrapped.get(ids), codes)
        back = view.to_faiss(kind)
        assert type(back) is type(theirs)
        assert_same_hits(view.search(codes[:9], 20), back.search(codes[:9], 20))


def test_to_faiss_keeps_ids_where_they_are_others(codes: NDArray[np.uint8]) -> None:
    view = BinaryView(hashcore.Index.from_codes(codes))
    assert type(view.to_faiss()) is faiss.IndexBinaryFlat
    view.remove_ids(np.array([3]))
    made = view.to_faiss()
    assert type(made) is faiss.IndexBinaryIDMap2
    np.testing.assert_array_equal(made.reconstruct(4), codes[4])
    with pytest.raises(
        ValueError, match=r"^kind: expected ids 0\.\.498 for 'flat'; they go to 499"
    ):
        view.to_faiss("flat")
    with pytest.raises(ValueError, match=r"^kind: expected 'auto'"):
        view.to_faiss("hnsw")  # type: ignore[arg-type]


def test_a_width_of_no_whole_bytes_is_rounded_up() -> None:
    rng = np.random.default_rng(3)
    codes = reference.random_codes(rng, 40, 100)
    index = hashcore.Index(100)
    index.add(codes)
    view = BinaryView(index)
    assert (view.d, view.code_size) == (104, 13)
    assert_same_hits(view.search(codes, 5), view.to_faiss().search(codes, 5))


BAD_CALLS: dict[str, tuple[type[Exception], str, Any]] = {
    "a row": (ValueError, r"^x: expected uint8 \[n, code_size\]; got uint8 \[16\]",
              lambda view, x: view.search(x[0], 1)),
    "floats": (TypeError, r"expected uint8 \[Q, 16\]", lambda view, x: view.search(x + 0.5, 1)),
    "a list": (ValueError, "^x: expected uint8", lambda view, x: view.add(x.tolist())),
    "k": (ValueError, "^k: expected a number >= 1; got 0", lambda view, x: view.search(x, 0)),
    "thresh": (TypeError, "float", lambda view, x: view.range_search(x, 3.5)),
    "params": (TypeError, r"^params: expected faiss.SearchParameters\(sel=\.\.\.\).*IVF",
               lambda view, x: view.search(x, 1, params=faiss.SearchParametersIVF(nprobe=3))),
    "sel": (TypeError, "^params: expected", lambda view, x: view.search(x, 1, params=[3])),
    "ids": (TypeError, r"^x: expected int64 \[n\] or a faiss.IDSelector; got list",
            lambda view, x: view.remove_ids([3])),
    "int32 ids": (TypeError, "int64", lambda view, x: view.remove_ids(np.array([3], np.int32))),
    "known id": (ValueError, "^ids: 3 is in the index",
                 lambda view, x: view.add_with_ids(x[:1], np.array([3]))),
    "verbose": (ValueError, "^verbose: ", lambda view, x: setattr(view, "verbose", True)),
    "train": (TypeError, r"^x: expected uint8 \[n, 16\]; got uint8 \[12, 3\]",
              lambda view, x: view.train(x[:, :3])),
    "ni": (ValueError, "^ni: expected", lambda view, x: view.reconstruct_n(3, -2)),
    "n0": (ValueError, "^ni: expected", lambda view, x: view.reconstruct_n(COUNT + 1)),
    "room": (ValueError, r"^x: expected uint8 \[2, 16\]; got",
             lambda view, x: view.reconstruct_n(0, 2, np.empty((3, 16), np.uint8))),
    "no index": (TypeError, "^index: expected a hashcore.Index; got uint8",
                 lambda view, x: BinaryView(x)),
    "hnsw": (TypeError, "^index: expected IndexBinaryFlat.*got IndexBinaryHNSW",
             lambda view, x: BinaryView.from_faiss(faiss.IndexBinaryHNSW(64))),
    "map over hnsw": (
        TypeError, "got IndexBinaryIDMap over IndexBinaryHNSW",
        lambda view, x: BinaryView.from_faiss(
            faiss.IndexBinaryIDMap(faiss.IndexBinaryHNSW(64)))),
    "float index": (TypeError, "^index: expected IndexBinaryFlat.*got IndexFlat",
                    lambda view, x: BinaryView.from_faiss(faiss.IndexFlatL2(64))),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_errors(codes: NDArray[np.uint8], queries: NDArray[np.uint8], name: str) -> None:
    error, message, call = BAD_CALLS[name]
    view = BinaryView(hashcore.Index.from_codes(codes))
    with pytest.raises(error, match=message):
        call(view, queries)
    assert view.ntotal == COUNT


def test_only_selectors_and_conversions_need_faiss(
    codes: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    view = BinaryView(hashcore.Index.from_codes(codes))
    assert view.search(codes, 1)[1][:, 0].shape == (COUNT,)
    assert view.remove_ids(np.array([0])) == 1
    for call in (view.to_faiss, lambda: BinaryView.from_faiss(None)):
        with pytest.raises(MissingExtraError, match=r'pip install "hashcore-search\[faiss\]"$'):
            call()


@pytest.mark.parametrize("rescore", [True, False])
def test_as_corpus_index_of_sentence_transformers(rescore: bool) -> None:
    from sentence_transformers.util.quantization import quantize_embeddings, semantic_search_faiss

    rng = np.random.default_rng(7)
    corpus = rng.standard_normal((300, 96)).astype(np.float32)
    queries = corpus[:8] + 0.4 * rng.standard_normal((8, 96)).astype(np.float32)
    packed = np.asarray(quantize_embeddings(corpus, precision="ubinary"))
    view = BinaryView(hashcore.Index.from_codes(packed))
    theirs = faiss.IndexBinaryFlat(96)
    theirs.add(packed)

    def found(index: Any, top_k: int) -> Any:
        results, _, kept = semantic_search_faiss(
            queries,
            corpus_index=index,
            corpus_precision="ubinary",
            top_k=top_k,
            rescore=rescore,
            output_index=True,
        )
        assert kept is index
        return results

    # 150 hits, twice that with rescoring: every code, so that ties decide nothing.
    for ours, expected in zip(found(view, 150), found(theirs, 150), strict=True):
        np.testing.assert_array_equal(
            [hit["score"] for hit in ours], [hit["score"] for hit in expected]
        )
        assert len(ours) == 150
        if rescore:
            assert [hit["corpus_id"] for hit in ours] == [hit["corpus_id"] for hit in expected]
    assert [row[0]["corpus_id"] for row in found(view, 3)] == list(range(8))
    assert len(found(view, 400)[0]) == 300  # missing hits are left out


def test_as_custom_index_of_datasets() -> None:
    import datasets

    codes: NDArray[np.uint8] = np.unique(
        reference.random_codes(np.random.default_rng(8), 250, 64), axis=0
    )
    rows = {"code": codes.tolist(), "name": [f"row {i}" for i in range(len(codes))]}
    features = datasets.Features(
        {"code": datasets.List(datasets.Value("uint8")), "name": datasets.Value("string")}
    )
    table = datasets.Dataset.from_dict(rows, features=features)
    view = BinaryView(hashcore.Index(64))
    table.add_faiss_index("code", custom_index=view, dtype=np.uint8, batch_size=100, train_size=50)
    assert view.ntotal == len(codes)
    scores, found = table.get_nearest_examples("code", codes[40], k=3)
    assert (scores[0], found["name"][0]) == (0, "row 40")
    plain = faiss.IndexBinaryFlat(64)
    plain.add(codes)
    scores, _ = table.get_nearest_examples_batch("code", codes[:20].copy(), k=5)
    np.testing.assert_array_equal(scores, plain.search(codes[:20], 5)[0])

    index = datasets.search.FaissIndex(custom_index=view)
    result = index.search_batch(np.asfortranarray(codes[:9]), k=1)
    np.testing.assert_array_equal(np.ravel(result.total_indices), np.arange(9))
    selected = faiss.SearchParameters(sel=faiss.IDSelectorRange(5, 7))
    assert set(index.search(codes[0], k=2, params=selected).indices) == {5, 6}
