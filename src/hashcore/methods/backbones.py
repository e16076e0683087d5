"""Networks of other libraries under a branch, imported when they are asked for.

A model is named "library:model":

    "timm:resnet18", "timm:vit_small_patch14_dinov2"     images, by timm
    "open_clip:ViT-B-32/laion2b_s34b_b79k"               images, architecture/weights, by open_clip
    "transformers:facebook/dinov2-small"                 images, by transformers
    "transformers:sentence-transformers/all-MiniLM-L6-v2"   texts, by transformers

Models of transformers may be a local folder. A network is restored from a checkpoint with
`restoring`, which fetches nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_restored: ContextVar[Mapping[str, Any] | None] = ContextVar("restored", default=None)


class Backbone(nn.Module):
    """A network of another library: pixels or tokens to a vector a row, `[B, width]`.

    A frozen one takes no gradient and stays in evaluation mode.
    """

    width: int

    def __init__(self, name: str, network: nn.Module, *, frozen: bool) -> None:
        super().__init__()
        self.name, self.network, self.frozen = name, network, frozen
        if frozen:
            network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Backbone:
        """As of any module, except for a frozen network."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def architecture(self) -> Any:
        """What `restoring` needs to know beside the name, as plain JSON values."""
        config: Any = getattr(self.network, "config", None)
        return config.to_dict() if hasattr(config, "to_dict") else None


class ImageBackbone(Backbone):
    """Standardised pixels `[B, 3, H, W]`, resized to what the network was made for.

    The statistics of the training pixels stand for those that the network was trained with.
    """

    def __init__(self, name: str, network: nn.Module, size: tuple[int, int], *, frozen: bool):
        super().__init__(name, network, frozen=frozen)
        self.size = size
        training = network.training
        with torch.no_grad():
            self.width = _pooled(network.eval()(torch.zeros(1, 3, *size))).shape[1]
        network.train(training)

    def forward(self, pixels: Tensor) -> Tensor:
        """`[B, 3, H, W]` -> `[B, width]`."""
        if pixels.shape[2:] != self.size:
            pixels = F.interpolate(pixels, self.size, mode="bilinear", antialias=True)
        return _pooled(self.network(pixels))


class TextBackbone(Backbone):
    """Sub-words `[B, L]`, ids moved up by one, 0 = padding; the mean of their last states."""

    def __init__(self, name: str, network: nn.Module, length: int, ids: int, *, frozen: bool):
        super().__init__(name, network, frozen=frozen)
        config: Any = network.config
        # Some networks round their vocabulary up.
        if not config.vocab_size - 128 < ids - 1 <= config.vocab_size:
            raise ValueError(
                f"token_model {name}: expected the {config.vocab_size} sub-words of its own "
                f"tokenizer; got a vocabulary of {ids}. "
                "hashcore.data.tokenise(dataset, MODEL) makes them from captions"
            )
        most = getattr(config, "max_position_embeddings", length)
        if length > most:
            raise ValueError(f"token_model {name}: takes {most} tokens at most; got {length}")
        self.width = int(config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, L]` -> `[B, width]`."""
        real = tokens != 0  # [B, L]
        states = self.network(input_ids=(tokens - 1).clamp(min=0), attention_mask=real.long())
        weight = real[..., None].to(states.last_hidden_state)
        total = (states.last_hidden_state * weight).sum(dim=1)
        out: Tensor = total / weight.sum(dim=1).clamp(min=1)
        return out


@contextlib.contextmanager
def restoring(architectures: Mapping[str, Any]) -> Iterator[None]:
    """Inside, networks are built as `architectures` told, for weights that are loaded next."""
    token = _restored.set(architectures)
    try:
        yield
    finally:
        _restored.reset(token)


def architectures(module: nn.Module) -> dict[str, Any]:
    """Of every backbone in `module`, by name, what `restoring` needs."""
    return {m.name: m.architecture() for m in module.modules() if isinstance(m, Backbone)}


def image_backbone(name: str, *, pretrained: bool, frozen: bool) -> ImageBackbone:
    """The network that `name` says.

    Raises:
        ValueError: no library of this name, or no such model or weights.
        ModuleNotFoundError: the library is not installed.
    """
    library, _, model = name.partition(":")
    builders: dict[str, Callable[[str, str, bool], tuple[nn.Module, tuple[int, int]]]] = {
        "timm": _timm,
        "open_clip": _open_clip,
        "transformers": _transformers_image,
    }
    if library not in builders or not model:
        known = ", ".join(f'"{library}:MODEL"' for library in builders)
        raise ValueError(f'pixel_model: expected "cnn" or one of {known}; got "{name}"')
    with _explained(name):
        network, size = builders[library](name, model, pretrained and _restored.get() is None)
    return ImageBackbone(name, network, size, frozen=frozen)


def text_backbone(
    name: str, length: int, ids: int, *, pretrained: bool, frozen: bool
) -> TextBackbone:
    """The encoder that `name` says, for rows of `length` tokens below `ids`.

    Raises:
        ValueError: another library, no such model, or tokens that are not of its tokenizer.
        ModuleNotFoundError: transformers is not installed.
    """
    library, _, model = name.partition(":")
    if library != "transformers" or not model:
        raise ValueError(
            f'token_model: expected "textcnn", "bow" or "transformers:MODEL"; got "{name}"'
        )
    with _explained(name):
        network = _transformers(name, model, pretrained and _restored.get() is None)
    network = getattr(network, "text_model", network)
    return TextBackbone(name, network, length, ids, frozen=frozen)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Errors of the libraries as one that names the model."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: cannot be loaded: {type(error).__name__}: {reason}") from error


def _timm(name: str, model: str, pretrained: bool) -> tuple[nn.Module, tuple[int, int]]:
    import timm

    network: Any = timm.create_model(model, pretrained=pretrained, num_classes=0)
    _, height, width = network.pretrained_cfg["input_size"]
    return network, (height, width)


def _open_clip(name: str, model: str, pretrained: bool) -> tuple[nn.Module, tuple[int, int]]:
    import open_clip

    architecture, _, weights = model.partition("/")
    if pretrained and not weights:
        raise ValueError("expected open_clip:ARCHITECTURE/WEIGHTS")
    whole: Any = open_clip.create_model(
        architecture, pretrained=weights if pretrained else None, pretrained_text=False
    )
    height, width = whole.visual.image_size
    return whole.visual, (height, width)


def _transformers_image(
    name: str, model: str, pretrained: bool
) -> tuple[nn.Module, tuple[int, int]]:
    network = _transformers(name, model, pretrained)
    network = getattr(network, "vision_model", network)
    size = getattr(network.config, "image_size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return network, (height, width)


def _transformers(name: str, model: str, pretrained: bool) -> Any:
    from transformers import AutoConfig, AutoModel

    models: Any = AutoModel  # some of its methods have no types
    if pretrained:
        return models.from_pretrained(model)
    if (told := _restored.get()) is not None:
        return models.from_config(AutoConfig.for_model(**told[name]))
    return models.from_config(AutoConfig.from_pretrained(model))


def _pooled(output: Any) -> Tensor:
    """One vector a row, `[B, F]`, of what an image network gives."""
    if not isinstance(output, Tensor):
        pooled = getattr(output, "pooler_output", None)
        output = output.last_hidden_state.mean(dim=1) if pooled is None else pooled
    out: Tensor = output.flatten(1)
    return out
