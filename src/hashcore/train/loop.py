"""The loop that trains every method, and knows none of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashcore.methods import Batch, Phase
from hashcore.ops import OPS
from hashcore.train import distributed
from hashcore.train.checkpoint import under, with_prefix
from hashcore.train.config import TrainConfig
from hashcore.train.hasher import Hasher
from hashcore.train.rows import Rows


@dataclass(frozen=True)
class TrainingRows:
    """N aligned rows to fit on.

    Attributes:
        image: float `[N, D]` or uint8 `[N, 3, H, W]`, read batch by batch.
        text: float `[N, D]` or int64 `[N, L]`, read batch by batch.
        labels: bool `[N, C]`, in memory.
    """

    image: Rows
    text: Rows
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)


class Loop:
    """Moves a hasher's networks, epoch by epoch.

    An epoch depends only on the weights, the optimisers' state and torch's random state at its
    start, so that a run goes on exactly where `state` was taken.
    """

    def __init__(self, hasher: Hasher, rows: TrainingRows, config: TrainConfig) -> None:
        self.hasher, self.rows, self.config = hasher, rows, config
        self.batch_size = min(config.batch_size, len(rows))
        self.steps_per_epoch = len(rows) // self.batch_size
        self.network = hasher.network
        self.phases = self.network.phases()
        self.optimisers = [_optimiser(phase, config) for phase in self.phases]
        self.processes = distributed.current()
        self.losses = self.processes.spread(self.network, self.phases, self.batch_size)
        self.network.compute_with(OPS[config.ops])
        self.network.begin_fit(len(rows))

    def epoch(self, epoch: int, on_step: Callable[[], None]) -> dict[str, float]:
        """Run epoch `epoch`, from 0; the mean of every loss term.

        Raises:
            FloatingPointError: a loss term is not finite.
        """
        self.processes.share_randomness(self.hasher.device)
        self.network.begin_epoch(epoch, self.config.epochs, self.embed_all)
        self.network.train()
        order = torch.randperm(len(self.rows)).numpy()
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for i in range(self.steps_per_epoch):
            batch = self._batch(order[i * self.batch_size : (i + 1) * self.batch_size])
            step = epoch * self.steps_per_epoch + i
            for phase, optimiser in zip(self.phases, self.optimisers, strict=True):
                if step % phase.every == 0:
                    for name, value in self._step(batch, phase, optimiser, step).items():
                        sums[name] = sums.get(name, 0.0) + value
                        counts[name] = counts.get(name, 0) + 1
            on_step()
        means = {name: float(total) / counts[name] for name, total in sums.items()}
        if broken := [name for name, value in means.items() if not math.isfinite(value)]:
            raise FloatingPointError(
                f"epoch {epoch + 1}: loss term {', '.join(broken)} is not finite; "
                "try a lower lr or clip > 0"
            )
        return means

    def close(self) -> None:
        """Leave the networks to one process again."""
        self.processes.release(self.network)

    def state(self) -> dict[str, Tensor]:
        """Optimiser and random state, as named tensors."""
        out = {"rng.cpu": torch.get_rng_state()}
        if self.hasher.device.type == "cuda":
            out["rng.cuda"] = torch.cuda.get_rng_state(self.hasher.device)
        for phase, optimiser in zip(self.phases, self.optimisers, strict=True):
            for i, entries in optimiser.state_dict()["state"].items():
                out |= with_prefix(f"optim.{phase.name}.{i}", entries)
        return out

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `state` gave; the weights come with the hasher."""
        torch.set_rng_state(tensors["rng.cpu"])
        if self.hasher.device.type == "cuda" and "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng.cuda"], self.hasher.device)
        for phase, optimiser in zip(self.phases, self.optimisers, strict=True):
            entries: dict[int, dict[str, Tensor]] = {}
            for name, tensor in under(f"optim.{phase.name}", tensors).items():
                index, key = name.split(".")
                entries.setdefault(int(index), {})[key] = tensor
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": entries, "param_groups": groups})

    def _step(
        self, batch: Batch, phase: Phase, optimiser: torch.optim.Optimizer, step: int
    ) -> dict[str, Tensor]:
        rate = learning_rate(self.config, step, self.config.epochs * self.steps_per_epoch)
        for group in optimiser.param_groups:
            group["lr"] = rate * phase.lr_scale
        device = self.hasher.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.config.amp):
            total, terms = self.losses[phase.name](batch, phase.name)
        self.network.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        if self.config.clip > 0:
            nn.utils.clip_grad_norm_(phase.parameters, self.config.clip)
        optimiser.step()
        return terms

    def embed_all(self) -> tuple[Tensor, Tensor]:
        """Both modalities of all rows, `[N, K]` each, in evaluation mode."""
        n = len(self.rows)
        part = self.processes.part(n)
        image = self.hasher.embed("image", self.rows.image.at(part))
        text = self.hasher.embed("text", self.rows.text.at(part))
        return self.processes.gather(image, n), self.processes.gather(text, n)

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        device = self.hasher.device
        own = rows[self.processes.part(len(rows))]
        return Batch(
            self.hasher.prepare("image", self.rows.image[own]),
            self.hasher.prepare("text", self.rows.text[own]),
            torch.from_numpy(self.rows.labels[rows]).to(device),
            torch.from_numpy(rows).to(device),
        )


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Linear warm-up, then constant or half a cosine down to zero."""
    warm = config.warmup * steps
    if step < warm:
        return config.lr * (step + 1) / (warm + 1)
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def _optimiser(phase: Phase, config: TrainConfig) -> torch.optim.Optimizer:
    matrices = [p for p in phase.parameters if p.ndim > 1]
    others = [p for p in phase.parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=phase.betas,
        fused=True,
    )
