"""`fit`: from a data set to a hasher."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashcore import FormatError
from hashcore.methods import METHODS, ClassCoded, Modality, ProblemSpec, Role
from hashcore.train import checkpoint, distributed, networks
from hashcore.train.config import TrainConfig, plain
from hashcore.train.hasher import Hasher
from hashcore.train.loop import Loop, TrainingRows
from hashcore.train.preprocess import Preparation
from hashcore.train.progress import Progress
from hashcore.train.rows import Rows, chunks
from hashcore.train.validate import validation_scores

if TYPE_CHECKING:
    from hashcore.data import CrossModalDataset

FREE_TO_DIFFER = {"checkpoint_dir", "resume", "progress", "device", "ops"}
"""Fields of `TrainConfig` that a resumed run may change."""


@dataclass
class Course:
    """How far a training has come: what resuming needs beside weights and optimisers.

    Attributes:
        stage: "choose" fits without the validation rows; "final" fits what is returned.
        epoch: epochs done in this stage.
        epochs: epochs that this stage runs.
        scores: validation scores so far, by epoch.
        chosen: the best epoch so far, from 1; 0 before any validation.
        losses: mean loss terms of this stage, by epoch.
    """

    stage: str
    epoch: int
    epochs: int
    scores: dict[int, dict[str, float]] = field(default_factory=dict)
    chosen: int = 0
    losses: dict[int, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Course:
        """The course that a checkpoint's meta data tells of."""
        state = dict(meta["course"])
        for name in ("scores", "losses"):
            by_epoch = state.get(name, {})  # of older checkpoints, no losses
            state[name] = {int(epoch): values for epoch, values in by_epoch.items()}
        return cls(**state)

    def add(self, scores: dict[str, float]) -> bool:
        """Note the scores of this epoch; whether they are the best so far."""
        self.scores[self.epoch] = scores
        best = self.chosen == 0 or _mean(scores) > _mean(self.scores[self.chosen])
        if best:
            self.chosen = self.epoch
        return best

    def stale(self) -> int:
        """Validations since the best one."""
        return sum(epoch > self.chosen for epoch in self.scores)


