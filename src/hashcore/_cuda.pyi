# The compiled CUDA half of the engine. Addresses are of memory on the device; 0 is none.

from typing import TypedDict

class _Device(TypedDict):
    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory: int

class Stream:
    def __init__(self, device: int, handle: int) -> None: ...

class PairLabels:
    def __init__(self, rows: int, columns: int, words: int) -> None: ...

class TripletRule:
    def __init__(
        self, mining: str, penalty: str, graded: bool, weighted: bool, margin: float
    ) -> None: ...

class RelaxedSignRule:
    def __init__(self, relaxation: str, margin: float, beta: float) -> None: ...

def devices() -> list[_Device]: ...
def driver_version() -> int: ...
def pack_sign(
    values: int, dtype: str, rows: int, bits: int, row_bytes: int, codes: int, stream: Stream
) -> None: ...
def pairwise_likelihood(
    products: int,
    rows: int,
    columns: int,
    labels: PairLabels,
    scale: float,
    losses: int,
    stream: Stream,
) -> None: ...
def mining_room(rows: int, columns: int, words: int, rule: TripletRule, device: int) -> int: ...
def mine_triplets(
    products: int,
    rows: int,
    columns: int,
    row_squares: int,
    column_squares: int,
    own_column: int | None,
    labels: PairLabels,
    rule: TripletRule,
    discounts: int,
    room: int,
    sums: int,
    of_row: int,
    slopes: int,
    stream: Stream,
) -> None: ...
def finish_triplets(
    sums: int, rows: int, weighted: bool, loss: int, scale: int, stream: Stream
) -> None: ...
def hard_gradients(
    anchors: int,
    candidates: int,
    rows: int,
    columns: int,
    bits: int,
    of_row: int,
    slopes: int,
    scale: int,
    squared: bool,
    order: int,
    sorted: int,
    of_anchors: int,
    of_candidates: int,
    stream: Stream,
) -> None: ...
def relaxed_sign_room(rows: int, bits: int) -> int: ...
def relaxed_sign_sums(
    values: int,
    targets: int,
    dtype: str,
    rows: int,
    bits: int,
    rule: RelaxedSignRule,
    room: int,
    relaxed: int,
    terms: int,
    columns: int,
    stream: Stream,
) -> None: ...
def relaxed_sign_slopes(
    values: int,
    targets: int,
    dtype: str,
    rows: int,
    bits: int,
    rule: RelaxedSignRule,
    of_terms: int,
    columns: int,
    continued: bool,
    slopes: int,
    stream: Stream,
) -> None: ...
