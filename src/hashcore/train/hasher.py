"""The trained thing that users keep."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import hashcore
from hashcore import FormatError, pack
from hashcore._arrays import describe
from hashcore.data import Subwords, Vocabulary, vocabulary_from_json
from hashcore.data.vocabulary import is_captions
from hashcore.methods import ClassCoded, Method, Modality
from hashcore.methods.class_codes import Side
from hashcore.train import checkpoint, networks
from hashcore.train.preprocess import Preparation
from hashcore.train.rows import Rows

_T = TypeVar("_T")


class Hasher:
    """Encodes images and texts into codes of one Hamming space.

    Made by `fit` or `Hasher.load`. Bit k of a code is 1 where output k is above zero (or above its
    training mean, for methods that say so).

    Attributes:
        method: name of the method.
        bits: width of the codes.
        config: the method's configuration.
        vocabulary: turns captions into token ids; None where the texts are features.
        info: where it comes from: data set, split hash, epochs; by epoch, scores and loss terms.
        database: encodes the database rows that were trained on, where others do; else None.
    """

    def __init__(
        self,
        method: str,
        network: Method,
        image: Preparation,
        text: Preparation,
        *,
        vocabulary: Vocabulary | Subwords | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.network = network
        self.vocabulary = vocabulary
        self.info: dict[str, Any] = info or {}
        self.database: Hasher | None = None
        self._label_outputs = torch.empty(0, network.code_bits)
        self._prepare: dict[Modality, Preparation] = {"image": image, "text": text}
        self._threshold: dict[Modality, Tensor] = {
            "image": torch.zeros(network.code_bits),
            "text": torch.zeros(network.code_bits),
        }

    @property
    def bits(self) -> int:
        """Width of the codes."""
        return self.network.code_bits

    @property
    def config(self) -> Any:
        """The method's configuration, a frozen dataclass."""
        return self.network.config

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> Hasher:
        """Move the networks; returns self."""
        self.network.to(device)
        if self.database is not None:
            self.database.to(device)
        return self

    def encode_image(
        self, x: Any, *, batch_size: int = 1024, progress: bool = False
    ) -> NDArray[np.uint8]:
        """Codes of images.

        Args:
            x: float32 `[n, D]` features or uint8 `[n, 3, H, W]` pixels, as in training.
            batch_size: rows encoded at a time.
            progress: show a progress bar on stderr.

        Returns:
            Packed codes, uint8 `[n, ceil(K / 8)]`.

        Raises:
            TypeError: another dtype.
            ValueError: another width, or values that are not finite.
        """
        return self._encode("image", x, batch_size, progress)

    def encode_text(
        self, x: Any, *, batch_size: int = 1024, progress: bool = False
    ) -> NDArray[np.uint8]:
        """Codes of texts.

        Args:
            x: float32 `[n, D]` features, int64 `[n, L]` token ids, or, with a vocabulary, a list
                of n captions.
            batch_size: rows encoded at a time.
            progress: show a progress bar on stderr.

        Returns:
            Packed codes, uint8 `[n, ceil(K / 8)]`.

        Raises:
            TypeError: another dtype, or captions where there is no vocabulary.
            ValueError: another width, an unknown token id, or values that are not finite.
        """
        return self._encode("text", x, batch_size, progress)

    def encode_query(
        self,
        modality: Modality,
        x: Any,
        *,
        labelled: bool = False,
        batch_size: int = 1024,
        progress: bool = False,
    ) -> NDArray[np.uint8]:
        """Codes to search what `encode_database` or `encode_labels` encoded.

        They differ from `encode_image` and `encode_text` where the database's codes follow its
        labels: with codes of classes, and networks apart or labels encoded.

        Args:
            modality: of the queries.
            x: as `encode_image` or `encode_text` take.
            labelled: the database was encoded by `encode_labels`.
            batch_size: rows encoded at a time.
            progress: show a progress bar on stderr.

        Returns:
            Packed codes, uint8 `[n, ceil(K / 8)]`.
        """
        follows_labels = labelled or self.database is not None
        side: Side | None = "query" if follows_labels else None
        return self._encode(modality, x, batch_size, progress, side)

    def encode_database(
        self,
        modality: Modality,
        x: Any,
        *,
        trained: bool = True,
        batch_size: int = 1024,
        progress: bool = False,
    ) -> NDArray[np.uint8]:
        """Codes of database rows, which differ from the others with codes of classes.

        Args:
            modality: of the rows.
            x: as `encode_image` or `encode_text` take.
            trained: the rows were trained on: networks apart encode them, where there are any.
            batch_size: rows encoded at a time.
            progress: show a progress bar on stderr.

        Returns:
            Packed codes, uint8 `[n, ceil(K / 8)]`.
        """
        hasher = (self.database if trained else None) or self
        return hasher._encode(modality, x, batch_size, progress, "database")

    def encode_labels(self, labels: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Codes of items of which only the labels count: no feature is read.

        With codes of classes, those of the labels; otherwise the sign of the sum of the classes'
        mean outputs over the training rows.

        Args:
            labels: bool `[n, C]`.

        Returns:
            Packed codes, uint8 `[n, ceil(K / 8)]`.

        Raises:
            ValueError: another shape or dtype, or a hasher out of an unfinished training.
        """
        classes = self.network.spec.classes
        if labels.dtype != np.bool_ or labels.shape[1:] != (classes,):
            raise ValueError(f"labels: expected bool [n, {classes}]; got {describe(labels)}")
        rows = torch.from_numpy(labels).float()
        if isinstance(self.network, ClassCoded):
            with torch.no_grad():
                return pack(self.network.encoder(rows.to(self.device)).cpu().numpy())
        if len(self._label_outputs) != classes:
            raise ValueError("labels: no codes of them yet: the training has not ended")
        return pack((rows @ self._label_outputs).numpy())

    def encode_image_real(
        self, x: Any, *, batch_size: int = 1024, progress: bool = False
    ) -> NDArray[np.float32]:
        """Real-valued embeddings of images, float32 `[n, K]`; arguments as `encode_image`."""
        return self.embed("image", x, batch_size, progress).cpu().numpy()

    def encode_text_real(
        self, x: Any, *, batch_size: int = 1024, progress: bool = False
    ) -> NDArray[np.float32]:
        """Real-valued embeddings of texts, float32 `[n, K]`; arguments as `encode_text`."""
        return self.embed("text", x, batch_size, progress).cpu().numpy()

    def embed(
        self, modality: Modality, x: Any, batch_size: int = 1024, progress: bool = False
    ) -> Tensor:
        """Real-valued embeddings `[n, K]` on the networks' device, in evaluation mode."""
        encode = self._encoder(modality)
        return torch.cat(
            self._batches(encode, modality, x, batch_size, progress, keep=lambda part: part)
        )

    def _encoder(self, modality: Modality) -> Callable[[Tensor], Tensor]:
        return self.network.encode_image if modality == "image" else self.network.encode_text

    def _batches(
        self,
        encode: Callable[[Tensor], Tensor],
        modality: Modality,
        x: Any,
        batch_size: int,
        progress: bool,
        *,
        keep: Callable[[Tensor], _T],
    ) -> list[_T]:
        """What `keep` makes of the outputs of each batch; the first batch is empty."""
        if batch_size < 1:
            raise ValueError(f"batch_size: expected >= 1; got {batch_size}")
        rows = self._rows(modality, x)
        training = self.network.training
        self.network.eval()
        parts = [keep(torch.empty(0, self.network.code_bits, device=self.device))]
        try:
            starts = range(0, len(rows), batch_size)
            with torch.no_grad():
                for start in tqdm(starts, f"encode {modality}", disable=not progress):
                    batch = self.prepare(modality, rows[start : start + batch_size])
                    parts.append(keep(encode(batch)))
        finally:
            self.network.train(training)
        return parts

    def outputs(
        self, modality: Modality, x: Any, batch_size: int = 1024, progress: bool = False
    ) -> Tensor:
        """What the bits are the signs of: embeddings above the thresholds, `[n, K]` there too."""
        threshold = self._threshold[modality].to(self.device)
        return self.embed(modality, x, batch_size, progress) - threshold

    def prepare(self, modality: Modality, rows: NDArray[Any]) -> Tensor:
        """Rows of the right kind, checked, transformed, standardised, on the networks' device."""
        self._prepare[modality].check_values(rows, modality)
        return self._prepare[modality](rows).to(self.device)

    def set_thresholds(self, image: Tensor, text: Tensor) -> None:
        """Put the bit thresholds at `[K]` values for methods that do not cut at zero."""
        self._threshold = {"image": image.cpu(), "text": text.cpu()}

    def weights(self) -> dict[str, Tensor]:
        """What training moves: the networks and the thresholds, as named tensors."""
        thresholds = checkpoint.with_prefix(
            "threshold", {str(name): value for name, value in self._threshold.items()}
        )
        return checkpoint.with_prefix("model", self.network.state_dict()) | thresholds

    def load_weights(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `weights` gave."""
        self.network.load_state_dict(checkpoint.under("model", tensors))
        self.set_thresholds(tensors["threshold.image"], tensors["threshold.text"])

    def set_label_outputs(self, outputs: Tensor) -> None:
        """Take the mean outputs of each class, above the thresholds, `[C, K]`."""
        self._label_outputs = outputs.cpu()

    def save(self, path: str | Path) -> None:
        """Write to directory `path`, atomically; a hasher that is there is replaced."""
        checkpoint.write(Path(path), {"kind": "hasher", **self.meta()}, self.tensors())

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> Hasher:
        """Read a hasher that `save` wrote, or the latest state of a training's checkpoint.

        Raises:
            FileNotFoundError: there is nothing at `path`.
            FormatError: it is foreign, truncated, altered or of a newer version.
        """
        meta, tensors = checkpoint.read(Path(path))
        return cls.restore(meta, tensors, Path(path)).to(device)

    @classmethod
    def restore(cls, meta: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> Hasher:
        """Rebuild a hasher from the two halves of a checkpoint."""
        try:
            network = networks.rebuild(meta)
            prepare = [
                Preparation(
                    spec,
                    meta["inputs"][m]["transform"],
                    tensors[f"input.{m}.mean"],
                    tensors[f"input.{m}.scale"],
                )
                for m, spec in (("image", network.spec.image), ("text", network.spec.text))
            ]
            hasher = cls(meta["method"], network, *prepare, info=meta["info"])
            hasher.load_weights(tensors)
            hasher.set_label_outputs(tensors["label_outputs"])
            if meta["database"] is not None:
                of_database = checkpoint.under("database", tensors)
                hasher.database = cls.restore(meta["database"], of_database, path)
            if meta["vocabulary"] is not None:
                hasher.vocabulary = vocabulary_from_json(meta["vocabulary"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FormatError(f"{path}: not a complete hasher: {error}") from error
        network.eval()
        return hasher

    def meta(self) -> dict[str, Any]:
        """The JSON half of a checkpoint."""
        inputs = {
            name: {**dataclasses.asdict(p.spec), "transform": p.transform}
            for name, p in self._prepare.items()
        }
        return {
            "method": self.method,
            **networks.record(self.network),
            "database": None if self.database is None else self.database.meta(),
            "inputs": inputs,
            "vocabulary": None if self.vocabulary is None else self.vocabulary.to_json(),
            "versions": {
                "hashcore": hashcore.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "info": self.info,
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensor half of a checkpoint."""
        out = self.weights()
        for name, prepare in self._prepare.items():
            out[f"input.{name}.mean"] = prepare.mean
            out[f"input.{name}.scale"] = prepare.scale
        out["label_outputs"] = self._label_outputs
        if self.database is not None:
            out |= checkpoint.with_prefix("database", self.database.tensors())
        return out

    def __repr__(self) -> str:
        image, text = (self._prepare[m].spec for m in ("image", "text"))
        return (
            f"Hasher(method={self.method!r}, bits={self.bits}, "
            f"image={image.kind} {list(image.shape)}, text={text.kind} {list(text.shape)})"
        )

    def _rows(self, modality: Modality, x: Any) -> NDArray[Any] | Rows:
        if modality == "text" and is_captions(x):
            if self.vocabulary is None:
                raise TypeError(
                    f"text: expected {self._prepare['text'].expected}; got captions, "
                    "and this hasher has no vocabulary"
                )
            x = self.vocabulary.encode(list(x))
        return self._prepare[modality].check(x, modality)

    def _encode(
        self,
        modality: Modality,
        x: Any,
        batch_size: int,
        progress: bool,
        side: Side | None = None,
    ) -> NDArray[np.uint8]:
        threshold, encode = self._threshold[modality], self._encoder(modality)
        if side is not None and isinstance(self.network, ClassCoded):
            encode = partial(self.network.encode_side, side, modality)

        def packed(part: Tensor) -> NDArray[np.uint8]:
            return pack((part.cpu() - threshold).numpy())

        return np.concatenate(self._batches(encode, modality, x, batch_size, progress, keep=packed))
