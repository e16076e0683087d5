"""The cost of an integration: the same work through it and without it, call by call in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_SHARE = 0.05
MOST_MICROSECONDS = 50.0


def as_it_is(found: Any) -> Any:
    """An answer whose parts are those of the bare call already."""
    return found


@dataclass(frozen=True)
class Case:
    """One call, twice.

    Attributes:
        through: the call through the integration.
        bare: the same work without it; a sequence of arrays.
        read: brings the answer of ``through`` into the form of the other.
    """

    integration: str
    name: str
    through: Callable[[], Any]
    bare: Callable[[], Any]
    read: Callable[[Any], Any] = as_it_is


@dataclass(frozen=True)
class Cost:
    """What a case showed: medians over all turns.

    Attributes:
        bare: microseconds of a bare call.
        extra: microseconds that the integration takes on top, the median of the differences of
            calls that followed each other.
    """

    integration: str
    name: str
    bare: float
    extra: float

    @property
    def share(self) -> float:
        """The extra cost over the bare call."""
        return self.extra / self.bare

    @property
    def met(self) -> bool:
        """Whether it is little: of the call, or at all."""
        return self.share <= MOST_SHARE or self.extra <= MOST_MICROSECONDS


class AnswersDifferError(Exception):
    """The two calls of a case do not find the same."""


def check(case: Case) -> None:
    """See that both calls find the same.

    Raises:
        AnswersDifferError: they do not.
    """
    found, bare = list(case.read(case.through())), list(case.bare())
    if len(found) != len(bare) or not all(map(np.array_equal, found, bare)):
        raise AnswersDifferError(f"{case.integration}: {case.name}: the answers differ")


def measure(case: Case, calls: int, clock: Callable[[], int] = time.thread_time_ns) -> Cost:
    """Time so many calls of each, after a tenth as many to warm up.

    They take turns at going first. Time is the processor's in this thread, in which everything
    runs; so who else uses the machine moves little, and a median of differences less.

    Args:
        case: what is called.
        calls: of each way.
        clock: gives nanoseconds.
    """
    check(case)
    spent: dict[Callable[[], Any], list[float]] = {case.bare: [], case.through: []}
    for turn in range(-(calls // 10), calls):
        for call in (case.bare, case.through)[:: 1 if turn % 2 else -1]:
            start = clock()
            call()
            taken = clock() - start
            if turn >= 0:
                spent[call].append(taken / 1e3)
    pairs = zip(spent[case.through], spent[case.bare], strict=True)
    extra = statistics.median(through - bare for through, bare in pairs)
    return Cost(case.integration, case.name, statistics.median(spent[case.bare]), extra)
