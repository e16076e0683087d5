"""The LangChain store: LangChain's own standard tests, and what they do not ask for."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("langchain_core", reason="needs the langchain extra")
pytest.importorskip("langchain_tests", reason="needs the dev extra")

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

import hashcore
from hashcore._extras import MissingExtraError
from hashcore._files import replacing
from hashcore.compat import _text_files
from hashcore.compat._texts import Kept, int8_rows
from hashcore.compat.langchain import HammingVectorStore

WIDTH = 96
KEPT: list[Kept] = ["int8", "float32", "none"]


class Drawn(Embeddings):
    """A fixed random vector for each text; the async side counts its calls."""

    def __init__(self, width: int = WIDTH) -> None:
        self.width = width
        self.batches: list[int] = []
        self.awaited = 0

    def embed_query(self, text: str) -> list[float]:
        seed = list(text.encode())
        drawn: list[float] = np.random.default_rng(seed).standard_normal(self.width).tolist()
        return drawn

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.batches.append(len(texts))
        return [self.embed_query(text) for text in texts]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += 1
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited += 1
        return self.embed_query(text)


class TestStandard(VectorStoreIntegrationTests):
    """LangChain's suite, sync and async, with each way to keep vectors and kind of index."""

    @pytest.fixture(params=[("int8", "flat"), ("float32", "mih"), ("none", "flat")], ids=str)
    def vectorstore(self, request: pytest.FixtureRequest) -> HammingVectorStore:
        kept, kind = request.param
        # Six bits hold "foo" and "bar" apart, but not every pair of texts; more numbers do.
        embedding = self.get_embeddings() if kept != "none" else Drawn()
        return HammingVectorStore(embedding, vectors=kept, kind=kind)


def many(count: int) -> list[Document]:
    return [
        Document(f"text {n}", id=f"id {n}", metadata={"n": n, "even": n % 2 == 0})
        for n in range(count)
    ]


def filled(count: int = 200, **kwargs: Any) -> HammingVectorStore:
    return HammingVectorStore.from_documents(many(count), Drawn(), **kwargs)


def matrix(count: int) -> NDArray[np.float32]:
    drawn = Drawn()
    return np.array([drawn.embed_query(f"text {n}") for n in range(count)], np.float32)


def cosines(vectors: NDArray[Any], query: str) -> NDArray[np.float64]:
    q = np.array(Drawn().embed_query(query))
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1) * np.linalg.norm(q)
    scored: NDArray[np.float64] = vectors.astype(np.float64) @ q / lengths
    return scored


@pytest.mark.parametrize("kept", KEPT)
def test_scores_are_cosines_of_what_is_kept(kept: Kept) -> None:
    vectors: NDArray[Any] = matrix(200)
    found = filled(vectors=kept, oversample=200).similarity_search_with_score("a query", k=10)
    ids = [int((document.id or "").split()[1]) for document, _ in found]
    if kept == "none":
        code = hashcore.pack(np.array(Drawn().embed_query("a query")))
        expected = hashcore.knn(hashcore.pack(vectors), code, 10)
        assert ids == expected.ids.tolist()
        scores = (1 - 2 * expected.distances / WIDTH).tolist()
    else:
        stored = int8_rows(vectors) if kept == "int8" else vectors
        every = cosines(stored, "a query")
        assert ids == np.argsort(-every)[:10].tolist()
        scores = every[ids].tolist()
    assert [score for _, score in found] == pytest.approx(scores, abs=1e-6)


def test_int8_rows_keep_directions() -> None:
    vectors = np.array([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [1e-30, -1e-30, 1e-31]], np.float32)
    assert int8_rows(vectors).tolist() == [[95, -127, 0], [0, 0, 0], [127, -127, 13]]


def test_a_larger_shortlist_finds_what_all_floats_find() -> None:
    store, exact = filled(vectors="float32"), InMemoryVectorStore(Drawn())
    exact.add_documents(many(200))
    queries = [f"query {n}" for n in range(30)]

    def shared(oversample: int) -> float:
        pairs = [
            (store.similarity_search(q, 5, oversample=oversample), exact.similarity_search(q, 5))
            for q in queries
        ]
        same = [len({d.id for d in ours} & {d.id for d in theirs}) for ours, theirs in pairs]
        return float(np.mean(same)) / 5

    assert shared(1) < shared(4) < shared(40) == 1
    for query in queries:
        ours = store.similarity_search_with_score(query, 5, oversample=40)
        theirs = exact.similarity_search_with_score(query, 5)
        assert [d for d, _ in ours] == [d for d, _ in theirs]
        assert [s for _, s in ours] == pytest.approx([s for _, s in theirs], abs=1e-5)


