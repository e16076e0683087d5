"""Times hashcore beside its peers, once they were seen to find the same."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from bench.gpu_search.ceilings import Ceilings
from bench.gpu_search.contenders import PEERS, Ours, own_peers
from bench.gpu_search.peers import Nearest, Peer, count_bits, words_of
from bench.gpu_search.report import Row
from bench.gpu_search.workloads import HASHCORE, GpuSearch
from bench.kept import Outcome, Timing
from bench.ops.contest import take_turns
from bench.ops.devices import Run
from bench.ops.steps import AnswersDifferError

_CHECKED = 16  # queries of which distances are measured again

Seconds = Callable[[Run, int], float]


def check_ours(found: Nearest, database: Tensor, queries: Tensor, k: int) -> None:
    """Refuse an answer that cannot be right.

    Raises:
        AnswersDifferError: rows out of (distance, id) order, ids that are not of the database, or
            distances that are not theirs.
    """
    kept = min(k, len(database))
    distances, ids = found.distances[:_CHECKED, :kept].long(), found.ids[:_CHECKED, :kept]
    if not bool(((ids >= 0) & (ids < len(database))).all()):
        raise AnswersDifferError("expected ids of codes; got others")
    keys = distances * len(database) + ids
    if not bool((keys[:, 1:] > keys[:, :-1]).all()):
        raise AnswersDifferError("expected ascending (distance, id); got another order")
    rows = words_of(database[ids.flatten()]).view(*ids.shape, -1)
    measured = count_bits(rows ^ words_of(queries[:_CHECKED])[:, None, :]).sum(2)
    if not torch.equal(measured, distances):
        raise AnswersDifferError("expected the distances of the codes found; got others")


def check_same(ours: Nearest, theirs: Nearest) -> None:
    """Refuse to compare what is not the same, for the queries and hits that both have.

    Raises:
        AnswersDifferError: a distance differs.
    """
    rows = min(len(ours.distances), len(theirs.distances))
    k = min(ours.distances.shape[1], theirs.distances.shape[1])
    a, b = ours.distances[:rows, :k].long(), theirs.distances[:rows, :k].long()
    if not torch.equal(a, b):
        apart = int((a != b).sum())
        raise AnswersDifferError(f"expected the same distances; {apart:,} of {a.numel():,} differ")


def measure(
    search: GpuSearch,
    database: Tensor,
    queries: Tensor,
    ours: Ours,
    *,
    room: Callable[[], float],
    seconds_of: Seconds,
    ceilings: Ceilings,
) -> Row:
    """One row: answers are checked, then times are taken in turns.

    Args:
        room: bytes that a peer may take.
        seconds_of: mean time of so many calls.

    Raises:
        AnswersDifferError: hashcore or a peer finds something else.
    """
    answer = ours.search(queries, search.k)
    check_ours(answer, database, queries, search.k)
    scan = ours.scan
    runs: dict[str, Run] = {HASHCORE: partial(ours.search, queries, search.k)}
    asked = {HASHCORE: search.queries}
    absent: dict[str, str] = {}
    for name in search.peers:
        peer, count, reason = _peer(name, search, database, ours, room)
        if peer is None:
            absent[name] = reason
            continue
        few = queries[:count].contiguous()
        try:
            check_same(answer, peer.search(few, search.k))
        except AnswersDifferError as error:
            raise AnswersDifferError(f"{name}: {error}") from None
        runs[name] = partial(peer.search, few, search.k)
        asked[name] = count
    first = {name: seconds_of(run, 1) for name, run in runs.items()}
    taken = take_turns(runs, first, seconds_of, search.rounds)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    return _row(search, scan=scan, medians=medians, asked=asked, absent=absent, ceilings=ceilings)


def _peer(
    name: str, search: GpuSearch, database: Tensor, ours: Ours, room: Callable[[], float]
) -> tuple[Peer | None, int, str]:
    """A peer and how many queries it gets, or why there is none."""
    own = own_peers(ours)
    if name in own:
        return own[name], search.queries, ""
    entry = PEERS[name]
    if reason := entry.absence(search, room()):
        return None, 0, reason
    return entry.make(database), entry.queries(search), ""


def _row(
    search: GpuSearch,
    *,
    scan: str,
    medians: Mapping[str, float],
    asked: Mapping[str, int],
    absent: Mapping[str, str],
    ceilings: Ceilings,
) -> Row:
    rates = {name: asked[name] * search.codes / seconds for name, seconds in medians.items()}
    timings = {
        name: Timing(medians[name], rate, rates[HASHCORE] / rate) for name, rate in rates.items()
    }
    shares = ceilings.shares(search, scan, medians[HASHCORE])
    measures = {name: timing.ratio for name, timing in timings.items()} | shares
    outcomes = []
    for target in search.targets:
        reached = measures.get(target.measure)
        if target.measure.endswith(" pairs/s"):
            reached = rates[HASHCORE] / float(target.measure.removesuffix(" pairs/s"))
        if reached is not None:
            outcomes.append(Outcome(target.measure, target.at_least, reached))
    return Row(
        table=search.table,
        workload=search.name,
        scan=scan,
        hashcore=timings[HASHCORE],
        peers={name: timing for name, timing in timings.items() if name != HASHCORE},
        queries={name: count for name, count in asked.items() if count != search.queries},
        absent=absent,
        shares=shares,
        targets=tuple(outcomes),
    )
