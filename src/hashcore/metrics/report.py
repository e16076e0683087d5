"""What an evaluation says, and everything that its numbers depend on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

DatabaseProtocol = Literal["unseen", "encoded", "labelled", "custom"]
TieRule = Literal["expected", "by_id"]
MapAtDefinition = Literal["A", "B", "C"]

_FORMAT = "hashcore metrics 1"
_CHOICES = {"database": DatabaseProtocol, "ties": TieRule, "map_at_definition": MapAtDefinition}
_MAP_AT_MEANING = {
    "A": "hits in the top K, over their number",
    "B": "first min(K, R) relevant items anywhere, over min(K, R)",
    "C": "hits in the top K, over min(K, R)",
}


@dataclass(frozen=True)
class Protocol:
    """What a number depends on besides codes and labels. It is printed with every report.

    Attributes:
        database: "unseen": nothing in the database was trained on; "encoded": the training rows,
            encoded by the learned hash function; "labelled": codes of the training rows may use
            their labels; "custom": none of these, say in `note`.
        direction: such as "I->T".
        ties: the order inside equal distance of the headline, `Report.map`: "expected" over all
            orders, or "by_id".
        map_at_definition: the mAP@K that is printed, see `Report.map_at`.
        ndcg_no_relevant: NDCG of a query without relevant items, 0..1. Its AP is always 0. Such
            queries stay in every mean.
        note: anything else.
    """

    database: DatabaseProtocol = "custom"
    direction: str = ""
    ties: TieRule = "expected"
    map_at_definition: MapAtDefinition = "C"
    ndcg_no_relevant: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        for name, choice in _CHOICES.items():
            allowed, value = get_args(choice), getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}: expected one of {list(allowed)}; got {value!r}.")
        for name in ("direction", "note"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name}: expected a string; got {getattr(self, name)!r}.")
        value = self.ndcg_no_relevant
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"ndcg_no_relevant: expected a number in 0..1; got {value!r}.")
        if not 0 <= value <= 1:
            raise ValueError(f"ndcg_no_relevant: expected a number in 0..1; got {value!r}.")

    def __str__(self) -> str:
        parts = [f"{self.database} database", self.direction, f"ties {self.ties}"]
        parts += [f"mAP@K by {self.map_at_definition}", "NDCG@K 2^r - 1"]
        parts += [f"no relevant: AP 0, NDCG {self.ndcg_no_relevant:g}", self.note]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, eq=False)
class PrCurve:
    """Recall and precision within each Hamming radius, the index.

    Attributes:
        recall: float64 ``[K + 1]``.
        precision: float64 ``[K + 1]``. Micro: NaN at a radius that retrieved nothing. Macro: a
            query that retrieved nothing counts 0.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PerQuery:
    """Values of each query, in query order.

    Attributes:
        relevant: int64 ``[Q]``, relevant items in the database.
        ap_tie_aware: float64 ``[Q]``.
        ap_by_id: float64 ``[Q]``.
    """

    relevant: NDArray[np.int64]
    ap_tie_aware: NDArray[np.float64]
    ap_by_id: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Report:
    """The metrics of one evaluation; ``print(report)`` gives a table, `to_json` a document.

    "Tie-aware" is the expected value over all orders inside equal distance; "by id" is the value
    in (distance, row) order. Queries without relevant items count 0 and stay in the means.

    Attributes:
        protocol: what the numbers depend on.
        queries: Q.
        database: N.
        bits: K.
        classes: C; with class ids, the distinct ids of both sides.
        multi_label: multi-hot labels, so that grades may exceed 1.
        queries_without_relevant: how many queries have nothing to find.
        map_tie_aware: mean average precision over the whole ranking.
        map_by_id: the same, by id.
        chance: expected mAP of a random order, the mean over queries with R relevant items of
            ``(H_N + (R - 1) / (N - 1) * (N - H_N)) / N``, ``H_N = 1 + 1/2 + ... + 1/N``.
        map_at: by K, then by definition. "A": precisions at the hits in the top K over the number
            of those hits. "B": precisions at the first min(K, R) relevant items wherever they
            stand, over min(K, R). "C": as A, over min(K, R). These are by id; "C_tie_aware" is C,
            tie-aware.
        precision_at: by N, tie-aware: the share of relevant items among the first N.
        precision_at_by_id: the same, by id.
        ndcg_at: by K, tie-aware.
        ndcg_at_by_id: the same, by id.
        pr_micro: pairs of all queries pooled.
        pr_macro: mean over queries.
        per_query: None in a report that was read from a document without them.
    """

    protocol: Protocol
    queries: int
    database: int
    bits: int
    classes: int
    multi_label: bool
    queries_without_relevant: int
    map_tie_aware: float
    map_by_id: float
    chance: float
    map_at: dict[int, dict[str, float]]
    precision_at: dict[int, float]
    precision_at_by_id: dict[int, float]
    ndcg_at: dict[int, float]
    ndcg_at_by_id: dict[int, float]
    pr_micro: PrCurve = field(repr=False)
    pr_macro: PrCurve = field(repr=False)
    per_query: PerQuery | None = field(repr=False)

    @property
    def map(self) -> float:
        """The headline mAP, under the protocol's tie rule."""
        return self.map_tie_aware if self.protocol.ties == "expected" else self.map_by_id

    def __str__(self) -> str:
        labels = "multi-label" if self.multi_label else "single-label"
        empty = self.queries_without_relevant
        rows = [("", "tie-aware", "by id"), self._row("mAP", self.map_tie_aware, self.map_by_id)]
        rows.append(self._row("  chance", self.chance, None))
        chosen = self.protocol.map_at_definition
        for cut, at in self.map_at.items():
            tied = at["C_tie_aware"] if chosen == "C" else None
            rows.append(self._row(f"mAP@{cut} ({chosen})", tied, at[chosen]))
        for cut, value in self.precision_at.items():
            rows.append(self._row(f"P@{cut}", value, self.precision_at_by_id[cut]))
        for cut, value in self.ndcg_at.items():
            rows.append(self._row(f"NDCG@{cut}", value, self.ndcg_at_by_id[cut]))
        width = max(len(row[0]) for row in rows)
        head = [
            f"{self.queries:,} queries, {self.database:,} codes of {self.bits} bits, "
            f"{self.classes:,} classes, {labels}",
            f"protocol: {self.protocol}",
            f"{empty:,} of the queries have no relevant item",
        ]
        return "\n".join(head + [f"{a:<{width}}  {b:>9}  {c:>9}".rstrip() for a, b, c in rows])

    @staticmethod
    def _row(name: str, tie_aware: float | None, by_id: float | None) -> tuple[str, str, str]:
        shown = ["-" if value is None else f"{value:.4f}" for value in (tie_aware, by_id)]
        return name, shown[0], shown[1]

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """Plain numbers, lists and strings; an undefined precision is None.

        Args:
            per_query: with the values of each query.
        """
        document: dict[str, Any] = {"format": _FORMAT}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Protocol):
                value = asdict(value)
            elif isinstance(value, PrCurve | PerQuery):
                value = {name: _as_list(array) for name, array in vars(value).items()}
            elif isinstance(value, dict):
                value = {str(cut): at for cut, at in value.items()}
            document[item.name] = value
        if not per_query:
            document["per_query"] = None
        return document

    def to_json(self, *, per_query: bool = False, indent: int | None = None) -> str:
        """`to_dict` as JSON; floats are exact."""
        return json.dumps(self.to_dict(per_query=per_query), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is no such document.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"text: expected a report as JSON; got {error}.") from None
        found = document.get("format") if isinstance(document, dict) else None
        if found != _FORMAT:
            raise ValueError(f"text: expected the format {_FORMAT!r}; got {found!r}.")
        expected = {item.name for item in fields(cls)} | {"format"}
        if document.keys() != expected:
            wrong = sorted(document.keys() ^ expected)
            raise ValueError(f"text: expected the fields of a report; missing or unknown {wrong}.")
        del document["format"]
        for name in ("map_at", "precision_at", "precision_at_by_id", "ndcg_at", "ndcg_at_by_id"):
            document[name] = {int(cut): value for cut, value in document[name].items()}
        document["protocol"] = Protocol(**document["protocol"])
        for name in ("pr_micro", "pr_macro"):
            document[name] = PrCurve(**{k: _as_floats(v) for k, v in document[name].items()})
        if (query := document["per_query"]) is not None:
            document["per_query"] = PerQuery(
                np.array(query["relevant"], dtype=np.int64),
                _as_floats(query["ap_tie_aware"]),
                _as_floats(query["ap_by_id"]),
            )
        return cls(**document)


def _as_list(array: NDArray[Any]) -> list[float | int | None]:
    return [None if math.isnan(value) else value for value in array.tolist()]


def _as_floats(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
