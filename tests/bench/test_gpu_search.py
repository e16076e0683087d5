"""The bench of the search on a GPU: its peers find the same, and its rows hold what was timed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bench.gpu_search import __main__ as command
from bench.gpu_search import ceilings as limits
from bench.gpu_search import contest as contest_module
from bench.gpu_search import peers as peers_module
from bench.gpu_search.ceilings import Ceilings
from bench.gpu_search.contenders import PEERS, Entry, forced_scan
from bench.gpu_search.contest import check_ours, check_same, measure
from bench.gpu_search.inputs import draw
from bench.gpu_search.peers import CUPY_SOURCE, Gemm, Nearest, Peer, Xor, count_bits, signs_of
from bench.gpu_search.report import Results, Row, describe
from bench.gpu_search.workloads import (
    B1_LIMIT,
    COMPARE_LIMIT,
    COMPILED,
    CUPY,
    EAGER,
    GEMM,
    HASHCORE,
    ONE,
    OVER_K,
    OWN_POPC,
    POPC_LIMIT,
    SEARCHES,
    SMALL_K,
    GpuSearch,
    rate_of,
    searches,
)
from bench.kept import Outcome, Timing
from bench.ops.devices import Run
from bench.ops.steps import AnswersDifferError
from bench.workloads import BANDWIDTH, Target
from torch import Tensor

import hashcore
import reference
from bench import compare

NVCC = shutil.which("nvcc")
SMALL = GpuSearch(table="T", bits=64, codes=3_000, queries=5, k=12, peers=(EAGER, GEMM))
CEILINGS = Ceilings(popcounts=2e12, products=1e13, comparisons=4e12, bytes=4e12)


def as_numpy(search: GpuSearch) -> tuple[Any, Any]:
    database, queries = draw(search, "cpu")
    return database.numpy(), queries.numpy()


@pytest.mark.parametrize("bits", [64, 128, 256, 1024])
@pytest.mark.parametrize("drawn", ["uniform", "clustered"])
@pytest.mark.parametrize("name", [EAGER, GEMM])
def test_a_peer_finds_what_numpy_does(
    name: str, drawn: Any, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(peers_module._PAIRS, "cpu", 5_000)  # many pieces, the last one short
    search = replace(SMALL, bits=bits, drawn=drawn)
    database, queries = draw(search, "cpu")
    found = PEERS[name].make(database).search(queries, search.k)
    expected = reference.knn(database.numpy(), queries.numpy(), search.k, bits)
    np.testing.assert_array_equal(found.distances.numpy(), expected[0])
    rows = database[found.ids] ^ queries[:, None, :]
    ones = np.unpackbits(rows.numpy(), axis=2).sum(2)
    np.testing.assert_array_equal(ones, expected[0])
    check_same(Nearest(torch.from_numpy(expected[0]), found.ids), found)


def test_bits_of_every_word_are_counted() -> None:
    words = torch.tensor([0, -1, 1, -(2**63), 2**63 - 1, 0x5555555555555555, 0x0F0F0F0F0F0F0F0F])
    assert count_bits(words).tolist() == [0, 64, 1, 1, 63, 32, 32]


def test_signs_stand_in_the_order_of_the_bits() -> None:
    codes = torch.tensor([[0b10000001, 0b00000010]], dtype=torch.uint8)
    assert signs_of(codes).tolist() == [[1, *[-1] * 6, 1, *[-1] * 6, 1, -1]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_compiled_peer_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Callable[..., Tensor]] = []

    def compile_one(function: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_one)
    database, queries = draw(SMALL, "cpu")
    found = PEERS[COMPILED].make(database).search(queries, 3)
    assert compiled == [peers_module.xor_distances]
    assert torch.equal(found.distances, Xor(database).search(queries, 3).distances)


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
def test_the_kernel_for_cupy_compiles(tmp_path: Path) -> None:
    assert NVCC is not None
    source = tmp_path / "distances.cu"
    source.write_text(CUPY_SOURCE)
    subprocess.run([NVCC, "-arch=sm_90", "-cubin", "-o", tmp_path / "x", source], check=True)


def test_clusters_have_duplicates_and_neighbours() -> None:
    search = replace(SMALL, codes=20_000, queries=50, drawn="clustered")
    database, queries = as_numpy(search)
    rows = database.view(np.uint64)[:, 0]
    assert 20 < len(np.unique(rows[np.isin(rows, rows[:100])])) < 100
    assert len(np.unique(rows)) < 15_000
    distances = hashcore.knn(database, queries, 1).distances
    assert np.median(distances) < 8
    again, _ = as_numpy(search)
    assert np.array_equal(again, database)


def test_uniform_codes_use_every_bit() -> None:
    database, _ = as_numpy(replace(SMALL, codes=20_000))
    shares = np.unpackbits(database, axis=1).mean(axis=0)
    assert np.abs(shares - 0.5).max() < 0.02


def test_the_sweep_is_what_was_asked() -> None:
    assert {search.bits for search in SEARCHES} == {64, 128, 256, 512, 1024}
    assert {search.codes for search in SEARCHES} >= {10**6, 10**7, 10**8, 10**9}
    assert {search.queries for search in SEARCHES} >= {1, 4, 16, 64, 256, 1_000, 10_000}
    assert {search.k for search in SEARCHES if search.table == OVER_K} == {
        1,
        10,
        100,
        1_000,
        10_000,
    }
    assert {search.drawn for search in SEARCHES} == {"uniform", "clustered"}
    assert {name for search in SEARCHES for name in search.peers} == {*PEERS, OWN_POPC, SMALL_K}
    asked = {(s.bits, s.codes, s.queries, s.k, t) for s in SEARCHES for t in s.targets}
    assert asked == {
        (64, 10**9, 1, 10, Target(BANDWIDTH, 1 / 1.2)),
        *((256, 10**8, q, 10, Target(BANDWIDTH, 0.5)) for q in (4, 16, 64)),
        *((256, 10**8, q, 10, Target("8e12 pairs/s", 1)) for q in (1_000, 10_000)),
        *((256, 10**8, q, 10, Target(OWN_POPC, 10)) for q in (1_000, 10_000)),
        (64, 10**8, 10_000, 10, Target("4e12 pairs/s", 1)),
        (64, 10**8, 10_000, 10, Target(GEMM, 20)),
        (256, 10**8, 10_000, 10, Target(GEMM, 20)),
        (64, 10**8, 64, 10_000, Target(SMALL_K, 0.5)),
    }
    assert rate_of(8e12) == "8e12 pairs/s"


def test_a_row_has_one_name_and_a_quick_run_is_small() -> None:
    for quick in (False, True):
        asked = searches(1e12, quick=quick)
        assert len({(search.table, search.name) for search in asked}) == len(asked)
        assert {search.table for search in asked} == {search.table for search in SEARCHES}
    for search in searches(1e12, quick=True):
        assert search.codes <= 200_000
        assert search.queries <= 64
        assert search.targets == ()
        assert search.small() == search


def test_searches_shrink_to_the_device() -> None:
    whole = next(search for search in SEARCHES if search.table == ONE and search.bits == 64)
    assert whole.within(16e9) is whole
    less = whole.within(15.9e9)
    assert (less.codes, less.targets) == (3 * 10**8, ())
    assert whole.within(4e9).codes == 10**8
    assert all(2 * search.bytes_read <= 6e9 for search in searches(6e9))


class Counting:
    """A search by the CPU that tells how often it ran."""

    def __init__(self, database: Tensor, add: int = 0) -> None:
        self.database = database.numpy()
        self.add = add
        self.calls: list[tuple[int, int]] = []
        self.scan = "b1"

    def search(self, queries: Tensor, k: int) -> Nearest:
        self.calls.append((len(queries), k))
        found = hashcore.knn(self.database, queries.numpy(), k)
        distances = torch.from_numpy(found.distances + self.add)
        return Nearest(distances, torch.from_numpy(found.ids))


def seconds_by(runs: dict[str, float]) -> Callable[..., dict[str, list[float]]]:
    return lambda names, *_: {name: [runs[name]] * 3 for name in names}


def run_once(run: Run, calls: int) -> float:
    run()
    return 1.0


def test_a_row_is_rates_shares_and_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {HASHCORE: 0.5e-3, EAGER: 2e-3, GEMM: 4e-3, SMALL_K: 0.4e-3}
    monkeypatch.setattr(contest_module, "take_turns", seconds_by(taken))
    slow = replace(PEERS[EAGER], most_pairs=2 * 3_000)
    monkeypatch.setattr(contest_module, "PEERS", {**PEERS, EAGER: slow})
    targets = (
        Target(BANDWIDTH, 1e-6),
        Target("4e7 pairs/s", 1),
        Target(GEMM, 20),
        Target(SMALL_K, 0.5),
        Target(CUPY, 3),
    )
    search = replace(SMALL, k=30, peers=(EAGER, GEMM, SMALL_K, CUPY), targets=targets)
    there = {"torch": object()}
    monkeypatch.setattr("bench.gpu_search.contenders.find_spec", there.get)
    database, queries = draw(search, "cpu")
    ours: Any = Counting(database)
    row = measure(
        search,
        database,
        queries,
        ours,
        room=lambda: 1e12,
        seconds_of=run_once,
        ceilings=CEILINGS,
    )
    pairs = 3_000 * 5
    assert row.hashcore == Timing(0.5e-3, pairs / 0.5e-3)
    assert row.peers[GEMM] == Timing(4e-3, pairs / 4e-3, 8.0)
    assert row.peers[EAGER].ratio == pytest.approx(10)  # 2 of 5 queries in four times the time
    assert row.queries == {EAGER: 2}
    assert row.absent == {CUPY: "not installed"}
    assert (5, 10) in ours.calls  # the ten nearest
    assert row.shares == pytest.approx(
        {
            BANDWIDTH: 3_000 * 8 / 0.5e-3 / 4e12,
            B1_LIMIT: pairs / 0.5e-3 / 1e13,
            COMPARE_LIMIT: pairs / 0.5e-3 / 4e12,
        }
    )
    reached = {outcome.measure: outcome.reached for outcome in row.targets}
    expected = {
        BANDWIDTH: row.shares[BANDWIDTH],
        "4e7 pairs/s": 0.75,
        GEMM: 8.0,
        SMALL_K: 0.8,
    }
    assert reached == pytest.approx(expected)
    assert [outcome.met for outcome in row.targets] == [True, False, False, True]


def test_shares_of_popcounts_know_carry_save_adders() -> None:
    for bits, counted in ((64, 2), (128, 4), (256, 2), (1024, 8)):
        search = replace(SMALL, bits=bits)
        shares = CEILINGS.shares(search, "popc", 1e-3)
        assert shares[POPC_LIMIT] == pytest.approx(15_000 / 1e-3 * counted / 2e12)
        assert set(shares) == {BANDWIDTH, POPC_LIMIT}
    wide = CEILINGS.shares(replace(SMALL, bits=1024), "b1", 1e-3)
    assert wide[B1_LIMIT] == pytest.approx(15_000 / 1e-3 * 4 / 1e13)


def test_what_is_not_the_same_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    database, queries = draw(SMALL, "cpu")
    wrong = Entry(lambda rows: Counting(rows, add=1), 1e12, lambda search: 0.0)
    monkeypatch.setattr(contest_module, "PEERS", {EAGER: wrong})
    ours: Any = Counting(database)
    with pytest.raises(AnswersDifferError, match="PyTorch XOR: expected the same distances; 60 of"):
        measure(
            replace(SMALL, peers=(EAGER,)),
            database,
            queries,
            ours,
            room=lambda: 1e12,
            seconds_of=run_once,
            ceilings=CEILINGS,
        )


def test_an_answer_that_cannot_be_right_is_refused() -> None:
    database, queries = draw(SMALL, "cpu")
    right = Counting(database).search(queries, 12)
    check_ours(right, database, queries, 12)
    cases = {
        "the distances of the codes": right._replace(distances=right.distances + 1),
        "ids of codes": right._replace(ids=right.ids - 1 - right.ids.min()),
        "ascending": Nearest(right.distances.flip(1), right.ids.flip(1)),
    }
    for said, answer in cases.items():
        with pytest.raises(AnswersDifferError, match=said):
            check_ours(answer, database, queries, 12)


def test_why_a_peer_is_absent() -> None:
    entry = PEERS[GEMM]
    search = replace(SMALL, codes=10**9, bits=1024)
    assert re.match(r"does not fit: \d+ GiB", entry.absence(search, 1e11).replace(",", ""))
    assert entry.absence(search, 2e12) == ""
    assert replace(entry, package="no_such_package").absence(SMALL, 1e12) == "not installed"
    assert entry.queries(search) == 5
    assert entry.queries(replace(search, queries=10_000)) == 100
    assert Gemm.bytes_for(10, 64) == 640


def test_a_scan_is_forced_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for before in (None, "b1"):
        monkeypatch.delenv("HASHCORE_CUDA_SCAN", raising=False)
        if before is not None:
            monkeypatch.setenv("HASHCORE_CUDA_SCAN", before)
        with forced_scan("popc"):
            assert os.environ["HASHCORE_CUDA_SCAN"] == "popc"
        assert os.environ.get("HASHCORE_CUDA_SCAN") == before


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
def test_the_limits_compile_and_say_that_there_is_no_gpu(tmp_path: Path) -> None:
    assert limits.architecture_of((9, 0)) == "90a"
    assert limits.architecture_of((8, 6)) == "86"
    library = limits.build("90a", tmp_path)
    built = library.stat().st_mtime_ns
    assert limits.build("90a", tmp_path).stat().st_mtime_ns == built
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="limits: CUDA error"):
            limits.measure(library, 1 << 20)


def test_a_build_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="expected nvcc on the PATH"):
        limits.build("90a", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: "false")
    with pytest.raises(RuntimeError, match="the build failed"):
        limits.build("90a", tmp_path)


ROW = Row(
    table=ONE,
    workload="64 bits, 1,000M codes, 1 query, k = 10",
    scan="popc",
    hashcore=Timing(2e-3, 5e11),
    peers={EAGER: Timing(0.04, 2.5e10, 20.0)},
    queries={EAGER: 1},
    absent={CUPY: "not installed"},
    shares={BANDWIDTH: 0.9},
    targets=(Outcome(BANDWIDTH, 1 / 1.2, 0.9), Outcome(GEMM, 20, 12.0)),
)
MACHINE = {
    "cpu": "A CPU",
    "device": "A GPU",
    "driver": "13.0",
    "clocks": "1980 MHz of 1980 MHz, memory 3201 MHz",
    "torch": "2.0",
    "cupy": "absent",
}
RESULTS = Results(MACHINE, CEILINGS, (ROW, replace(ROW, table="Other", peers={}, targets=())))


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    RESULTS.write(tmp_path / "new", "search-gpu")
    assert Results.read(tmp_path / "new" / "search-gpu.json") == RESULTS
    assert (tmp_path / "new" / "search-gpu.md").read_text() == RESULTS.markdown()
    (tmp_path / "other.json").write_text('{"format": "another"}')
    with pytest.raises(ValueError, match="another kind of JSON"):
        Results.read(tmp_path / "other.json")


def test_the_table_holds_every_figure_and_verdict() -> None:
    lines = RESULTS.markdown().splitlines()
    machine = "A GPU, driver 13.0, clocks 1980 MHz of 1980 MHz, memory 3201 MHz, PyTorch 2.0, "
    assert machine + "CuPy absent." in lines
    assert (
        "Limits: 2 T/s counts of 32 bits, 10 T/s binary products of 256 bits, "
        "4 T/s numbers into maxima, 4 TB/s bytes read."
    ) in lines
    assert "## Targets: 1 of 2 met" in lines
    assert f"| {ONE}: {ROW.workload} | read bandwidth | 90% of 83% | yes |" in lines
    assert f"| {ONE}: {ROW.workload} | {GEMM} | 12.0 of 20 | no |" in lines
    assert (
        f"| {ROW.workload} | 2 ms | 500 | popc | 20x (25, 1 queries) | not installed | 90% |"
    ) in lines
    assert f"| {ROW.workload} | 2 ms | 500 | popc | not installed | 90% |" in lines
    said = describe(ROW)
    assert "2 ms, 500 Gpairs/s by popc; 20x PyTorch XOR; CuPy popcount not installed" in said
    assert said.endswith("met: read bandwidth 83%; MISSED: int8 GEMM + topk 20x")


def test_two_runs_are_compared_by_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    RESULTS.write(tmp_path, "old")
    faster = replace(ROW, peers={EAGER: Timing(0.04, 2.5e10, 40.0)}, shares={BANDWIDTH: 0.5})
    replace(RESULTS, rows=(faster,)).write(tmp_path, "new")
    monkeypatch.setattr(
        "sys.argv", ["compare", str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    )
    compare.main()
    assert "beyond 10%: 1 better, 1 worse" in capsys.readouterr().out


def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command with the CPU in the place of a GPU."""
    monkeypatch.setattr(command, "why_no_cuda", lambda: None)
    cuda = SimpleNamespace(
        is_available=lambda: True,
        get_device_name=lambda: "NVIDIA A-GPU",
        empty_cache=lambda: None,
    )
    monkeypatch.setattr(command, "torch", SimpleNamespace(cuda=cuda, __version__="2.0"))
    monkeypatch.setattr(command, "free_bytes", lambda: 1e12)
    monkeypatch.setattr(command, "measure_ceilings", lambda: CEILINGS)
    monkeypatch.setattr(command, "cuda_info", lambda: {"driver": "13.0"})
    monkeypatch.setattr(command, "Cuda", lambda: SimpleNamespace(seconds=run_once))
    monkeypatch.setattr(command, "draw", lambda search, device: draw(search, "cpu"))
    monkeypatch.setattr(command, "Ours", Counting)


