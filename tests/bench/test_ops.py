"""The bench of the training ops: its peers compute the same, and its rows hold what was timed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bench.kept import Outcome
from bench.ops import __main__ as command
from bench.ops import contest as contest_module
from bench.ops import peers as peers_module
from bench.ops.contenders import OPS, Compute, Op, Peer
from bench.ops.contest import measure, take_turns
from bench.ops.devices import Cpu, Run
from bench.ops.peers import Batch
from bench.ops.report import Cost, Results, Row, describe
from bench.ops.steps import AnswersDifferError, check_same, draw, run
from bench.ops.workloads import (
    ALL,
    COMPILED,
    COPY,
    CUBIC,
    EAGER,
    GRAPHED,
    HARD,
    HASHCORE,
    MEMORY,
    METRIC_LEARNING,
    PACKING,
    REFERENCE,
    SORTED,
    STEPS,
    Device,
    Labels,
    Step,
    steps_on,
)
from bench.out_of_core import memory
from bench.workloads import Target
from torch import Tensor

from bench import compare

SMALL = Step(table=ALL, batch=40, bits=12, classes=5, peers=(SORTED,))
PLAIN_PEERS = [
    (table, name) for table, op in OPS.items() for name, peer in op.peers.items() if not peer.mode
]


def in_double(batch: Batch) -> Batch:
    anchors, candidates = (x.detach().double().requires_grad_() for x in batch[:2])
    return batch._replace(anchors=anchors, candidates=candidates)


@pytest.mark.parametrize(("table", "name"), PLAIN_PEERS)
@pytest.mark.parametrize("labels", ["single", "multi"])
@pytest.mark.parametrize("classes", [2, 5, 24])  # 2 labels a row of 2: no negative
def test_a_peer_computes_what_hashcore_does(
    table: str, name: str, labels: Labels, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, peer = OPS[table], OPS[table].peers[name]
    if importlib.util.find_spec(peer.package) is None:
        pytest.skip(f"{peer.package} is not installed; it is in the bench extra")
    if name == METRIC_LEARNING and labels == "multi":
        with pytest.raises(ValueError, match="one class a row"):
            peer.make()(draw(replace(SMALL, labels="multi"), "cpu"))
        return
    monkeypatch.setitem(peers_module._CHUNKS, "cpu", 3 * SMALL.batch**2)  # the last one is short
    step = replace(SMALL, classes=classes, labels=labels)
    batch = in_double(draw(step, "cpu"))
    ours, theirs = run(op, op.ours, batch), run(op, peer.make(), batch)
    if op.inputs == 0:
        assert torch.equal(ours.value, theirs.value)
    torch.testing.assert_close(theirs.value, ours.value, rtol=1e-9, atol=1e-12)
    assert len(ours.gradients) == len(theirs.gradients) == op.inputs
    for a, b in zip(ours.gradients, theirs.gradients, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-12)


def test_compiled_peers_are_plain_ones() -> None:
    for op in OPS.values():
        of_torch = [peer for peer in op.peers.values() if peer.package == "torch"]
        plain = [peer.make() for peer in of_torch if not peer.mode]
        compiled = [peer.make() for peer in of_torch if peer.mode]
        assert all(any(each is other for other in plain) for each in compiled)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("table", [t for t, op in OPS.items() if COMPILED in op.peers])
def test_a_compiled_peer_is_one_graph(table: str) -> None:
    torch.compiler.reset()
    op, batch = OPS[table], draw(SMALL, "cpu")
    compute = op.peers[COMPILED].make()
    compiled = torch.compile(compute, fullgraph=True, dynamic=False, backend="aot_eager")
    ours, theirs = run(op, op.ours, batch), run(op, compiled, batch)
    check_same(ours, theirs, 1e-4)


def test_the_batches_cover_what_is_asked() -> None:
    assert {step.batch for step in STEPS} >= {128, 1024, 4096, 16_384}
    assert {step.bits for step in STEPS} >= {16, 64, 256, 1024}
    assert {step.classes for step in STEPS} >= {10, 24, 300}
    assert {step.labels for step in STEPS} == {"single", "multi"}
    assert {step.table for step in STEPS} == set(OPS)
    assert any(target.measure == MEMORY for step in STEPS for target in step.targets)
    for step in STEPS:
        assert set(step.peers) <= set(OPS[step.table].peers), step
        judged = {target.measure for target in step.targets}
        assert judged <= {MEMORY, *step.peers}, step
        if METRIC_LEARNING in step.peers:
            assert step.labels == "single", step


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("quick", [False, True])
def test_a_row_has_one_name(device: Device, quick: bool) -> None:
    steps = steps_on(device, quick=quick)
    assert len({(step.table, step.name) for step in steps}) == len(steps)
    assert {step.table for step in steps} == set(OPS)
    assert any(GRAPHED in step.peers for step in steps) == (device == "cuda")
    if quick:
        assert all(step.batch <= 128 and step.rounds <= 2 and not step.targets for step in steps)
        every = {(step.table, peer) for step in steps_on(device) for peer in step.peers}
        assert {(step.table, peer) for step in steps for peer in step.peers} == every


def test_targets_are_those_of_the_device() -> None:
    hard = [step for step in steps_on("cuda") if step.table == HARD and step.targets]
    assert [(step.batch, step.bits) for step in hard] == [(16_384, 128)]
    assert all(step.devices != ("cuda",) for step in steps_on("cpu"))


class Clock(Cpu):
    """A device on which a run takes the seconds that it gives."""

    def __init__(self, room: float = 1e12, peak: int = 0) -> None:
        super().__init__(threads=1)
        self._room, self._peak = room, peak
        self.runs = 0

    def seconds(self, run: Run, calls: int) -> float:
        self.runs += calls
        taken = run()
        return taken if isinstance(taken, float) else 1.0

    def room(self) -> float:
        return self._room

    def peaks(self, step: Step, runs: Mapping[str, Run]) -> dict[str, int]:
        return dict.fromkeys(runs, self._peak)


def test_turns_are_bounded_by_rounds_and_by_time() -> None:
    order: list[str] = []

    def named(name: str, seconds: float) -> Run:
        def run_once() -> float:
            order.append(name)
            return seconds

        return run_once

    times = {"quick": 1e-4, "slow": 0.9, "endless": 100.0}
    runs = {name: named(name, seconds) for name, seconds in times.items()}
    device = Clock()
    taken = take_turns(runs, times, device.seconds, rounds=5)
    assert taken == {"quick": [1e-4] * 5, "slow": [0.9] * 3, "endless": [100.0]}
    assert order == ["quick", "slow"] * 3 + ["quick"] * 2
    assert device.runs == 5 * 50 + 3


def fixed(seconds: Mapping[str, float]) -> Callable[..., dict[str, list[float]]]:
    return lambda runs, *_: {name: [seconds[name], 9.0, seconds[name]] for name in runs}


def test_a_row_is_medians_ratios_and_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest_module, "take_turns", fixed({HASHCORE: 0.5, SORTED: 2.0}))
    targets = Target(SORTED, 5), Target(MEMORY, 1), Target(REFERENCE, 100)
    step = replace(SMALL, peers=(SORTED, REFERENCE), targets=targets)
    row = measure(step, Clock(room=45 * step.batch**2, peak=32_000_000))
    assert row.key == (ALL, "B = 40, K = 12, 5 classes")
    assert row.hashcore == Cost(0.5, 3, 32_000_000)
    assert row.peers == {SORTED: Cost(2.0, 3, 32_000_000)}
    assert row.measures() == {SORTED: 4.0}
    assert row.absent == {REFERENCE: "does not fit: 0 GiB"}
    assert [(o.measure, o.reached, o.met) for o in row.targets] == [
        (SORTED, 4.0, False),
        (MEMORY, 2.0, True),
    ]


def test_a_share_is_of_what_a_copy_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest_module, "take_turns", fixed({HASHCORE: 0.5}))
    monkeypatch.setattr(Clock, "bandwidth", lambda _: 40 * (12 * 4 + 2) * 4.0)
    step = replace(SMALL, table=PACKING, peers=(), targets=(Target(COPY, 0.9),))
    row = measure(step, Clock())
    assert row.shares == {COPY: 0.5}
    assert row.targets == (Outcome(COPY, 0.9, 0.5),)


def other(batch: Batch) -> Tensor:
    return 1.01 * OPS[ALL].ours(batch)


def other_gradients(batch: Batch) -> Tensor:
    loss = OPS[ALL].ours(batch)
    return loss.detach() + 1.01 * (loss - loss.detach())


def nothing(batch: Batch) -> Tensor:
    return 0 * (batch.anchors + batch.candidates).sum()


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (OPS[ALL].ours, other, "sorted: expected the loss"),
        (OPS[ALL].ours, other_gradients, "sorted: expected gradients within 0.001"),
        (nothing, nothing, "sorted: expected anything but zero"),
    ],
)
def test_what_is_not_the_same_is_not_compared(
    monkeypatch: pytest.MonkeyPatch, ours: Compute, theirs: Compute, said: str
) -> None:
    peer = Peer(lambda: theirs, lambda step: 0.0)
    monkeypatch.setitem(OPS, ALL, Op(ours, 2, {SORTED: peer}))
    with pytest.raises(AnswersDifferError, match=said):
        measure(SMALL, Clock())


def test_other_codes_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = OPS[PACKING].ours
    peer = Peer(lambda: lambda batch: ours(batch) ^ 1, lambda step: 0.0)
    monkeypatch.setitem(OPS, PACKING, Op(ours, 0, {SORTED: peer}))
    with pytest.raises(AnswersDifferError, match="expected the same codes"):
        measure(replace(SMALL, table=PACKING), Clock())


def test_why_a_peer_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def absence(**options: Any) -> str:
        peer = Peer(lambda: nothing, lambda step: 5.0 * 2**30, **options)
        return peer.absence(SMALL, "cpu", room=6.0 * 2**30)

    assert absence() == ""
    assert absence(package="no_such_package") == "not installed"
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert absence(mode="default") == "no C++ compiler"
    peer = OPS[ALL].peers[REFERENCE]
    assert peer.absence(replace(SMALL, batch=1024), "cpu", 16.0 * 2**30) == "does not fit: 21 GiB"


@pytest.mark.skipif(not memory.CLEAR.exists(), reason="needs /proc/self/clear_refs")
def test_peak_memory_is_that_of_one_step() -> None:
    batch = 1024
    step = Step(table=HARD, batch=batch, bits=16, peers=(EAGER,))
    found = Cpu(threads=1).peaks(step, dict.fromkeys((HASHCORE, EAGER), print))
    pairs = 4 * batch**2
    assert set(found) == {HASHCORE, EAGER}
    assert 2 * pairs < found[EAGER] < 6 * pairs
    assert pairs / 2 < found[HASHCORE] < found[EAGER]  # one block of products


ROW = Row(
    table=ALL,
    workload="B = 128",
    hashcore=Cost(0.002, 15, 4_000_000),
    peers={SORTED: Cost(0.010, 15, 80_000_000), CUBIC: Cost(30.0, 1)},
    absent={REFERENCE: "does not fit: 21 GiB"},
    shares={COPY: 0.8},
    targets=(Outcome(SORTED, 6.0, 5.0), Outcome(MEMORY, 1.0, 16.0)),
)
RESULTS = Results(
    {
        "cpu": "A CPU",
        "device": "A GPU",
        "threads_used": 2,
        "isa": "avx2",
        "torch": "2.0",
        "pytorch-metric-learning": "2.9",
    },
    (ROW, replace(ROW, workload="B = 512", peers={}, absent={}, shares={}, targets=())),
)


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    RESULTS.write(tmp_path / "new", "ops")
    assert Results.read(tmp_path / "new" / "ops.json") == RESULTS
    assert (tmp_path / "new" / "ops.md").read_text() == RESULTS.markdown()
    content = json.loads((tmp_path / "new" / "ops.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps({**content, "format": "another"}))
    with pytest.raises(ValueError, match="another kind of JSON"):
        Results.read(tmp_path / "other.json")


def test_the_table_holds_every_figure_and_verdict() -> None:
    lines = RESULTS.markdown().splitlines()
    assert "A GPU, 2 threads each, level avx2, PyTorch 2.0, pytorch-metric-learning 2.9." in lines
    assert "## Targets: 1 of 2 met" in lines
    assert f"| {ALL}: B = 128 | sorted | 5.0 of 6 | no |" in lines
    assert (
        "| B = 128 | 2 ms, 4.0 MB | 5x (10 ms, 80 MB) | 15,000x (30,000 ms) "
        "| does not fit: 21 GiB | 80% |"
    ) in lines
    assert "| B = 512 | 2 ms, 4.0 MB |  |  |  |  |" in lines
    assert describe(ROW).endswith("MISSED: sorted 6x; met: 64 MB over peak memory 1x")


def test_two_runs_are_compared_by_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    RESULTS.write(tmp_path, "old")
    faster = replace(ROW, hashcore=Cost(0.001, 15, 4_000_000), shares={COPY: 0.5})
    replace(RESULTS, rows=(faster,)).write(tmp_path, "new")
    monkeypatch.setattr(
        "sys.argv", ["compare", str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    )
    compare.main()
    printed = capsys.readouterr().out
    assert "3 measures; beyond 10%: 2 better, 1 worse" in printed
    assert f"Only in the old run: {ALL}: B = 512" in printed


def test_a_part_is_measured_and_written_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "is_green", lambda root: True)
    monkeypatch.setattr(command, "version", lambda name: "1.0")
    monkeypatch.setattr(command, "Cpu", lambda threads: Clock())
    line = ["--quick", "--threads", "1", "-k", "packing: b = 128, k = 16"]
    command.main(line)
    assert "Wrote" not in capsys.readouterr().out
    command.main([*line, "--out", str(tmp_path)])
    (row,) = Results.read(tmp_path / "ops.json").rows
    assert row.workload == "B = 128, K = 16"
    with pytest.raises(SystemExit, match="expected -k to be in the name of a row; got 'none'"):
        command.main(["-k", "none"])
    monkeypatch.setattr(command, "is_green", lambda root: False)
    with pytest.raises(SystemExit, match="the tests are red"):
        command.main(line)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_no_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "version", lambda name: "1.0")
    with pytest.raises(SystemExit, match="expected a GPU that PyTorch can use"):
        command.main(["--device", "cuda"])
