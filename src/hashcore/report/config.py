"""Options of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoConfig:
    """What the demo trains on, hides among and writes."""

    report: Path = Path("demo/report.html")
    """The page to write."""
    method: str = "dth"
    """Learning method."""
    bits: int = 64
    """Width of the codes."""
    pairs: int = 6000
    """Pairs to draw; a sixth of them is never trained on."""
    epochs: int = 10
    """Passes over the training pairs."""
    distractors: int = 1_000_000
    """Random codes that the unseen pairs are hidden among."""
    seed: int = 0
    """Seed of the pairs, the training and the distractors."""
    device: str = "cpu"
    """Where the hasher trains and encodes."""
    quick: bool = False
    """A small run to try it out: 600 pairs, 3 epochs, 20,000 distractors, quality unchecked."""

    def __post_init__(self) -> None:
        for name, least in (("pairs", 60), ("epochs", 1), ("bits", 1), ("distractors", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"--{name} must be >= {least}; got {value}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed must be in 0..2**32-1; got {self.seed}")

    def sized(self) -> DemoConfig:
        """The configuration with the sizes of a quick run, where one is asked for."""
        if not self.quick:
            return self
        return DemoConfig(
            report=self.report,
            method=self.method,
            bits=self.bits,
            pairs=600,
            epochs=3,
            distractors=20_000,
            seed=self.seed,
            quick=True,
            device=self.device,
        )