@pytest.mark.parametrize("kept", KEPT)
def test_filters_find_the_nearest_allowed(kept: Kept) -> None:
    store = filled(vectors=kept, oversample=200)
    everything = store.similarity_search("a query", 200)
    assert len(everything) == 200
    even = [document for document in everything if document.metadata["even"]]
    assert store.similarity_search("a query", 5, filter={"even": True}) == even[:5]
    few = {"id 7", "id 8"}
    found = store.similarity_search("a query", 5, filter=lambda document: document.id in few)
    assert found == [document for document in everything if document.id in few]
    assert store.similarity_search("a query", 5, filter={"even": True, "n": 7}) == []
    assert store.similarity_search("a query", 5, filter={"no such key": None}) == []


def test_max_distance_is_of_the_bits() -> None:
    store = filled()
    codes = hashcore.pack(matrix(200))
    distances = hashcore.pairwise(codes, codes[3:4])[:, 0]
    limit = int(np.sort(distances)[5])
    found = store.similarity_search("text 3", 200, max_distance=limit)
    assert {document.metadata["n"] for document in found} == set(
        np.flatnonzero(distances <= limit).tolist()
    )


def test_replaced_and_deleted_documents_leave_no_trace() -> None:
    store = filled(50)
    store.add_documents([Document("text 3, again", id="id 3"), Document("new")])
    store.add_texts(["first", "last"], [{"a": 1}, {"a": 2}], ids=["twice", "twice"])
    assert store.delete(["id 4", "id 4", "never there"])
    assert store.count == 51
    assert store.similarity_search("text 3", 1)[0].id != "id 3"
    assert store.get_by_ids(["twice", "id 4", "id 3"]) == [
        Document("last", id="twice", metadata={"a": 2}),
        Document("text 3, again", id="id 3"),
    ]
    before = store.similarity_search_with_score("text 9", 51)
    assert len(before) == 51
    store.compact()
    assert store.similarity_search_with_score("text 9", 51) == before
    assert store.delete([])
    assert store.count == 51
    assert store.delete()
    assert store.count == 0
    assert store.similarity_search("text 9") == []


def test_memory_of_what_was_replaced_comes_back() -> None:
    store = filled(300)
    for _ in range(10):
        store.add_documents(many(300))
    assert len(store._store.rows) <= 2 * 1024 + 300
    assert [d.id for d in store.similarity_search("text 41", 1)] == ["id 41"]


def test_a_caller_changes_nothing_inside() -> None:
    document = Document("text", id="a", metadata={"key": 1})
    store = HammingVectorStore(Drawn())
    store.add_documents([document])
    document.metadata["key"] = 2
    store.get_by_ids(["a"])[0].metadata["key"] = 3
    assert store.get_by_ids(["a"])[0].metadata == {"key": 1}


def test_batches_are_embedded_apart() -> None:
    embedding = Drawn()
    store = HammingVectorStore(embedding)
    store.add_documents(many(25), batch_size=10)
    assert embedding.batches == [10, 10, 5]
    assert store.count == 25


@pytest.mark.parametrize("kept", KEPT)
def test_marginal_relevance(kept: Kept) -> None:
    store = filled(100, vectors=kept, oversample=100)
    nearest = store.similarity_search("a query", 5)
    relevant = store.max_marginal_relevance_search("a query", 5, fetch_k=20, lambda_mult=1.0)
    assert relevant == nearest
    store.add_documents([Document("text 7", id=f"copy {n}") for n in range(5)])
    assert len({d.page_content for d in store.similarity_search("text 7", 5)}) == 1
    different = store.max_marginal_relevance_search("text 7", 5, lambda_mult=0.3)
    assert len({d.page_content for d in different}) == 5
    assert different[0].page_content == "text 7"
    assert HammingVectorStore(Drawn()).max_marginal_relevance_search("a query") == []


