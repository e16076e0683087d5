"""A vector store for LangChain: Hamming search over the signs of embeddings, rescored.

`HammingVectorStore` goes where `langchain_core.vectorstores.VectorStore` is expected. It keeps one
bit of each number of an embedding in an index that is searched exactly, and, unless told
otherwise, one byte more, with which the best of a shortlist are put in their true order. Needs the
extra `langchain`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from hashcore._extras import needs
from hashcore.compat import _text_files
from hashcore.compat._texts import Hit, Kept, Text, TextStore, as_vectors
from hashcore.index import IndexKind

with needs("langchain"):
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.runnables.config import run_in_executor
    from langchain_core.vectorstores import VectorStore
    from langchain_core.vectorstores.utils import maximal_marginal_relevance

MetadataFilter = Callable[[Document], bool] | Mapping[str, Any]


class HammingVectorStore(VectorStore):
    """Documents that are found by the Hamming distance of their embeddings' signs, then rescored.

    Scores are cosines, higher for nearer: of the embeddings as they are kept, or, with
    ``vectors="none"``, of their signs, 1 - 2 * distance / bits. At equal scores the document that
    was added first comes first. Relevance scores are those, brought to 0..1.

    Every search takes, by name: ``filter``, a function of a `Document` or a mapping of metadata,
    all of which a document has to have (documents are tested one by one, and the nearest allowed
    ones are found); ``max_distance``, the differing bits that a document may have at most; and
    ``oversample`` in place of the store's.

    Methods may be called from several threads. Embeddings are computed outside of the lock.

    Args:
        embedding: Encodes documents and queries, all to one width.
        vectors: What is kept of an embedding beside its bits: ``"int8"``, a byte a number, scaled
            by its largest, ``"float32"``, or ``"none"``, which searches by bits alone.
        oversample: Of how many codes for each document that is asked for the embeddings are
            compared: more finds more of those that a search of all embeddings would find.
        kind: Of the index: ``"flat"``, ``"mih"`` or ``"auto"``; the answers are the same.
        threads: Of searches; default ``hashcore.num_threads()``.

    Raises:
        MissingExtraError: LangChain is missing, when this module is imported.
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        embedding: Embeddings,
        *,
        vectors: Kept = "int8",
        oversample: int = 10,
        kind: IndexKind = "flat",
        threads: int | None = None,
    ) -> None:
        self._embedding = embedding
        self._oversample = _at_least_one(oversample)
        self._store = TextStore(vectors, kind, threads)

    def __repr__(self) -> str:
        store = self._store
        return f"HammingVectorStore(documents={len(store):,}, bits={store.width}, {store.kept})"

    @property
    def embeddings(self) -> Embeddings:
        """What encodes documents and queries."""
        return self._embedding

    @property
    def count(self) -> int:
        """How many documents there are."""
        return len(self._store)

    def add_documents(
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add documents; one whose id is there takes the place of that one.

        Args:
            documents: They are not changed; metadata are copied.
            ids: One each; None for those of the documents. Where there is none, one is drawn.
            batch_size: How many to encode at a time; default all at once.
            **kwargs: None is known.

        Returns:
            The ids.

        Raises:
            ValueError: another number of ids, or embeddings of another width or that are not
                finite.
        """
        _none_unknown(kwargs)
        texts = _texts_of(documents, ids)
        for part in _parts(texts, batch_size):
            self._put(part, self._embedding.embed_documents([text.text for text in part]))
        return [text.id for text in texts]

    async def aadd_documents(
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """As `add_documents`, with ``aembed_documents`` of the encoder."""
        _none_unknown(kwargs)
        texts = _texts_of(documents, ids)
        for part in _parts(texts, batch_size):
            vectors = await self._embedding.aembed_documents([text.text for text in part])
            await run_in_executor(None, self._put, part, vectors)
        return [text.id for text in texts]

    def delete(self, ids: Iterable[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents; ids that are not there change nothing.

        Args:
            ids: None removes all documents, of whatever width; an empty list none.
            **kwargs: None is known.
        """
        _none_unknown(kwargs)
        self._store.remove([ids] if isinstance(ids, str) else ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of ids, in their order, without those that are not there."""
        return [_document(text) for text in self._store.get(ids)]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The k best documents for a text; see the class for what else it takes."""
        return _documents(self._hits(self._embedding.embed_query(query), k, **kwargs))

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """As `similarity_search`, with ``aembed_query`` of the encoder."""
        return _documents(await self._ahits(query, k, **kwargs))

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The k best documents for an embedding."""
        return _documents(self._hits(embedding, k, **kwargs))

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The k best documents for a text, with their scores."""
        return _scored(self._hits(self._embedding.embed_query(query), k, **kwargs))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_with_score`, with ``aembed_query`` of the encoder."""
        return _scored(await self._ahits(query, k, **kwargs))

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The k best documents for an embedding, with their scores."""
        return _scored(self._hits(embedding, k, **kwargs))

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Of the ``fetch_k`` best documents for a text, k that differ from each other.

        Args:
            query: The text.
            k: Documents to return.
            fetch_k: Documents to choose from.
            lambda_mult: 1 chooses by likeness to the query alone, 0 by difference alone.
            **kwargs: As of the class.
        """
        embedding = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            embedding, k, fetch_k, lambda_mult, **kwargs
        )

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, with ``aembed_query`` of the encoder."""
        embedding = await self._embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(
            embedding, k, fetch_k, lambda_mult, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, for an embedding."""
        with self._store.lock:  # rows stay what they are
            hits = self._hits(embedding, fetch_k, **kwargs)
            if not hits:
                return []
            vector = as_vectors([embedding], 1, self._store.width)[0]
            query, vectors = self._store.compared(vector, hits)
        chosen = maximal_marginal_relevance(query, list(vectors), lambda_mult=lambda_mult, k=k)
        return _documents([hits[number] for number in chosen])

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store of texts; ``kwargs`` are arguments of the class."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """As `from_texts`, with ``aembed_documents`` of the encoder."""
        store = cls(embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the store to a folder: the index, texts and metadata as JSON lines, vectors.

        A kill at any moment leaves what the folder held before or all of the new store. One
        process at a time may save to a folder. Ids, texts and metadata are as readable there as
        anywhere.

        Raises:
            ValueError: metadata that JSON does not give back as they are.
            OSError: the system refused.
        """
        _text_files.save(self._store, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        embedding: Embeddings,
        *,
        oversample: int = 10,
        mmap: bool = False,
        verify: bool = True,
        threads: int | None = None,
    ) -> Self:
        """Read a store that `save` wrote; it keeps what that one kept of vectors.

        Args:
            path: The folder.
            embedding: What encoded its documents.
            oversample: As of the class.
            mmap: Leave codes and vectors in their files and read them as searches need them.
            verify: Compare every file with its sha256 first; without it, a damaged file may give
                wrong answers.
            threads: As of the class.

        Raises:
            FileNotFoundError: there is no store, or a file of it is missing.
            FormatError: damaged, foreign, or of another format version.
        """
        store = cls(embedding, oversample=oversample, threads=threads)
        store._store = _text_files.load(path, mmap=mmap, verify=verify, threads=threads)
        return store

    def compact(self) -> None:
        """Give back the memory of documents that were deleted or replaced."""
        self._store.compact()

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: min(max((1 + score) / 2, 0.0), 1.0)

    def _put(self, texts: list[Text], embeddings: Any) -> None:
        self._store.put(texts, as_vectors(embeddings, len(texts), self._store.width))

    def _hits(
        self,
        embedding: Sequence[float],
        k: int,
        *,
        filter: MetadataFilter | None = None,
        max_distance: int | None = None,
        oversample: int | None = None,
    ) -> list[Hit]:
        vector = as_vectors([embedding], 1, self._store.width)[0]
        times = self._oversample if oversample is None else _at_least_one(oversample)
        allow = None if filter is None else _allowing(filter)
        return self._store.search(
            vector, k, shortlist=k * times, allow=allow, max_distance=max_distance
        )

    async def _ahits(self, query: str, k: int, **kwargs: Any) -> list[Hit]:
        embedding = await self._embedding.aembed_query(query)
        return await run_in_executor(None, lambda: self._hits(embedding, k, **kwargs))


def _texts_of(documents: Sequence[Document], ids: Sequence[str | None] | None) -> list[Text]:
    given = [document.id for document in documents] if ids is None else list(ids)
    if len(given) != len(documents):
        raise ValueError(f"ids: expected {len(documents)}, one a document; got {len(given)}.")
    return [
        Text(id or str(uuid.uuid4()), document.page_content, dict(document.metadata))
        for id, document in zip(given, documents, strict=True)
    ]


def _parts(texts: list[Text], size: int | None) -> Iterator[list[Text]]:
    step = len(texts) if size is None else _at_least_one(size, "batch_size")
    for first in range(0, len(texts), step or 1):
        yield texts[first : first + step]


def _allowing(filter: MetadataFilter) -> Callable[[Text], bool]:
    if isinstance(filter, Mapping):
        wanted = list(filter.items())
        missing = object()
        return lambda text: all(text.metadata.get(key, missing) == v for key, v in wanted)
    if not callable(filter):
        raise TypeError(
            "filter: expected a function of a Document or a mapping of metadata; "
            f"got {type(filter).__name__}."
        )
    return lambda text: filter(_document(text))


def _document(text: Text) -> Document:
    return Document(id=text.id, page_content=text.text, metadata=text.metadata)


def _documents(hits: Iterable[Hit]) -> list[Document]:
    return [_document(text) for text, _, _ in hits]


def _scored(hits: Iterable[Hit]) -> list[tuple[Document, float]]:
    return [(_document(text), score) for text, _, score in hits]


def _at_least_one(value: int, name: str = "oversample") -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: expected an integer >= 1; got {value!r}.")
    return int(value)


def _none_unknown(kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise TypeError(f"expected no other arguments; got {', '.join(kwargs)}.")
