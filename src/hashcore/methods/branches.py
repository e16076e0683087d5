"""The network of one modality, chosen from the kind of its data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hashcore.methods.backbones import Backbone, image_backbone, text_backbone
from hashcore.methods.base import InputSpec


@dataclass(frozen=True)
class BranchConfig:
    """Widths of the branches; each kind of data reads its own fields."""

    hidden: tuple[int, ...] = (1024, 512)
    """Widths of the Linear-BN-ReLU layers over features; the last is also the width that the
    pixel and token branches end in."""
    dropout: float = 0.0
    """Dropout after every hidden layer. More of it generalises better and memorises less."""
    database_dropout: float = 0.0
    """The same of a branch that only ever encodes database rows that were trained on."""
    leak: float = 0.0
    """Slope of the hidden layers' ReLU below zero."""
    pixel_channels: tuple[int, ...] = (16, 32, 64)
    """Channels of the convolutions over pixels; each halves the image."""
    pixel_model: str = "cnn"
    """Over pixels: a small network of convolutions, or one of another library (extra backbones):
    "timm:MODEL", "transformers:MODEL" or "open_clip:ARCHITECTURE/WEIGHTS"."""
    token_model: str = "textcnn"
    """Over tokens: "textcnn", convolutions over word windows; "bow", the mean of word vectors; or
    "transformers:MODEL" over its own sub-words, which hashcore.data.tokenise makes of captions."""
    pretrained: bool = True
    """Networks of other libraries start from their published weights, not from random ones."""
    frozen: bool = True
    """Networks of other libraries stay as they are; off: they are trained with the rest."""
    token_embedding: int = 64
    """Width of a word vector."""
    token_windows: tuple[int, ...] = (1, 2)
    """Window lengths, in words, of the text convolutions."""
    token_filters: int = 128
    """Filters per window length."""


class Branch(nn.Module):
    """Base of the branches: maps a batch to `[B, width]`."""

    width: int


def hidden_layers(widths: tuple[int, ...], dropout: float, leak: float = 0.0) -> nn.Sequential:
    """Linear-BN-ReLU(-Dropout) from each width to the next; `leak`: the slope below zero."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after)]
        layers.append(nn.LeakyReLU(leak) if leak else nn.ReLU())
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


class FeatureBranch(Branch):
    """Linear-BN-ReLU layers over feature vectors, float32 `[B, D]`."""

    def __init__(self, spec: InputSpec, config: BranchConfig) -> None:
        super().__init__()
        self.layers = hidden_layers((spec.shape[0], *config.hidden), config.dropout, config.leak)
        self.width = config.hidden[-1]

    def forward(self, x: Tensor) -> Tensor:
        """`[B, D]` -> `[B, width]`."""
        out: Tensor = self.layers(x)
        return out


class PixelBranch(Branch):
    """A small convolutional network over standardised pixels, float32 `[B, 3, H, W]`.

    Mean and maximum over the positions together say how much of a thing there is and whether it
    is there at all.
    """

    def __init__(self, spec: InputSpec, config: BranchConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((spec.shape[0], *config.pixel_channels)):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.width = config.hidden[-1]
        pooled = 2 * config.pixel_channels[-1]
        self.top = hidden_layers((pooled, self.width), config.dropout, config.leak)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 3, H, W]` -> `[B, width]`."""
        maps: Tensor = self.convolutions(x.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.top(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))
        return out


class TokenBranch(Branch):
    """Word vectors under TextCNN or averaged, int64 `[B, L]`, 0 = padding.

    Trailing padding never changes the result.
    """

    def __init__(self, spec: InputSpec, config: BranchConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocabulary, config.token_embedding, padding_idx=0)
        self.windows = nn.ModuleList(
            nn.Conv1d(config.token_embedding, config.token_filters, length)
            for length in (config.token_windows if config.token_model == "textcnn" else ())
        )
        joined = len(self.windows) * config.token_filters or config.token_embedding
        self.width = config.hidden[-1]
        self.top = hidden_layers((joined, self.width), config.dropout, config.leak)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, L]` -> `[B, width]`."""
        real = tokens != 0  # [B, L]
        words: Tensor = self.embedding(tokens)  # [B, L, E]
        if self.windows:
            pooled = torch.cat([_pool(window, words, real) for window in self.windows], dim=1)
        else:
            counts = real.sum(dim=1, keepdim=True).clamp(min=1)
            pooled = (words * real[..., None]).sum(dim=1) / counts
        out: Tensor = self.top(pooled)
        return out


class BackboneBranch(Branch):
    """A network of another library, then Linear-BN-ReLU."""

    def __init__(self, backbone: Backbone, config: BranchConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = config.hidden[-1]
        self.top = hidden_layers((backbone.width, self.width), config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels or tokens -> `[B, width]`."""
        out: Tensor = self.top(self.backbone(x))
        return out


def _pool(window: nn.Module, words: Tensor, real: Tensor) -> Tensor:
    """Maximum of one convolution over the windows that start at a word, `[B, filters]`."""
    length = int(window.kernel_size[0])  # type: ignore[index]
    hits = F.relu(window(F.pad(words.transpose(1, 2), (0, length - 1))))  # [B, filters, L]
    return (hits * real[:, None]).amax(dim=2)


def output_layers(width: int, bits: int, *, normalise: bool) -> nn.Sequential:
    """Linear from `width` to `bits` outputs.

    Args:
        width: inputs.
        bits: outputs, K.
        normalise: bring every output to mean 0 and variance 1 over the batch. It keeps codes from
            collapsing into one and every bit near half ones.
    """
    layers: list[nn.Module] = [nn.Linear(width, bits)]
    if normalise:
        layers.append(nn.BatchNorm1d(bits, affine=False))
    return nn.Sequential(*layers)


def build_branch(spec: InputSpec, config: BranchConfig) -> Branch:
    """The branch for one modality's kind of data."""
    if not config.hidden:
        raise ValueError("hidden: expected at least one width; got ()")
    if spec.role == "database":
        config = replace(config, dropout=config.database_dropout)
    if spec.kind == "pixels" and config.pixel_model != "cnn":
        image = image_backbone(
            config.pixel_model, pretrained=config.pretrained, frozen=config.frozen
        )
        return BackboneBranch(image, config)
    if spec.kind == "tokens" and config.token_model not in ("textcnn", "bow"):
        text = text_backbone(
            config.token_model,
            spec.shape[0],
            spec.vocabulary,
            pretrained=config.pretrained,
            frozen=config.frozen,
        )
        return BackboneBranch(text, config)
    kinds: dict[str, type[FeatureBranch] | type[PixelBranch] | type[TokenBranch]] = {
        "features": FeatureBranch,
        "pixels": PixelBranch,
        "tokens": TokenBranch,
    }
    return kinds[spec.kind](spec, config)


class Features(Branch):
    """Feature vectors as they are, float32 `[B, D]`."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.width = spec.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """`[B, D]` -> `[B, D]`."""
        return x


def build_stem(spec: InputSpec, config: BranchConfig) -> Branch:
    """One modality's data as vectors: features stay, pixels and tokens pass their branch."""
    return Features(spec) if spec.kind == "features" else build_branch(spec, config)
