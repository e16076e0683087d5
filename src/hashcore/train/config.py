"""How a training runs, whatever the method."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from hashcore.ops import OpsName

Selection = Literal["refit", "best", "last"]


@dataclass(frozen=True)
class TrainConfig:
    """How a training runs, whatever the method."""

    epochs: int = 20
    """Passes over the training rows; with `selection`, the most that may be chosen."""
    codes: Literal["outputs", "classes"] = "outputs"
    """What the bits are read from: signs of the method's outputs, or probabilities of the classes,
    by a head on the outputs (`hashcore.methods.class_codes`)."""
    class_weight: float = 1.0
    """Weight of the class likelihood beside the method's terms, with codes of classes."""
    ensemble: int = 1
    """Networks that train side by side from different starts, whose probabilities of the classes
    are averaged, with codes of classes. Networks apart for the database stay single."""
    kernel: float = 0.0
    """Share of a kernel classifier of the features in the probabilities of the classes, beside the
    networks, with codes of classes (`hashcore.methods.kernel_classes`); 0 has none."""
    kernel_steepness: float = 3.0
    """How fast the kernel falls, in units of the mean squared distance between training rows."""
    kernel_ridge: float = 0.2
    """Weight of the kernel classifier's squared norm beside the likelihood of all rows."""
    database: Literal["same", "apart"] = "same"
    """Who encodes the database rows that were trained on: the same networks, or such apart that may
    learn them by heart (`branch.database_dropout`), with codes of classes."""
    batch_size: int = 128
    """Rows per step, of all processes together."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup: float = 0.05
    """Fraction of all steps over which the learning rate rises from zero."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of the matrices; biases and norms have none."""
    clip: float = 0.0
    """Largest gradient norm; 0 clips nothing."""
    seed: int = 0
    """Seed of the weights, the order of rows, dropout and the validation rows."""
    validation: float = 0.1
    """Fraction of the training rows held out to validate on; never taken from the query set."""
    selection: Selection = "refit"
    """What validation decides. "refit": the number of epochs, then training again on all training
    rows for that many. "best": the weights of the best epoch. "last": nothing, it is only shown."""
    selection_protocol: Literal["encoded", "unseen"] = "encoded"
    """Validation queries search the fitted rows ("encoded") or the validation rows ("unseen")."""
    validate_every: int = 1
    """Epochs between validations."""
    patience: int = 0
    """Stop choosing after this many validations without a better one; 0 never stops early."""
    ops: OpsName = "fused"
    """What computes the losses: the fused ops, or their references in plain PyTorch. Both give the
    same training up to rounding."""
    device: str = "auto"
    """"cpu", "cuda", "cuda:1", ...; "auto" takes a GPU when there is one."""
    amp: bool = False
    """Run the networks in bfloat16 (autocast); losses stay in float32."""
    checkpoint_dir: Path | None = None
    """Directory that holds the state after every epoch, seen by every process; None keeps no
    checkpoint."""
    resume: bool = False
    """Go on from the checkpoint in `checkpoint_dir`, where there is one."""
    progress: bool = True
    """Show progress on stderr."""

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "epochs", ">= 1", self.epochs)
        _require(self.batch_size >= 2, "batch_size", ">= 2", self.batch_size)
        _require(self.lr > 0, "lr", "> 0", self.lr)
        _require(0 <= self.warmup < 1, "warmup", "in [0, 1)", self.warmup)
        _require(self.weight_decay >= 0, "weight_decay", ">= 0", self.weight_decay)
        _require(self.clip >= 0, "clip", ">= 0", self.clip)
        _require(self.seed >= 0, "seed", ">= 0", self.seed)
        _require(0 <= self.validation <= 0.5, "validation", "in [0, 0.5]", self.validation)
        _require(self.validate_every >= 1, "validate_every", ">= 1", self.validate_every)
        _require(self.patience >= 0, "patience", ">= 0", self.patience)
        _require(self.class_weight > 0, "class_weight", "> 0", self.class_weight)
        _require(self.ensemble >= 1, "ensemble", ">= 1", self.ensemble)
        _require(0 <= self.kernel <= 1, "kernel", "in [0, 1]", self.kernel)
        _require(self.kernel_steepness > 0, "kernel_steepness", "> 0", self.kernel_steepness)
        _require(self.kernel_ridge > 0, "kernel_ridge", "> 0", self.kernel_ridge)
        if self.kernel > 0 and self.codes != "classes":
            raise ValueError(
                f'kernel {self.kernel} needs codes "classes": it knows the classes alone'
            )
        if self.ensemble > 1 and self.codes != "classes":
            raise ValueError(
                f'ensemble {self.ensemble} needs codes "classes": outputs of networks with '
                "different starts have no bit in common"
            )
        if self.database == "apart" and self.codes != "classes":
            raise ValueError(
                'database "apart" needs codes "classes": outputs of networks that were trained '
                "apart do not share a code space"
            )
        if self.validation == 0 and self.selection != "last":
            raise ValueError(
                f'selection "{self.selection}" needs validation rows; got validation 0. '
                'Use selection "last" to train on all rows for a fixed number of epochs.'
            )
        if self.resume and self.checkpoint_dir is None:
            raise ValueError("resume needs checkpoint_dir")


def plain(config: Any) -> dict[str, Any]:
    """A frozen dataclass as it comes back from JSON; paths as strings."""
    out: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    return out


def _require(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}; got {got}")
