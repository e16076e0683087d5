"""Networks of other libraries, on tiny ones with random weights."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hashcore import FormatError
from hashcore.data import CrossModalDataset, Subwords, tokenise, vocabulary_from_json
from hashcore.methods import BranchConfig, DTHConfig, InputSpec
from hashcore.methods.backbones import Backbone
from hashcore.methods.branches import build_branch
from hashcore.train import Hasher, TrainConfig, fit
from train.synthetic import make_scenes

PIXELS = InputSpec("pixels", (3, 8, 8))
QUICK = TrainConfig(epochs=1, batch_size=24, validation=0.0, selection="last", progress=False)
WORDS = ["[PAD]", "[MASK]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "green", "blue", "squ", "##are"]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is opened."""

    def refused(*args: Any) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr("socket.socket.connect", refused)


@pytest.fixture
def vit(tmp_path: Path) -> str:
    """A local image model of transformers, 16 wide."""
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(**size, intermediate_size=16, image_size=16, patch_size=8)
    transformers.ViTModel(config).save_pretrained(tmp_path / "vit")
    return f"transformers:{tmp_path / 'vit'}"


@pytest.fixture
def bert(tmp_path: Path) -> str:
    """A local text model of transformers with its tokenizer, 16 wide."""
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=len(WORDS), **size, intermediate_size=16, max_position_embeddings=12
    )
    folder = tmp_path / "bert"
    transformers.BertModel(config).save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    transformers.BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def timm_model() -> str:
    pytest.importorskip("timm")
    return "timm:test_resnet"


@pytest.fixture
def clip_model(tmp_path: Path) -> str:
    """A tiny architecture under the name of its file."""
    open_clip = pytest.importorskip("open_clip")
    vision = {"layers": 1, "width": 64, "head_width": 64, "patch_size": 8, "image_size": 16}
    text = {"context_length": 8, "vocab_size": 99, "width": 64, "heads": 1, "layers": 1}
    document = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "tiny-clip.json").write_text(json.dumps(document))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    return "open_clip:tiny-clip"


def config(**changes: Any) -> BranchConfig:
    return BranchConfig(hidden=(12,), pixel_channels=(4,), token_embedding=4, **changes)


def train(data: CrossModalDataset, **changes: Any) -> Hasher:
    return fit(data, "dth", 16, DTHConfig(branch=config(**changes)), QUICK)