def test_retrievers() -> None:
    store = filled()
    retriever = store.as_retriever(search_kwargs={"k": 3, "filter": {"even": True}})
    assert retriever.invoke("text 8") == store.similarity_search("text 8", 3, filter={"even": True})
    threshold = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9}
    )
    assert [document.id for document in threshold.invoke("text 8")] == ["id 8"]
    relevance = store.similarity_search_with_relevance_scores("text 8", k=200)
    assert relevance[0][1] == pytest.approx(1, abs=1e-3)
    assert all(0 <= score <= 1 for _, score in relevance)
    assert store.as_retriever(search_type="mmr").invoke("text 8")[0].id == "id 8"


def test_the_encoder_is_awaited() -> None:
    async def use() -> None:
        embedding = Drawn()
        store = await HammingVectorStore.afrom_texts(["a", "b"], embedding, ids=["1", "2"])
        assert embedding.awaited == 1
        await store.aadd_documents(many(20), batch_size=8)
        assert embedding.awaited == 4
        assert (await store.asimilarity_search("text 5", 1))[0].id == "id 5"
        scored = await store.asimilarity_search_with_score("text 5", 3)
        assert scored == store.similarity_search_with_score("text 5", 3)
        assert (await store.as_retriever().ainvoke("b"))[0].id == "2"
        assert (await store.amax_marginal_relevance_search("b"))[0].id == "2"
        assert embedding.awaited == 8

    asyncio.run(use())


def test_langchains_indexing() -> None:
    store, records = HammingVectorStore(Drawn()), InMemoryRecordManager("test")
    records.create_schema()
    documents = [Document(f"text {n}", metadata={"source": f"file {n % 3}"}) for n in range(30)]

    def run(documents: list[Document]) -> Any:
        return index(
            documents,
            records,
            store,
            cleanup="full",
            source_id_key="source",
            batch_size=7,
            key_encoder="sha256",
        )

    assert run(documents)["num_added"] == 30
    assert run(documents)["num_skipped"] == 30
    changed = [*documents[:20], Document("something new", metadata={"source": "file 0"})]
    outcome = run(changed)
    assert (outcome["num_added"], outcome["num_deleted"]) == (1, 10)
    assert store.count == 21


def test_threads_share_a_store() -> None:
    store = filled(100, threads=1)
    wrong: list[Any] = []

    def use(number: int) -> None:
        try:
            for turn in range(20):
                store.add_documents([Document(f"thread {number}", id=f"{number} {turn}")])
                if store.similarity_search(f"text {turn}", 1)[0].id != f"id {turn}":
                    wrong.append(turn)
                store.delete([f"{number} {turn - 1}"])
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.count == 104


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("mmap", [False, True])
def test_what_is_saved_is_loaded(tmp_path: Path, kept: Kept, mmap: bool) -> None:
    store = filled(vectors=kept)
    store.delete(["id 5", "id 6"])
    store.add_documents(
        [Document("lines\nand \u2028 \U0001f600", id="odd", metadata={"a": [1, None, "\udc80"]})]
    )
    store.save(tmp_path / "new" / "store")
    loaded = HammingVectorStore.load(tmp_path / "new" / "store", Drawn(), mmap=mmap)
    for query in ("text 7", "text 5", "a query"):
        assert loaded.similarity_search_with_score(query, 20) == store.similarity_search_with_score(
            query, 20
        )
    assert loaded.get_by_ids(["odd"]) == store.get_by_ids(["odd"])
    if kept != "none":
        assert isinstance(loaded._store.vectors, np.memmap) == mmap

    loaded.add_documents([Document("text 5", id="id 5")])
    loaded.delete(["id 8"])
    loaded.save(tmp_path / "new" / "store")  # over the files that are mapped
    again = HammingVectorStore.load(tmp_path / "new" / "store", Drawn(), mmap=mmap)
    assert again.similarity_search("text 5", 1)[0].id == "id 5"
    assert again.count == loaded.count == 199
    assert len(list((tmp_path / "new" / "store").iterdir())) == (3 if kept == "none" else 4)


def test_an_empty_store_is_saved_and_loaded(tmp_path: Path) -> None:
    HammingVectorStore(Drawn(), vectors="float32").save(tmp_path)
    loaded = HammingVectorStore.load(tmp_path, Drawn())
    assert loaded.similarity_search("a query") == []
    loaded.add_documents(many(3))
    loaded.delete([f"id {n}" for n in range(3)])
    loaded.save(tmp_path)
    assert HammingVectorStore.load(tmp_path, Drawn()).count == 0


