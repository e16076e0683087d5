"""What `test_distributed.py` runs under torchrun: trains every method and writes what came out."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from hashcore.methods import (
    METHODS,
    Batch,
    BranchConfig,
    InputSpec,
    LossTerms,
    Method,
    Phase,
    ProblemSpec,
    Term,
)
from hashcore.train import TrainConfig, distributed, fit
from hashcore.train.loop import Loop
from methods.problems import FEATURES, B, batch, begin, small
from train.synthetic import make_features

QUICK = TrainConfig(epochs=2, batch_size=25, lr=2e-3, validation=0.2, progress=False)
APART = dataclasses.replace(QUICK, codes="classes", database="apart")
RUNS: dict[str, tuple[str, float, TrainConfig]] = {
    **{name: (name, 0.0, QUICK) for name in METHODS},
    "dropout": ("dth", 0.3, QUICK),
    "classes": ("drhc", 0.0, APART),
}


def train(name: str) -> dict[str, Tensor]:
    """The curve of each loss term, the final outputs, and the validation scores of one run."""
    method, dropout, how = RUNS[name]
    config = METHODS[method].config(branch=BranchConfig(hidden=(24, 16), dropout=dropout))
    data = make_features()
    curves: dict[str, list[float]] = {}
    run_epoch = Loop.epoch

    def watched(self: Loop, epoch: int, on_step: Callable[[], None]) -> dict[str, float]:
        means = run_epoch(self, epoch, on_step)
        for term, value in means.items():
            curves.setdefault(term, []).append(value)
        return means

    Loop.epoch = watched  # type: ignore[method-assign]
    try:
        hasher = fit(data, method, 16, config, how)
    finally:
        Loop.epoch = run_epoch  # type: ignore[method-assign]
    assert not any("forward" in vars(layer) for layer in hasher.network.modules())
    out = {f"{name}/curve/{term}": torch.tensor(values) for term, values in curves.items()}
    out[f"{name}/image"] = hasher.embed("image", data.image)
    out[f"{name}/text"] = hasher.embed("text", data.text)
    scores = [list(both.values()) for both in hasher.info["scores"].values()]
    out[f"{name}/scores"] = torch.tensor(scores)
    return out


class Probe(Method):
    """Every kind of layer before a gather and after it, under an optimiser each."""

    ROWS = 11

    def __init__(self) -> None:
        kind = InputSpec("features", (5,))
        super().__init__(None, ProblemSpec(kind, kind, 3, 4))
        self.before = nn.Sequential(
            nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Unflatten(1, (2, 3)),
            nn.BatchNorm1d(2, momentum=None), nn.Flatten(), nn.BatchNorm1d(6, affine=False),
        )  # fmt: skip
        self.after = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.2))

    def encode_image(self, image: Tensor) -> Tensor:
        out: Tensor = self.before(image)
        return out

    def encode_text(self, text: Tensor) -> Tensor:
        return self.encode_image(text)

    def phases(self) -> tuple[Phase, ...]:
        halves = {"before": self.before, "after": self.after}
        return tuple(Phase(name, list(half.parameters())) for name, half in halves.items())

    def losses(self, batch: Batch, phase: str) -> LossTerms:
        whole = self.gather(self.encode_image(batch.image))
        mixed = self.after(whole[torch.randperm(len(whole))])
        return LossTerms(
            {
                "near": Term(0.7, torch.cdist(whole, whole).cos().mean()),
                "far": Term(1.3, (mixed @ mixed.T).tanh().square().mean()),
            }
        )


def probe(processes: distributed.Processes) -> dict[str, Tensor]:
    """Terms, gradients and buffers of a step of each phase in float64."""
    torch.manual_seed(0)
    method = Probe().double()
    x = torch.randn(Probe.ROWS, 5, dtype=torch.float64)
    part, rows = processes.part(len(x)), torch.arange(len(x))
    own = Batch(x[part], x[part], rows[:, None] > 5, rows)
    phases = method.phases()
    losses = processes.spread(method, phases, len(x))
    found: dict[str, Tensor] = {}
    for phase in phases:
        method.zero_grad()
        total, terms = losses[phase.name](own, phase.name)
        total.backward()  # type: ignore[no-untyped-call]
        found |= {f"{phase.name}/{name}": value for name, value in terms.items()}
        for i, parameter in enumerate(phase.parameters):
            assert parameter.grad is not None
            found[f"{phase.name}/gradient/{i}"] = parameter.grad.clone()
    found |= {**dict(method.named_buffers()), "random": torch.rand(3)}
    return {f"probe/{name}": value for name, value in found.items()}


def step(name: str, processes: distributed.Processes) -> dict[str, Tensor]:
    """Terms and gradients of each phase of an untrained method on one batch."""
    method, whole = small(name, {}, FEATURES), batch(FEATURES)
    begin(method, whole)
    part = processes.part(B)
    own = Batch(whole.image[part], whole.text[part], whole.labels, whole.rows)
    phases = method.phases()
    out: dict[str, Tensor] = {}
    for phase, losses in processes.spread(method, phases, B).items():
        method.zero_grad()
        total, terms = losses(own, phase)
        total.backward()  # type: ignore[no-untyped-call]
        out |= {f"{name}/step/{phase}/{term}": value for term, value in terms.items()}
        held = {id(p) for entry in phases if entry.name == phase for p in entry.parameters}
        for parameter, p in method.named_parameters():
            if id(p) in held and p.grad is not None:
                out[f"{name}/step/{phase}/{parameter}"] = p.grad.clone()
    return out


def results(processes: distributed.Processes) -> dict[str, Tensor]:
    """All that is compared."""
    torch.set_num_threads(1)
    out = probe(processes)
    for name in METHODS:
        out |= step(name, processes)
    for name in RUNS:
        out |= train(name)
    return out


if __name__ == "__main__":
    with distributed.joined() as joined:
        print("from", joined.rank)
        found = {name: t.contiguous() for name, t in results(joined).items()}
        safetensors.torch.save_file(found, Path(sys.argv[1]) / f"{joined.rank}.safetensors")
