from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hashcore import FormatError
from hashcore.methods import DRHCConfig, DTHConfig
from hashcore.train import TrainConfig, checkpoint

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.tensor([1, 2], dtype=torch.int64)}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "kept"
    checkpoint.write(path, {"kind": "test", "note": "ü"}, TENSORS)
    return path


def tensor_file(path: Path) -> Path:
    (file,) = path.glob("tensors-*.safetensors")
    return file


def test_round_trip(written: Path) -> None:
    meta, tensors = checkpoint.read(written)
    assert (meta["kind"], meta["note"]) == ("test", "ü")
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_only_json_and_safetensors_are_left(written: Path) -> None:
    for i in range(3):
        checkpoint.write(written, {}, {"a": torch.tensor([i])})
    assert sorted(file.suffix for file in written.iterdir()) == [".json", ".safetensors"]


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    one = torch.ones(3)
    checkpoint.write(tmp_path / "x", {}, {"a": one, "b": one})
    assert torch.equal(checkpoint.read(tmp_path / "x")[1]["b"], one)


@pytest.mark.parametrize("keep", [0, 1, 10, 60])
def test_truncated_tensors(written: Path, keep: int) -> None:
    file = tensor_file(written)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(FormatError, match="truncated or altered"):
        checkpoint.read(written)


def test_altered_tensors(written: Path) -> None:
    file = tensor_file(written)
    blob = bytearray(file.read_bytes())
    blob[-1] ^= 1
    file.write_bytes(blob)
    with pytest.raises(FormatError, match="truncated or altered"):
        checkpoint.read(written)


def test_missing_tensors(written: Path) -> None:
    tensor_file(written).unlink()
    with pytest.raises(FormatError, match="is missing"):
        checkpoint.read(written)


@pytest.mark.parametrize("content", [b"", b'{"format": "hashc', b"\xff\xfe\x00", b"[1]", b"{}"])
def test_damaged_or_foreign_json(written: Path, content: bytes) -> None:
    (written / checkpoint.JSON_NAME).write_bytes(content)
    with pytest.raises(FormatError):
        checkpoint.read(written)


def test_newer_version(written: Path) -> None:
    file = written / checkpoint.JSON_NAME
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 99}))
    with pytest.raises(FormatError, match="expected version 1; got 99"):
        checkpoint.read(written)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd"])
def test_tensor_file_outside_the_directory(written: Path, name: str) -> None:
    (written.parent / "secret.safetensors").write_bytes(b"x")
    file = written / checkpoint.JSON_NAME
    meta = json.loads(file.read_text())
    meta["tensors"]["file"] = name
    file.write_text(json.dumps(meta))
    with pytest.raises(FormatError, match="damaged"):
        checkpoint.read(written)


def test_nothing_and_foreign_places(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        checkpoint.read(tmp_path / "absent")
    with pytest.raises(FormatError, match="not a checkpoint"):
        checkpoint.read(tmp_path)
    file = tmp_path / "model.pt"
    file.write_bytes(b"PK")
    with pytest.raises(FormatError, match="not a checkpoint"):
        checkpoint.read(file)
    with pytest.raises(NotADirectoryError, match="expected a directory"):
        checkpoint.write(file, {}, TENSORS)


def test_an_interrupted_write_leaves_the_state_before(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace

    def dies_before_the_json(self: Path, target: Path) -> Path:
        if target.name == checkpoint.JSON_NAME:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", dies_before_the_json)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(written, {"kind": "later"}, {"a": torch.zeros(9)})
    monkeypatch.undo()
    meta, tensors = checkpoint.read(written)
    assert meta["kind"] == "test"
    assert torch.equal(tensors["a"], TENSORS["a"])


@pytest.mark.parametrize(
    "config", [DTHConfig(margin=0.3, head="tanh"), DRHCConfig(common=7), TrainConfig(epochs=3)]
)
def test_configs_from_json(config: object) -> None:
    import dataclasses

    data = json.loads(json.dumps(dataclasses.asdict(config)))  # type: ignore[call-overload]
    assert checkpoint.from_json(type(config), data) == config


def test_config_with_an_unknown_field() -> None:
    with pytest.raises(FormatError, match=r"DTHConfig: unknown fields \['marge'\]"):
        checkpoint.from_json(DTHConfig, {"marge": 1})