def fit(
    dataset: CrossModalDataset,
    method: str = "dth",
    bits: int = 64,
    config: Any = None,
    train: TrainConfig | None = None,
) -> Hasher:
    """Train a hasher on the training rows of `dataset`.

    Where torch's default process group is initialised, all its processes call this alike, share
    every batch, and return the same hasher.

    Args:
        dataset: images, texts, labels and a split; query rows are never read.
        method: a name in `hashcore.methods.METHODS`.
        bits: width of the codes, K.
        config: the method's configuration; None takes its defaults.
        train: how the training runs; None takes the defaults.

    Returns:
        The trained hasher, on the device that it was trained on.

    Raises:
        ValueError: unknown method, too few rows, or a checkpoint of another run.
        TypeError: a configuration of another method.
        FormatError: the checkpoint to resume from is damaged.
        KeyboardInterrupt: interrupted; the last whole epoch is in `checkpoint_dir`.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {sorted(METHODS)}; got {method!r}")
    if bits < 1:
        raise ValueError(f"bits: expected >= 1; got {bits}")
    entry = METHODS[method]
    config = entry.config() if config is None else config
    if not isinstance(config, entry.config):
        expected = entry.config.__name__
        raise TypeError(f"config: expected {expected}; got {type(config).__name__}")
    train = train or TrainConfig()
    run = _Run(dataset, method, bits, config, train)
    with _own_randomness(run.device):
        hasher = run.run()
        if train.database == "apart":
            hasher.database = _Run(dataset, method, bits, config, train, role="database").run()
        return hasher


class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        dataset: CrossModalDataset,
        method: str,
        bits: int,
        config: Any,
        train: TrainConfig,
        *,
        role: Role = "any",
    ) -> None:
        self.dataset, self.method, self.bits = dataset, method, bits
        self.config, self.train, self.role = config, train, role
        if role == "database":  # which it learns by heart: there is nothing to choose
            directory = train.checkpoint_dir and train.checkpoint_dir / "database"
            self.train = dataclasses.replace(
                train,
                validation=0.0,
                selection="last",
                ensemble=1,
                kernel=0.0,
                checkpoint_dir=directory,
            )
        self.device = _device(train.device)
        self.fitted, self.held_out = carve(dataset.split.train, self.train.validation, train.seed)
        if len(self.fitted) < 2:
            raise ValueError(f"expected at least 2 training rows to fit; got {len(self.fitted)}")
        self.identity = self._identity()
        self.best: dict[str, Tensor] = {}

    def run(self) -> Hasher:
        """All stages, from the start or from the checkpoint."""
        try:
            return self._stages()
        except KeyboardInterrupt:
            if distributed.current().speaks():
                print(f"\n{self._interrupted()}", file=sys.stderr, flush=True)
            raise

    def _stages(self) -> Hasher:
        hasher, course, saved = self._start()
        while True:
            hasher, course = self._stage(hasher, course, saved)
            saved = {}
            if course.stage == "final" or self.train.selection != "refit":
                break
            chosen = Course("final", 0, course.chosen, course.scores, course.chosen)
            hasher, course = self._new(chosen), chosen
        if self.train.selection == "best":
            hasher.load_weights(self.best)
        hasher.network.eval()
        if not isinstance(hasher.network, ClassCoded):
            self._set_label_outputs(hasher)
        return hasher

    def _start(self) -> tuple[Hasher, Course, dict[str, Tensor]]:
        directory = self.train.checkpoint_dir
        if directory is not None and checkpoint.exists(directory):
            if not self.train.resume:
                raise ValueError(
                    f"{directory}: holds a checkpoint already; "
                    "set resume to go on from it, or give another directory"
                )
            return self._resume()
        course = Course("choose" if len(self.held_out) else "final", 0, self.train.epochs)
        return self._new(course), course, {}

    def _resume(self) -> tuple[Hasher, Course, dict[str, Tensor]]:
        directory = self.train.checkpoint_dir
        assert directory is not None
        meta, tensors = checkpoint.read(directory)
        if meta.get("kind") != "training":
            raise FormatError(f"{directory}: not a training's checkpoint")
        if difference := _difference(meta["identity"], self.identity):
            raise ValueError(f"{directory}: the checkpoint is of another run: {difference}")
        self.best = checkpoint.under("best", tensors)
        hasher = Hasher.restore(meta, tensors, directory).to(self.device)
        return hasher, Course.of(meta), tensors

    def _new(self, course: Course) -> Hasher:
        """An untrained hasher with the statistics of the rows of this stage."""
        torch.manual_seed(self.train.seed)
        data, rows = self.dataset, self._fitted(course)
        words = 0 if data.vocabulary is None else len(data.vocabulary)
        image = self._in_role(Preparation.fit(Rows(data.image, rows), data.image_transform))
        text = self._in_role(
            Preparation.fit(Rows(data.text, rows), data.text_transform, vocabulary=words)
        )
        spec = ProblemSpec(image.spec, text.spec, data.labels.shape[1], self.bits)

        def prepared(modality: Modality, some: NDArray[np.int64]) -> Tensor:
            side, array = (image, data.image) if modality == "image" else (text, data.text)
            return side(Rows(array, rows[some])[:])

        network = networks.make(
            self.method,
            self.config,
            spec,
            train=self.train,
            labels=data.labels[rows],
            prepared=prepared,
        ).to(self.device)
        info = {
            "dataset": data.name,
            "split_hash": data.split.hash,
            "rows": len(rows),
            "train": plain(self.train),
        }
        return Hasher(self.method, network, image, text, vocabulary=data.vocabulary, info=info)

    def _in_role(self, side: Preparation) -> Preparation:
        return dataclasses.replace(side, spec=dataclasses.replace(side.spec, role=self.role))

    def _stage(
        self, hasher: Hasher, course: Course, saved: dict[str, Tensor]
    ) -> tuple[Hasher, Course]:
        rows = self._rows(self._fitted(course))
        loop = Loop(hasher, rows, self.train)
        if saved:
            loop.load_state(saved)
        title = f"{self.method} {self.bits} bits{self._purpose(course)}"
        steps = loop.steps_per_epoch
        with Progress(
            title, course.epochs * steps, course.epoch * steps, shown=self.train.progress
        ) as progress:
            while course.epoch < course.epochs and not self._stop_early(course):
                means = loop.epoch(course.epoch, progress.step)
                course.epoch += 1
                course.losses[course.epoch] = means
                self._set_thresholds(hasher, loop)
                scores = self._validate(hasher, rows, course)
                progress.epoch(course.epoch, course.epochs, means, scores)
                self._checkpoint(hasher, course, loop)
        loop.close()
        return hasher, course

    def _validate(self, hasher: Hasher, rows: TrainingRows, course: Course) -> dict[str, float]:
        due = course.epoch % self.train.validate_every == 0 or course.epoch == course.epochs
        if not len(self.held_out) or not due or (course.stage == "final" and course.chosen):
            return {}
        held = self._rows(self.held_out)
        database = rows if self.train.selection_protocol == "encoded" else held
        scores = distributed.current().from_first(lambda: validation_scores(hasher, held, database))
        if course.add(scores) and self.train.selection == "best":
            self.best = {k: v.detach().clone() for k, v in hasher.weights().items()}
        return scores

    def _set_thresholds(self, hasher: Hasher, loop: Loop) -> None:
        if hasher.network.binarisation == "mean":
            image, text = loop.embed_all()
            hasher.set_thresholds(image.mean(dim=0), text.mean(dim=0))

    def _set_label_outputs(self, hasher: Hasher) -> None:
        rows = self._rows(self.dataset.split.train)
        outputs = (hasher.outputs("image", rows.image) + hasher.outputs("text", rows.text)).cpu()
        labels = torch.from_numpy(rows.labels).float()  # [N, C]
        hasher.set_label_outputs(labels.T @ outputs / labels.sum(dim=0).clamp(min=1)[:, None])

    def _checkpoint(self, hasher: Hasher, course: Course, loop: Loop) -> None:
        hasher.info |= {
            "epochs": course.epoch,
            "chosen": course.chosen,
            "scores": course.scores,
            "losses": course.losses,
        }
        if self.train.checkpoint_dir is None:
            return
        meta = {
            "kind": "training",
            **hasher.meta(),
            "identity": self.identity,
            "course": dataclasses.asdict(course),
        }
        tensors = hasher.tensors() | loop.state() | checkpoint.with_prefix("best", self.best)
        directory = self.train.checkpoint_dir
        distributed.current().from_first(lambda: checkpoint.write(directory, meta, tensors))

    def _interrupted(self) -> str:
        where = self.train.checkpoint_dir
        if where is None:
            return "interrupted: nothing is kept (no checkpoint_dir)"
        # The file is asked, not a note of ours: the interrupt may have come between the two.
        meta = checkpoint.read_meta(where) if checkpoint.exists(where) else {}
        if meta.get("kind") != "training":
            return "interrupted: no epoch was complete yet"
        kept = self._describe(Course.of(meta))
        return f"interrupted: {kept} is kept in {where}; resume goes on from there"

    def _stop_early(self, course: Course) -> bool:
        choosing = course.stage == "choose" and self.train.selection != "last"
        return choosing and 0 < self.train.patience <= course.stale()

    def _purpose(self, course: Course) -> str:
        choosing = course.stage == "choose" and self.train.selection == "refit"
        if self.role == "database":
            return ", for the database"
        return ", choosing the epochs" if choosing else ""

    def _describe(self, course: Course) -> str:
        return f"epoch {course.epoch} of {course.epochs}{self._purpose(course)},"

    def _fitted(self, course: Course) -> NDArray[np.int64]:
        return self.fitted if course.stage == "choose" else self.dataset.split.train

    def _rows(self, rows: NDArray[np.int64]) -> TrainingRows:
        data = self.dataset
        return TrainingRows(Rows(data.image, rows), Rows(data.text, rows), data.labels[rows])

    def _identity(self) -> dict[str, Any]:
        data, digest = self.dataset, hashlib.sha256()
        for array in (data.image, data.text, data.labels):
            for part in chunks(Rows(array, data.split.train)):
                digest.update(part.data)
        train = {k: v for k, v in plain(self.train).items() if k not in FREE_TO_DIFFER}
        return {
            "method": self.method,
            "bits": self.bits,
            "config": plain(self.config),
            "train": train,
            "dataset": {"name": data.name, "split": data.split.hash, "rows": digest.hexdigest()},
        }


def carve(
    train: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split training rows into fitted and validation rows, by `seed`; both ascending."""
    order = np.random.default_rng(seed).permutation(len(train))
    held = round(fraction * len(train))
    return np.sort(train[order[held:]]), np.sort(train[order[:held]])


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the caller's random state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = distributed.current().device(torch.device(name))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: {name} asked for; torch {torch.__version__} sees no GPU; use cpu"
        )
    return device


def _difference(saved: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """The entries that differ, as `name: checkpoint X, now Y`."""
    parts: list[str] = []
    for key in sorted(saved.keys() | now.keys()):
        a, b, name = saved.get(key), now.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            parts += [inner] if (inner := _difference(a, b, f"{name}.")) else []
        elif a != b:
            parts.append(f"{name}: checkpoint {a}, now {b}")
    return "; ".join(parts)


def _mean(scores: dict[str, float]) -> float:
    return sum(scores.values()) / len(scores)