def weights(hasher: Hasher) -> dict[str, torch.Tensor]:
    state = hasher.network.state_dict()
    return {k: v.clone() for k, v in state.items() if ".backbone." in k}


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("kind", ["timm_model", "vit", "clip_model"])
@pytest.mark.parametrize("frozen", [True, False])
def test_images_train_and_restore_without_the_network(
    kind: str, frozen: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = request.getfixturevalue(kind)
    data = make_scenes()
    torch.manual_seed(QUICK.seed)
    start = build_branch(PIXELS, config(pixel_model=name, pretrained=kind == "vit", frozen=frozen))
    hasher = train(data, pixel_model=name, pretrained=kind == "vit", frozen=frozen)
    held = weights(hasher)
    assert held
    before = {f"image_branch.{k}": v for k, v in start.state_dict().items()}
    same = [torch.equal(before[key], value) for key, value in held.items()]
    assert all(same) if frozen else not all(same)
    hasher.save(tmp_path / "hasher")
    if kind == "vit":  # nothing of the model is needed but the checkpoint
        (tmp_path / "vit").rename(tmp_path / "moved")
    loaded = Hasher.load(tmp_path / "hasher")
    outputs = hasher.encode_image_real(data.image)
    assert np.array_equal(loaded.encode_image_real(data.image), outputs)
    assert (outputs.std(axis=0) > 0).all()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("frozen", [True, False])
def test_captions_train_and_restore_without_the_network(
    frozen: bool, bert: str, tmp_path: Path
) -> None:
    scenes = make_scenes()
    data = tokenise(scenes, bert, max_length=7)
    assert data.text.shape == (96, 7)
    first = [WORDS[i - 1] for i in data.text[0] if i]
    assert first[:2] == ["[CLS]", "a"]
    assert first[-3:] == ["squ", "##are", "[SEP]"]
    hasher = train(data, token_model=f"transformers:{bert}", frozen=frozen)
    hasher.save(tmp_path / "hasher")
    Path(bert).rename(tmp_path / "moved")
    loaded = Hasher.load(tmp_path / "hasher")
    outputs = hasher.encode_text_real(data.text)
    assert (outputs.std(axis=0) > 0).all()
    assert np.array_equal(loaded.encode_text_real(data.text), outputs)
    assert np.array_equal(loaded.encode_text_real(list(scenes.captions)), outputs)
    assert loaded.vocabulary == hasher.vocabulary


@pytest.mark.parametrize("mode", [True, False])
def test_a_frozen_network_stays_in_evaluation_mode(mode: bool, timm_model: str) -> None:
    branch = build_branch(PIXELS, config(pixel_model=timm_model, pretrained=False)).train(mode)
    (backbone,) = (m for m in branch.modules() if isinstance(m, Backbone))
    assert not any(m.training for m in backbone.network.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert branch.training == mode


def test_text_outputs_are_means_over_the_real_tokens(bert: str) -> None:
    spec = InputSpec("tokens", (6,), len(WORDS) + 1)
    branch = build_branch(spec, config(token_model=f"transformers:{bert}")).eval()
    (backbone,) = (m for m in branch.modules() if isinstance(m, Backbone))
    tokens = torch.tensor([[3, 6, 9, 4, 0, 0], [3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    found = backbone(tokens)
    for row in (0, 1):
        ids = tokens[row][tokens[row] != 0] - 1
        states = backbone.network(input_ids=ids[None]).last_hidden_state
        torch.testing.assert_close(found[row], states[0].mean(dim=0), atol=1e-5, rtol=1e-5)
    assert (found[2] == 0).all()


def test_words_are_no_subwords(bert: str) -> None:
    with pytest.raises(ValueError, match=r"expected the 11 sub-words of its own .*tokenise"):
        build_branch(InputSpec("tokens", (6,), 99), config(token_model=f"transformers:{bert}"))
    with pytest.raises(ValueError, match="takes 12 tokens at most; got 13"):
        build_branch(InputSpec("tokens", (13,), 12), config(token_model=f"transformers:{bert}"))
    data = make_scenes()
    with pytest.raises(ValueError, match="no captions"):
        tokenise(dataclasses.replace(data, captions=()), bert)


def test_subwords_as_json(bert: str) -> None:
    subwords = Subwords.of_model(bert, 5)
    again = vocabulary_from_json(subwords.to_json())
    assert again == subwords
    assert np.array_equal(again.encode(["a red square"]), subwords.encode(["a red square"]))
    with pytest.raises(ValueError, match="not the description of a tokenizer"):
        Subwords("{}", 5)
    with pytest.raises(ValueError, match="max_length must be >= 1"):
        Subwords.of_model(bert, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_model": "resnet18"}, 'pixel_model: expected "cnn" or one of "timm:MODEL"'),
        ({"pixel_model": "torch:resnet18"}, 'got "torch:resnet18"'),
        ({"token_model": "gru"}, 'token_model: expected "textcnn", "bow" or "transformers:MODEL"'),
    ],
)
def test_names_that_do_not_exist(changes: dict[str, str], message: str) -> None:
    for spec in (PIXELS, InputSpec("tokens", (4,), 9)):
        if spec.kind == ("pixels" if "pixel_model" in changes else "tokens"):
            with pytest.raises(ValueError, match=message):
                build_branch(spec, config(**changes))


def test_models_that_cannot_be_loaded(timm_model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="timm:no_such_model: cannot be loaded"):
        build_branch(PIXELS, config(pixel_model="timm:no_such_model", pretrained=False))
    hasher = train(make_scenes(), pixel_model=timm_model, pretrained=False)
    hasher.save(tmp_path)
    file = tmp_path / "checkpoint.json"
    file.write_text(file.read_text().replace("timm:test_resnet", "timm:test_vit"))
    with pytest.raises(FormatError, match="not a complete hasher"):
        Hasher.load(tmp_path)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match="timm"):
        build_branch(PIXELS, config(pixel_model="timm:resnet18"))