def test_a_part_is_measured_and_written_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_cpu(monkeypatch)
    line = ["--quick", "-k", "sizes of k: 64 bits, 200,000 codes, 64 queries, k = 1"]
    monkeypatch.setattr(command, "searches", lambda room, quick: [replace(SMALL, rounds=1)])
    command.main(["--quick"])
    assert "Wrote" not in capsys.readouterr().out
    command.main(["--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "4 TB/s bytes read" in printed
    found = Results.read(tmp_path / "search-nvidia-a-gpu.json")
    (row,) = found.rows
    assert (row.workload, set(row.peers)) == (SMALL.name, {EAGER, GEMM})
    assert found.machine["device"] == "NVIDIA A-GPU"
    with pytest.raises(SystemExit, match="expected -k to be in the name of a row; got 'sizes"):
        command.main(line)


def test_a_wrong_answer_stops_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu(monkeypatch)
    monkeypatch.setattr(command, "searches", lambda room, quick: [SMALL])
    monkeypatch.setattr(command, "Ours", lambda database: Counting(database, add=1))
    with pytest.raises(SystemExit, match=r"T: 64 bits.*expected the distances.*nothing is kept"):
        command.main([])


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_no_gpu_is_one_line() -> None:
    with pytest.raises(SystemExit, match="expected a GPU that PyTorch can use; got none"):
        command.main([])


def test_a_peer_is_a_peer() -> None:
    made: Peer = Xor(draw(SMALL, "cpu")[0])
    assert made.search(draw(SMALL, "cpu")[1], 4).distances.shape == (5, 4)
