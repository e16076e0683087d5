"""Checkpoints: a directory with one JSON file and one safetensors file, replaced atomically.

`checkpoint.json` names the tensor file and its SHA-256. A new state writes its tensors under a new
name first and then replaces the JSON, so at every moment the JSON belongs to complete tensors; a
kill leaves the state before or the state after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import safetensors
import safetensors.torch
from torch import Tensor

from hashcore import FormatError
from hashcore._files import replacing

FORMAT = "hashcore-checkpoint"
VERSION = 1
JSON_NAME = "checkpoint.json"
_T = TypeVar("_T")


def write(path: Path, meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Replace the checkpoint in directory `path`, or create it."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path}: expected a directory for the checkpoint; got a file")
    path.mkdir(parents=True, exist_ok=True)
    blob = safetensors.torch.save({k: _flat(v) for k, v in tensors.items()})
    digest = hashlib.sha256(blob).hexdigest()
    name = f"tensors-{digest[:16]}.safetensors"
    with replacing(path / name) as stream:
        stream.write(blob)
    header = {"format": FORMAT, "version": VERSION, "tensors": {"file": name, "sha256": digest}}
    text = json.dumps({**header, **meta}, indent=1, ensure_ascii=False)
    with replacing(path / JSON_NAME) as stream:
        stream.write(text.encode())
    for stale in path.glob("tensors-*.safetensors*"):
        if stale.name != name:
            stale.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Whether directory `path` holds a checkpoint."""
    return (path / JSON_NAME).is_file()


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Meta data and tensors of the checkpoint in directory `path`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        FormatError: what is there is no checkpoint, is damaged, or is of a newer version.
    """
    meta = read_meta(path)
    entry = meta["tensors"]
    file = path / str(entry["file"])
    if file.parent != path or not file.is_file():
        raise FormatError(f"{path}: damaged checkpoint: its tensor file {file.name} is missing")
    blob = file.read_bytes()
    if hashlib.sha256(blob).hexdigest() != entry["sha256"]:
        raise FormatError(f"{file}: truncated or altered: its SHA-256 is not the recorded one")
    try:
        return meta, safetensors.torch.load(blob)
    except safetensors.SafetensorError as error:
        raise FormatError(f"{file}: not a safetensors file: {error}") from error


def read_meta(path: Path) -> dict[str, Any]:
    """Meta data alone; raises as `read` does, but the tensors are not looked at."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    if not exists(path):
        raise FormatError(f"{path}: not a checkpoint: expected a directory with {JSON_NAME}")
    return _read_json(path / JSON_NAME)


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix.`, without it."""
    cut = len(prefix) + 1
    return {name[cut:]: t for name, t in tensors.items() if name.startswith(prefix + ".")}


def from_json(cls: type[_T], data: Mapping[str, Any]) -> _T:
    """A frozen dataclass, nested ones included, from its JSON form.

    Raises:
        FormatError: a field is unknown, missing or refused.
    """
    try:
        return _build(cls, data)
    except (TypeError, ValueError, KeyError) as error:
        raise FormatError(f"{cls.__name__}: {error}") from error


def _flat(tensor: Tensor) -> Tensor:
    # The format refuses tensors that share memory, as layers shared by two branches do.
    return tensor.detach().cpu().contiguous().clone()


def _build(cls: type[_T], data: Mapping[str, Any]) -> _T:
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(data) - known):
        raise ValueError(f"unknown fields {unknown}")
    values: dict[str, Any] = {}
    for name, value in data.items():
        hint = hints[name]
        if is_dataclass(hint):
            values[name] = _build(hint, value)  # type: ignore[arg-type]
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        meta = json.loads(file.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{file}: truncated or not JSON: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise FormatError(f'{file}: not a checkpoint: expected "format": "{FORMAT}"')
    if meta.get("version") != VERSION:
        raise FormatError(f"{file}: expected version {VERSION}; got {meta.get('version')}")
    entry = meta.get("tensors")
    if not isinstance(entry, dict) or not {"file", "sha256"} <= entry.keys():
        raise FormatError(f"{file}: damaged: it names no tensor file")
    return meta
