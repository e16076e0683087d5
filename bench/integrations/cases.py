"""The calls that are measured: small ones, where an integration weighs most, and a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore
from bench.inputs import random_codes
from bench.integrations.cost import Case

BITS = 64
K = 10
RADIUS = 16


@dataclass(frozen=True)
class Size:
    """Of a call: queries among codes."""

    queries: int
    codes: int

    @property
    def name(self) -> str:
        """In words."""
        asked = "1 query" if self.queries == 1 else f"{self.queries:,} queries"
        return f"{asked}, {self.codes:,} codes"

    def draw(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], hashcore.Index]:
        """Codes, queries, and an index of the codes."""
        codes = random_codes(1, self.codes, BITS)
        return codes, random_codes(2, self.queries, BITS), hashcore.Index.from_codes(codes)


ONE, BATCH = Size(1, 10_000), Size(256, 100_000)


def of_faiss(size: Size) -> Iterator[Case]:
    """BinaryView beside its index."""
    from hashcore.compat.faiss import BinaryView

    _, queries, index = size.draw()
    view, one = BinaryView(index), size.codes // 2
    ids = np.array([one])
    yield Case(
        "FAISS",
        f"search, {size.name}",
        lambda: view.search(queries, K),
        lambda: index.search(queries, K),
    )
    yield Case(
        "FAISS",
        f"range_search, {size.name}",
        lambda: view.range_search(queries, RADIUS + 1),
        lambda: index.range_search(queries, RADIUS),
    )
    yield Case(
        "FAISS",
        f"reconstruct, {size.codes:,} codes",
        lambda: view.reconstruct(one),
        lambda: index.get(ids)[0],
    )


def of_sklearn(size: Size) -> Iterator[Case]:
    """The estimators beside an index."""
    from scipy.sparse import csr_matrix

    from hashcore.compat.sklearn import HammingKNeighborsTransformer, HammingNeighbors

    codes, queries, index = size.draw()
    fitted = HammingNeighbors().fit(codes)
    transformer = HammingKNeighborsTransformer(n_neighbors=K - 1).fit(codes)
    values = hashcore.unpack(queries, BITS, signed=True).astype(np.float32)
    signs = HammingNeighbors(threshold=0).fit(hashcore.unpack(codes, BITS, signed=True))
    # A second copy of the codes would be as fast, but for where it happens to lie in memory.
    fitted._index = transformer._index = signs._index = index
    limits = np.arange(0, K * size.queries + 1, K, dtype=np.int32)

    def graph() -> tuple[NDArray[np.float64]]:
        distances, ids = index.search(queries, K)
        parts = distances.ravel().astype(float), ids.ravel().astype(np.int32), limits
        return (csr_matrix(parts, (size.queries, size.codes)).data,)

    def rows() -> list[NDArray[Any]]:
        result = index.range_search(queries, RADIUS)
        return [part for query in range(len(result)) for part in result.row(query)]

    yield Case(
        "scikit-learn",
        f"kneighbors, {size.name}",
        lambda: fitted.kneighbors(queries, K),
        lambda: index.search(queries, K),
    )
    yield Case(
        "scikit-learn",
        f"kneighbors of values, {size.name}",
        lambda: signs.kneighbors(values, K),
        lambda: index.search(hashcore.pack(values), K),
    )
    yield Case(
        "scikit-learn",
        f"radius_neighbors, {size.name}",
        lambda: fitted.radius_neighbors(queries, RADIUS),
        rows,
        lambda found: [part for row in zip(*found, strict=True) for part in row],
    )
    yield Case(
        "scikit-learn",
        f"transform to a graph, {size.name}",
        lambda: transformer.transform(queries),
        graph,
        lambda made: (made.data,),
    )


def of_metric_learning(size: Size) -> Iterator[Case]:
    """HammingKNN beside packing and searching."""
    import torch

    from hashcore.compat.pytorch_metric_learning import HammingKNN

    generator = torch.Generator().manual_seed(3)
    query = torch.randn(size.queries, BITS, generator=generator)
    references = torch.randn(size.codes, BITS, generator=generator)
    knn_func = HammingKNN()
    knn_func.index = index = hashcore.Index.from_codes(hashcore.pack(references))
    yield Case(
        "pytorch-metric-learning",
        f"kept references, {size.name}",
        lambda: knn_func(query, K),
        lambda: index.search(hashcore.pack(query), K),
    )
    yield Case(
        "pytorch-metric-learning",
        f"given references, {size.name}",
        lambda: knn_func(query, K, references),
        lambda: hashcore.knn(hashcore.pack(references), hashcore.pack(query), K),
    )


def of_langchain(size: Size) -> Iterator[Case]:
    """The store beside packing, searching and rescoring, for one query, as it is always asked."""
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from hashcore.compat.langchain import HammingVectorStore

    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((size.codes, BITS), np.float32)
    values = rng.standard_normal(BITS).tolist()

    class Given(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            given: list[list[float]] = vectors.tolist()
            return given

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    ids = [str(row) for row in range(size.codes)]
    store = HammingVectorStore.from_texts(ids, Given(), ids=ids, vectors="float32")
    index = hashcore.Index.from_codes(hashcore.pack(vectors))

    def by_hand() -> list[Document]:
        query = np.array(values, np.float32)
        near = index.search(hashcore.pack(query), 10 * K)
        _, rows = hashcore.rescore(query, near, vectors, K, metric="cosine")
        return [Document(id=ids[row], page_content=ids[row], metadata={}) for row in rows.tolist()]

    yield Case(
        "LangChain",
        f"similarity search by vector, {Size(1, size.codes).name}",
        lambda: store.similarity_search_by_vector(values, K),
        by_hand,
    )


INTEGRATIONS: dict[str, Callable[[Size], Iterator[Case]]] = {
    "faiss": of_faiss,
    "sklearn": of_sklearn,
    "metric-learning": of_metric_learning,
    "langchain": of_langchain,
}
