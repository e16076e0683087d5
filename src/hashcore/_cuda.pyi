# The compiled CUDA half of the engine. Addresses are of memory on the device; 0 is none.

from typing import TypedDict

BYTES_PER_HIT: int

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
def device_count() -> int: ...
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

class DeviceMemory:
    def __init__(self, bytes: int, what: str, stream: Stream) -> None: ...
    @property
    def address(self) -> int: ...
    def read_from(self, host: int, bytes: int) -> None: ...
    def write_to(self, host: int, bytes: int) -> None: ...
    def read_on(self, stream: Stream) -> None: ...

class Tiles:
    def __init__(self, bits: int, room: int, stream: Stream) -> None: ...
    def restart(self, first_position: int, codes: int) -> None: ...
    def put(self, first: int, rows: int, count: int, stream: Stream) -> None: ...
    def take(self, tiles: Tiles, count: int, stream: Stream) -> None: ...
    @property
    def first_position(self) -> int: ...
    @property
    def codes(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @staticmethod
    def bytes_for(bits: int, codes: int) -> int: ...

class Upload:
    def __init__(self, stage_bytes: int, device: int) -> None: ...
    def put(self, tiles: Tiles, first: int, rows: int, count: int) -> None: ...

class QueryRows:
    def __init__(self, rows: int, count: int, bits: int, on_host: bool, stream: Stream) -> None: ...

class Knn:
    def __init__(
        self, queries: QueryRows, k: int, max_distance: int, codes: int, stream: Stream
    ) -> None: ...
    def add(self, tiles: Tiles, allowed: int) -> None: ...
    def finish(self, distances: int, ids: int, counts: int, id_of: int) -> None: ...
    @property
    def scan(self) -> str: ...
    @staticmethod
    def bytes_per_query(k: int, codes: int, bits: int) -> int: ...

class RangeSearch:
    def __init__(self, queries: QueryRows, radius: int, stream: Stream) -> None: ...
    def count(self, tiles: Tiles, allowed: int) -> None: ...
    def counts(self) -> list[int]: ...
    def begin(self, first: int, end: int) -> None: ...
    def collect(self, tiles: Tiles, allowed: int) -> None: ...
    def finish(self, distances: int, ids: int, id_of: int) -> None: ...
    @property
    def scan(self) -> str: ...

def follow(stream: Stream, other: Stream) -> None: ...
def wait(stream: Stream) -> None: ...
def clear(memory: int, bytes: int, stream: Stream) -> None: ...
def copy_to_device(memory: int, host: int, bytes: int, stream: Stream) -> None: ...
def free_memory(device: int) -> int: ...
def has_pad_bits(rows: int, count: int, bits: int, stream: Stream) -> bool: ...
def add_histogram(
    queries: QueryRows,
    tiles: Tiles,
    allowed: int,
    query_labels: int,
    code_labels: int,
    label_words: int,
    counts: int,
    stream: Stream,
) -> None: ...