@pytest.mark.parametrize("files", range(4))
def test_a_save_that_stops_leaves_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    old = filled(20)
    old.save(tmp_path)
    new = filled(30)
    calls = 0
    save_index = hashcore.Index.save

    def count() -> None:
        nonlocal calls
        if calls == files:
            raise OSError("no space left")
        calls += 1

    def stopping(path: Path) -> Any:
        count()
        return replacing(path)

    def stopping_index(self: hashcore.Index, path: Any) -> None:
        count()
        save_index(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(_text_files, "replacing", stopping)
        patch.setattr(hashcore.Index, "save", stopping_index)
        with pytest.raises(OSError, match="no space left"):
            new.save(tmp_path)
    assert calls == files
    assert HammingVectorStore.load(tmp_path, Drawn()).count == 20
    new.save(tmp_path)
    assert HammingVectorStore.load(tmp_path, Drawn()).count == 30
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", ["store.json", "texts-1.jsonl", "index-1.hci", "vectors-1.npy"])
def test_damage_and_absence_are_told(tmp_path: Path, name: str) -> None:
    filled(20).save(tmp_path)
    content = (tmp_path / name).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for changed in (content[:-9], flipped, b""):
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(hashcore.FormatError, match=rf"{name}|expected .*; got"):
            HammingVectorStore.load(tmp_path, Drawn())
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        HammingVectorStore.load(tmp_path, Drawn())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": (1, 2)}, "lists for tuples"),
        ({"a": {1: 2}}, "strings as keys"),
        ({"a": {1, 2}}, "set is not JSON serializable in the text 'x'"),
        ({"a": float("nan")}, "expected what JSON can hold"),
    ],
)
def test_metadata_that_would_change_are_not_saved(
    tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    store = HammingVectorStore(Drawn())
    store.add_documents([Document("text", id="x", metadata=metadata)])
    with pytest.raises(ValueError, match=message):
        store.save(tmp_path)
    assert not (tmp_path / "store.json").exists()


class Wrong(Drawn):
    """Returns what it was told to."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def embed_documents(self, texts: list[str]) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[1.0, 2.0]], "expected 2 vectors of one width; got 1x2"),
        ([[1.0, 2.0], [1.0]], "expected 2 vectors of one width; got .*inhomogeneous"),
        ([1.0, 2.0], "expected 2 vectors of one width; got 2"),
        ([[1.0], [float("nan")]], "got NaN or infinity in number 1"),
        ([[1e300], [1.0]], "got NaN or infinity in number 0"),
    ],
)
def test_embeddings_that_cannot_be_are_refused(answer: Any, message: str) -> None:
    store = HammingVectorStore(Wrong(answer))
    with pytest.raises(ValueError, match=message):
        store.add_texts(["a", "b"])
    assert store.count == 0


def test_bad_arguments_are_refused() -> None:
    store = filled(5)
    store._embedding = Drawn(WIDTH + 1)
    with pytest.raises(ValueError, match="expected 1 vectors of 96 numbers; got 1x97"):
        store.similarity_search("a query")
    store = filled(5)
    with pytest.raises(ValueError, match="k: expected >= 0; got -1"):
        store.similarity_search("a query", -1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'fitler'"):
        store.similarity_search("a query", fitler={})
    with pytest.raises(TypeError, match=r"filter: expected a function.*got int"):
        store.similarity_search("a query", filter=3)
    with pytest.raises(ValueError, match="oversample: expected an integer >= 1; got 0"):
        store.similarity_search("a query", oversample=0)
    with pytest.raises(ValueError, match=r"oversample: expected an integer >= 1; got 1\.5"):
        HammingVectorStore(Drawn(), oversample=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"vectors: expected one of 'int8', .*; got 'float16'"):
        HammingVectorStore(Drawn(), vectors="float16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind"):
        HammingVectorStore(Drawn(), kind="tree")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ids: expected 2, one a document; got 1"):
        store.add_documents(many(2), ids=["a"])
    with pytest.raises(TypeError, match="expected no other arguments; got namespace"):
        store.add_documents(many(2), namespace="a")
    with pytest.raises(TypeError, match="expected no other arguments; got namespace"):
        store.delete(["id 1"], namespace="a")
    assert store.count == 5
    assert repr(store) == "HammingVectorStore(documents=5, bits=96, int8)"


def test_without_langchain_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hashcore.compat.langchain")
    monkeypatch.setitem(sys.modules, "langchain_core.documents", None)
    with pytest.raises(MissingExtraError, match=r'pip install "hashcore-search\[langchain\]"'):
        import hashcore.compat.langchain  # noqa: F401
