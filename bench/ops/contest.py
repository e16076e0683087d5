"""Times hashcore beside its peers, which take turns, once they were seen to give the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from functools import partial

import torch

from bench.kept import Outcome
from bench.ops.contenders import OPS
from bench.ops.devices import Device, Run
from bench.ops.report import Cost, Row
from bench.ops.steps import Answer, AnswersDifferError, check_same, draw, run
from bench.ops.workloads import COPY, HASHCORE, MEMORY, MEMORY_LIMIT, PACKING, Step

# Seconds: a turn is at least this long, a contender's turns in all about that long, and what takes
# longer than the last runs once and is not run again for its memory.
_TURN = 0.005
_ALL_TURNS = 2.0
_LONG = 20.0
_MOST_CALLS = 100


def take_turns(
    runs: Mapping[str, Run],
    first: Mapping[str, float],
    seconds_of: Callable[[Run, int], float],
    rounds: int,
) -> dict[str, list[float]]:
    """Seconds of a run of each contender, in each of its rounds.

    Args:
        first: seconds of a run, as seen before; those of what is too long to run again.
        seconds_of: mean time of so many calls.
        rounds: at most; a slow contender has fewer.
    """
    calls = {name: min(_MOST_CALLS, math.ceil(_TURN / first[name])) for name in runs}
    taken = {name: [first[name]] if first[name] > _LONG else [] for name in runs}

    def goes_on(name: str) -> bool:
        spent = calls[name] * sum(taken[name])
        return len(taken[name]) < rounds and spent < _ALL_TURNS

    while going := [name for name in runs if goes_on(name)]:
        for name in going:
            taken[name].append(seconds_of(runs[name], calls[name]))
    return taken


def measure(step: Step, device: Device) -> Row:
    """One row: answers are checked, then times and peak memory are taken.

    Raises:
        AnswersDifferError: a peer gives another loss, gradient or code than hashcore.
    """
    op = OPS[step.table]
    torch.compiler.reset()  # shapes of other rows would make those of this one dynamic
    batch = draw(step, device.kind)
    runs: dict[str, Run] = {HASHCORE: partial(run, op, op.ours, batch)}
    answer = run(op, op.ours, batch)
    first, absent = {HASHCORE: device.seconds(runs[HASHCORE], 1)}, {}
    for name in step.peers:
        peer = op.peers[name]
        if reason := peer.absence(step, device.kind, device.room()):
            absent[name] = reason
            continue
        runs[name] = partial(run, op, peer.prepare(), batch)
        first[name] = _first_seconds(runs[name], name, answer, op.tolerance, device)
        if peer.mode:  # the first run compiled
            first[name] = device.seconds(runs[name], 1)
    taken = take_turns(runs, first, device.seconds, step.rounds)
    again = {
        name: each
        for name, each in runs.items()
        if first[name] <= _LONG and (name == HASHCORE or op.peers[name].mode != "reduce-overhead")
    }
    peaks = device.peaks(step, again)
    costs = {
        name: Cost(statistics.median(each), len(each), peaks.get(name))
        for name, each in taken.items()
    }
    return _row(step, costs, absent, device.bandwidth() if step.table == PACKING else None)


def _first_seconds(
    run_peer: Run, name: str, ours: Answer, tolerance: float, device: Device
) -> float:
    answers: list[object] = []
    seconds = device.seconds(lambda: answers.append(run_peer()), 1)
    (theirs,) = answers
    assert isinstance(theirs, Answer)
    try:
        check_same(ours, theirs, tolerance)
    except AnswersDifferError as error:
        raise AnswersDifferError(f"{name}: {error}") from None
    return seconds


def _row(
    step: Step, costs: Mapping[str, Cost], absent: Mapping[str, str], bandwidth: float | None
) -> Row:
    ours = costs[HASHCORE]
    peers = {name: cost for name, cost in costs.items() if name != HASHCORE}
    shares = {}
    if bandwidth is not None:
        moved = step.batch * (4 * step.bits + math.ceil(step.bits / 8))
        shares[COPY] = moved / ours.seconds / bandwidth
    row = Row(step.table, step.name, ours, peers, absent, shares)
    reached = row.measures()
    if ours.peak is not None:
        reached[MEMORY] = MEMORY_LIMIT / max(ours.peak, 1)
    return row.judged(
        tuple(
            Outcome(target.measure, target.at_least, reached[target.measure])
            for target in step.targets
            if target.measure in reached
        )
    )
