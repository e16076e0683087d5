from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore.search import Progress

version: str
compiler: str
cuda_architectures: str

class FormatError(ValueError): ...

def isa() -> str: ...
def isa_levels() -> list[str]: ...
def isa_levels_compiled() -> list[str]: ...
def force_isa(level: str) -> None: ...
def num_threads() -> int: ...
def set_num_threads(count: int | None) -> None: ...
def pack(x: object, threshold: object) -> NDArray[np.uint8]: ...
def unpack(codes: object, bits: int, signed: bool) -> NDArray[np.int8]: ...
def knn(
    database: object,
    queries: object,
    k: int,
    filter: tuple[str, NDArray[Any]] | None,
    max_distance: int | None,
    threads: int | None,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]: ...
def range_search(
    database: object,
    queries: object,
    radius: int,
    filter: tuple[str, NDArray[Any]] | None,
    max_results: int | None,
    threads: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def pairwise(a: object, b: object, threads: int | None) -> NDArray[np.int32]: ...
def distance_histogram(
    database: object,
    queries: object,
    filter: tuple[str, NDArray[Any]] | None,
    threads: int | None,
) -> NDArray[np.int64]: ...
def evaluate(
    query_codes: object,
    database_codes: object,
    query_labels: object,
    database_labels: object,
    bits: int | None,
    label_bits: int | None,
    map_at: list[int],
    topn: list[int],
    ndcg_at: list[int],
    ndcg_no_relevant: float,
    threads: int | None,
    progress: Progress | None,
) -> dict[str, NDArray[Any]]: ...
def relevance_counts(
    query_codes: object,
    database_codes: object,
    query_labels: object,
    database_labels: object,
    bits: int | None,
    label_bits: int | None,
    threads: int | None,
) -> NDArray[np.int64]: ...
def rescore(
    queries: object,
    ids: object,
    vectors: object,
    k: int,
    metric: str,
    threads: int | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...

class Index:
    def __init__(
        self,
        bits: int,
        kind: str,
        params: tuple[str | None, int | None, int | None, int | None],
        threads: int | None,
    ) -> None: ...
    @staticmethod
    def build(
        path: bytes,
        codes: object,
        ids: object,
        bits: int,
        kind: str,
        params: tuple[str | None, int | None, int | None, int | None],
        memory: int | None,
        threads: int | None,
        progress: Progress | None,
    ) -> None: ...
    @staticmethod
    def load(
        path: bytes,
        mmap: bool,
        verify: bool,
        threads: int | None,
        progress: Progress | None,
    ) -> Index: ...
    @staticmethod
    def borrow(codes: object, ids: object, bits: int, threads: int | None) -> Index: ...
    @property
    def kind(self) -> str: ...
    @property
    def bits(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def mapped(self) -> bool: ...
    @property
    def ids(self) -> NDArray[np.int64]: ...
    def __len__(self) -> int: ...
    def __contains__(self, id: object) -> bool: ...
    def add(self, codes: object, ids: object, progress: Progress | None) -> NDArray[np.int64]: ...
    def remove(self, ids: object) -> int: ...
    def compact(self, progress: Progress | None) -> None: ...
    def stats(self) -> dict[str, Any]: ...
    def search(
        self,
        queries: object,
        k: int,
        filter: tuple[str, NDArray[Any]] | None,
        max_distance: int | None,
        threads: int | None,
        progress: Progress | None,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]: ...
    def range_search(
        self,
        queries: object,
        radius: int,
        filter: tuple[str, NDArray[Any]] | None,
        max_results: int | None,
        threads: int | None,
        progress: Progress | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
    def get(self, ids: object) -> NDArray[np.uint8]: ...
    def save(self, path: bytes, progress: Progress | None) -> None: ...

def mine_triplets(
    products: NDArray[Any],
    row_labels: NDArray[np.uint64],
    column_labels: NDArray[np.uint64],
    row_squares: NDArray[Any] | None,
    column_squares: NDArray[Any] | None,
    own_column: int | None,
    margin: float,
    mining: str,
    penalty: str,
    graded: bool,
    weighted: bool,
    differentiate: bool,
    hard_columns: NDArray[np.int64] | None,
    hard_slopes: NDArray[Any] | None,
) -> tuple[float, float, int, int]: ...
def hard_gradients(
    anchors: NDArray[Any],
    candidates: NDArray[Any],
    hard_columns: NDArray[np.int64],
    hard_slopes: NDArray[Any],
    squared: bool,
    scale: float,
    of_anchors: NDArray[Any],
    of_candidates: NDArray[Any],
) -> None: ...
def pairwise_likelihood(
    products: NDArray[Any],
    row_labels: NDArray[np.uint64],
    column_labels: NDArray[np.uint64],
    scale: float,
) -> float: ...
def relaxed_sign_terms(
    values: NDArray[Any],
    targets: NDArray[Any] | None,
    relaxation: str,
    margin: float,
    beta: float,
    relaxed: NDArray[Any] | None,
) -> tuple[tuple[float, float, float, float], NDArray[np.float64]]: ...
def relaxed_sign_slopes(
    values: NDArray[Any],
    targets: NDArray[Any] | None,
    relaxation: str,
    margin: float,
    beta: float,
    of_terms: Sequence[float],
    columns: NDArray[np.float64],
    continued: bool,
    slopes: NDArray[Any],
) -> None: ...
def correlate(products: NDArray[Any], rows: int) -> float: ...
